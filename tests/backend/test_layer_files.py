"""Layer files: what is written is read back, and what is damaged or of another program is
refused."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402
from stored_networks import network, small_layer, stored_network  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from backend.pipeload.layer_files import LayerFileError, open_model, read_part, store_model  # noqa: E402
from backend.pipeload.layer_store import store_parts  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_files_are_what_safetensors_reads(tmp_path: Path) -> None:
    modules = network()
    stored = stored_network(tmp_path, modules)
    assert open_model(tmp_path / "model") == stored
    for module, part in zip(modules, stored.parts, strict=True):
        found = load_file(stored.directory / part.file)
        wanted = module.state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        # torch begins every weight at a multiple of 64 bytes, and so do we.
        assert part.bytes == sum((tensor.nbytes + 63) // 64 * 64 for tensor in wanted.values())


def test_weights_of_every_stored_type_come_back_as_they_were(tmp_path: Path) -> None:
    raw = torch.arange(64, dtype=torch.uint8)
    for i, name in enumerate(
        ("float64", "bfloat16", "float16", "int64", "uint16", "uint32", "uint64", "complex64",
         "float8_e4m3fn", "float8_e5m2")
    ):  # fmt: skip
        module = nn.Module()
        module.register_buffer("odd", torch.ones(3))
        module.register_buffer("weight", raw.view(getattr(torch, name)))
        module.register_buffer("none", torch.ones(0))
        stored = store_model([module], tmp_path / str(i))
        found = read_part(stored, stored.parts[0])
        assert found["weight"].dtype == getattr(torch, name)
        assert torch.equal(found["weight"].view(torch.uint8), raw)
        assert found["none"].shape == (0,)
    module.register_buffer("weight", torch.ones(3, dtype=torch.complex128))
    with pytest.raises(LayerFileError, match=r"'weight' is torch\.complex128, which cannot be"):
        store_model([module], tmp_path / "wide")
    assert not (tmp_path / "wide" / "model.json").exists()


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut_short, r"part-0004.safetensors has \d+ bytes instead of \d+: it was cut off"),
        (Path.unlink, "part-0004.safetensors: No such file"),
    ],
)
def test_a_damaged_model_is_not_even_opened(tmp_path: Path, damage: Any, sentence: str) -> None:
    stored = stored_network(tmp_path)
    damage(stored.directory / stored.parts[4].file)
    with pytest.raises(LayerFileError, match=sentence):
        open_model(stored.directory)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "holds no model"), ("[", "is not a list of parts"), ("{}", "is not a list of parts")],
)
def test_a_directory_that_holds_no_model_is_told_from_one(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(LayerFileError, match=sentence):
        open_model(tmp_path)


def test_files_of_another_program_are_named_with_the_way_to_store_them(tmp_path: Path) -> None:
    with pytest.raises(LayerFileError, match=r"there is no such directory; .*--make-demo"):
        open_model(tmp_path / "none")
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(LayerFileError, match=r"holds model-00001-of.*, but no model.json") as told:
        open_model(tmp_path)
    assert "backend.pipeload.layer_files.store_model(modules, DIRECTORY)" in str(told.value)


@pytest.mark.parametrize("what", ["bytes", "offsets"])
def test_a_list_that_does_not_fit_its_file_is_refused(tmp_path: Path, what: str) -> None:
    stored = stored_network(tmp_path)
    part = stored.parts[2]
    if what == "bytes":
        part = replace(part, bytes=part.bytes + 64)
        sentence = rf"takes \d+ bytes of memory, but model.json says {part.bytes}"
    else:
        path = stored.directory / part.file
        content = path.read_bytes().replace(b'"data_offsets":[0,', b'"data_offsets":[8,')
        path.write_bytes(content)
        part = replace(part, checksum=zlib.crc32(content))
        sentence = r"header that makes no sense: .* has bytes 8 to"
    with pytest.raises(LayerFileError, match=sentence):
        read_part(stored, part)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_ends_the_writing_and_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "part-0003.safetensors.part").symlink_to("/dev/full")
    with pytest.raises(LayerFileError, match=r"the disk is full; \d+ bytes are needed") as failure:
        stored_network(tmp_path)
    assert "\n" not in str(failure.value)
    assert list(directory.iterdir()) == []
    assert open_model(stored_network(tmp_path).directory).parts


def test_a_model_is_not_written_over_another(tmp_path: Path) -> None:
    stored_network(tmp_path)
    with pytest.raises(LayerFileError, match="already holds a model"):
        stored_network(tmp_path)


def test_a_module_that_cannot_be_stored_leaves_nothing_of_the_others(tmp_path: Path) -> None:
    module = nn.Linear(32, 32)
    module.register_buffer("scale", torch.ones(1), persistent=False)
    with pytest.raises(LayerFileError, match="module 1 keeps buffer 'scale'"):
        store_model([small_layer(8), module], tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ArithmeticError])
def test_parts_that_end_in_a_failure_leave_nothing(tmp_path: Path, failure: Any) -> None:
    def parts() -> Iterator[dict[str, Tensor]]:
        yield {"weight": torch.ones(3)}
        assert (tmp_path / "model" / "part-0000.safetensors").exists()  # written before the next
        raise failure

    with pytest.raises(failure):
        store_parts(parts(), tmp_path / "model", needed=12)
    assert list(tmp_path.iterdir()) == []


def test_a_buffer_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    module = nn.Linear(32, 32)
    module.register_buffer("scale", torch.ones(1), persistent=False)
    with pytest.raises(LayerFileError, match="module 1 keeps buffer 'scale' outside its state"):
        store_model([small_layer(8), module], tmp_path)

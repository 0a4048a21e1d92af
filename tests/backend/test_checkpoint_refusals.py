"""Checkpoints that are not known or not whole are refused with one sentence, and nothing is
written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from llama_checkpoints import LLAMA3, Config, Weights, checkpoint, config_of, converted, weights_of  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from backend.pipeload.checkpoints.convert import CheckpointError, convert_checkpoint  # noqa: E402
from backend.pipeload.layer_files import LayerFileError, open_model  # noqa: E402
from backend.pipeload.recipes import skeletons  # noqa: E402


def changed(**changes: Any) -> Callable[[Path], None]:
    def change(source: Path) -> None:
        config = json.loads((source / "config.json").read_text()) | changes
        (source / "config.json").write_text(json.dumps(config))

    return change


def tensors(change: Callable[[Weights], Any]) -> Callable[[Path], None]:
    def write(source: Path) -> None:
        weights = load_file(source / "model.safetensors")
        change(weights)
        save_file(weights, source / "model.safetensors")

    return write


def cut_short(source: Path) -> None:
    os.truncate(source / "model.safetensors", 3000)


def with_index(text: str) -> Callable[[Path], None]:
    def write(source: Path) -> None:
        (source / "model.safetensors.index.json").write_text(text)
        (source / "model.safetensors").rename(source / "a.safetensors")

    return write


def only_pickles(source: Path) -> None:
    (source / "model.safetensors").rename(source / "pytorch_model.bin")


UP = "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (changed(model_type="gemma2"), "'gemma2': models that can be converted are llama, mistral"),
        (
            changed(model_type="mistral3", num_hidden_layers=None, text_config={"n_layers": 2}),
            "model_type in .* is 'mistral3': models that can be converted are llama, mistral",
        ),
        (changed(model_type=None), "model_type in .* is None: models that can be converted"),
        (changed(hidden_act="gelu"), "hidden_act in .* is 'gelu': only 'silu' is known here"),
        (changed(quantization_config={"bits": 4}), "quantization_config in .*quantized weights"),
        (changed(partial_rotary_factor=0.5), "partial_rotary_factor in .* is 0.5: only 1 is"),
        (changed(rope_scaling={"rope_type": "yarn", "factor": 2}), "rope_scaling .* type 'yarn'"),
        (changed(rope_scaling={"type": "dynamic", "factor": 2}), "rope_scaling .* type 'dynamic'"),
        (changed(rope_scaling={"factor": 2}), "rope_scaling in .* has type None: positions known"),
        (changed(rope_scaling={"type": "linear"}), "factor in .* is None: it must be a number"),
        (changed(rope_scaling=LLAMA3 | {"low_freq_factor": 4}), "low_freq_factor .* is 4.0: it mu"),
        (
            changed(rope_scaling="linear"),
            "rope_scaling in .* is 'linear': expected one JSON",
        ),
        (
            changed(rope_parameters={"full_attention": {"rope_theta": 1}}),
            "rope_parameters in .* is .*: expected one JSON object for all layers",
        ),
        (changed(rope_theta="big"), "rope_theta in .* is 'big': it must be a number above 0"),
        (changed(rope_theta=0), "rope_theta in .* is 0: it must be a number above 0"),
        (changed(rms_norm_eps=float("nan")), "rms_norm_eps in .* is nan: it must be a number"),
        (changed(head_dim=3), "heads in .* are 3 wide: rotary positions need pairs"),
        (changed(num_hidden_layers=0), "layers in .* is 0: it must be a whole number >= 1"),
        (changed(num_hidden_layers=3), r"no tensor model.layers.2.* \(and 8 more\), which its con"),
        (changed(num_hidden_layers=1), r"unexpected tensor model.layers.1.* \(and 8 more\)"),
        (changed(num_key_value_heads=3), r"k_proj.weight in .* has shape \(8, 12\): .* \(12, 12\)"),
        (changed(vocab_size=18), r"embed_tokens.weight .* shape \(17, 12\): .* asks for \(18, 12"),
        (changed(tie_word_embeddings=True), "lm_head.weight in .* is not model.embed_tokens.weig"),
        (changed(model_type="qwen2"), r"no tensor model.layers.0.self_attn.q_proj.bias \(and 5"),
        (changed(model_type="mistral", sliding_window=0), "sliding_window in .* is 0: it must be"),
        (
            changed(model_type="qwen2", use_sliding_window=True, layer_types=["full_attention"]),
            r"layer_types in .*: expected one of full_attention, .* each of the 2 layers",
        ),
        (tensors(lambda w: w.pop(UP)), f"has no tensor {UP}, which its config.json asks for"),
        (tensors(lambda w: w.pop("lm_head.weight")), "set tie_word_embeddings to true"),
        (tensors(lambda w: w.pop("model.embed_tokens.weight")), "it is not a decoder of the Llama"),
        (
            tensors(lambda w: w.update({"score.weight": w.pop("lm_head.weight")})),
            "no tensor lm_head.weight, which .*: a file was left out, or the config is of another",
        ),
        (tensors(lambda w: w.update(odd=torch.ones(1))), "has an unexpected tensor odd: its conf"),
        (tensors(lambda w: w.update({UP: w[UP].T.contiguous()})), r"up_proj.* shape \(12, 20\): "),
        (tensors(lambda w: w.update({UP: w[UP].half()})), "up_proj.* is F16, but .* is F32"),
        (
            tensors(lambda w: w.update({n: t.to(torch.float8_e5m2) for n, t in w.items()})),
            "embed_tokens.weight in .* is F8_E5M2: weights known here are F32, BF16, F16",
        ),
        (cut_short, "model.safetensors is cut off or damaged .*: download that file again"),
        (with_index("{"), "index.json is not an index of shards"),
        (with_index("{}"), "index.json is not an index of shards: 'weight_map'"),
        (with_index('{"weight_map": {}}'), "weight_map names no files"),
        (with_index('{"weight_map": {"x": "b.safetensors"}}'), "b.safetensors is missing: downl"),
        (
            with_index('{"weight_map": {"x": "a.safetensors"}}'),
            "says that x is in a.safetensors, but it is not",
        ),
        (only_pickles, "but pytorch_model.bin: save it as safetensors"),
        (lambda source: (source / "model.safetensors").unlink(), "save_pretrained writes it"),
        (lambda source: (source / "config.json").unlink(), "cannot read .*config.json: No such"),
        (lambda source: (source / "config.json").write_text("["), "config.json is not JSON"),
    ],
)
def test_a_checkpoint_that_is_not_known_or_not_whole_is_refused_and_nothing_is_written(
    tmp_path: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    source = checkpoint(tmp_path / "published", config_of(), weights_of(config_of()))
    damage(source)
    with pytest.raises(ValueError, match=sentence) as refusal:
        convert_checkpoint(source, tmp_path / "stored")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "stored").exists()


def test_a_place_that_is_no_checkpoint_or_is_taken_is_refused(tmp_path: Path) -> None:
    stored = converted(tmp_path)
    before = sorted(stored.directory.iterdir())
    source = tmp_path / "published"
    with pytest.raises(LayerFileError, match="already holds a model: remove it or name another"):
        convert_checkpoint(source, stored.directory)
    assert sorted(stored.directory.iterdir()) == before
    with pytest.raises(CheckpointError, match="is the checkpoint itself: name another"):
        convert_checkpoint(source, tmp_path / "stored" / ".." / "published")
    with pytest.raises(CheckpointError, match="is not there: name the directory that holds"):
        convert_checkpoint(tmp_path / "meta-llama", tmp_path / "other")
    with pytest.raises(CheckpointError, match="is a file: name the directory that holds config"):
        convert_checkpoint(source / "config.json", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "mamba"}, "holds modules of kind 'mamba', which is not known here"),
        ({"colour": 1}, "has a recipe that makes no sense .*: convert it again"),
        ({"width": "wide"}, "has a recipe that makes no sense .*: convert it again"),
        ({"dtype": "int3"}, "has a recipe that makes no sense .*: convert it again"),
        ({"rope": 1}, "has a recipe that makes no sense .*: convert it again"),
    ],
)
def test_a_recipe_that_cannot_be_followed_gets_one_sentence(
    tmp_path: Path, change: Config, sentence: str
) -> None:
    stored = converted(tmp_path)
    path = stored.directory / "model.json"
    listed = json.loads(path.read_text())
    listed["recipe"] |= change
    path.write_text(json.dumps(listed))
    with pytest.raises(LayerFileError, match=sentence):
        skeletons(open_model(stored.directory))

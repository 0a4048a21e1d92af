"""Checkpoints of the Llama family, streamed: held against arithmetic written out number by number,
which knows nothing of tensors, heads as axes, or kernels."""

from __future__ import annotations

import cmath
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import typer  # noqa: E402
from forked import in_a_process  # noqa: E402
from memory_growth import conversion_growth  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from backend.pipeload.checkpoints.convert import CheckpointError, convert_checkpoint  # noqa: E402
from backend.pipeload.cli import pipeload_command  # noqa: E402
from backend.pipeload.layer_files import LayerFileError, StoredModel, open_model  # noqa: E402
from backend.pipeload.profile import resident_output  # noqa: E402
from backend.pipeload.recipes import inputs_for, skeletons  # noqa: E402
from backend.pipeload.run import run_streamed, streamed_model  # noqa: E402

Config = dict[str, Any]
Weights = dict[str, Tensor]
Row = list[float]

SMALL: Config = {
    "model_type": "llama",
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "vocab_size": 17,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100.0,
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
MODELS: dict[str, Config] = {
    "llama": {},
    "one head for every query": {"num_key_value_heads": 6},
    "one head for all queries": {"num_key_value_heads": 1, "tie_word_embeddings": True},
    "wide heads": {"head_dim": 10, "attention_bias": True, "mlp_bias": True},
    "heads of width over heads": {"head_dim": None},
    "llama 3.1": {"head_dim": 16, "rope_scaling": LLAMA3},
    "newer keys": {
        "head_dim": 16,
        "rope_theta": None,
        "rope_parameters": {"rope_theta": 50.0, **LLAMA3},
    },
    "slower positions": {"rope_scaling": {"type": "linear", "factor": 3.0}},
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "mistral with a window": {"model_type": "mistral", "sliding_window": 3},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True, "sliding_window": 2},
    "qwen2 with a window": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 3,
        "max_window_layers": 1,
    },
    "qwen3": {"model_type": "qwen3", "tie_word_embeddings": True},
    "qwen3 with windows and biases": {
        "model_type": "qwen3",
        "attention_bias": True,
        "use_sliding_window": True,
        "sliding_window": 2,
        "layer_types": ["sliding_attention", "full_attention"],
    },
}


def config_of(**changes: Any) -> Config:
    """`SMALL` with changes; None takes a key out, but for a window, where it is a value."""
    merged = SMALL | changes
    return {k: v for k, v in merged.items() if v is not None or k == "sliding_window"}


def weights_of(config: Config, *, dtype: Any = torch.float32) -> Weights:
    """Random weights under the names and in the shapes of published checkpoints."""
    generator = torch.Generator().manual_seed(3)
    kind, width, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim", width // config["num_attention_heads"])
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    biased = bool(config.get("attention_bias"))
    feed = bool(config.get("mlp_bias"))
    found: Weights = {}

    def matrix(name: str, rows: int, columns: int, bias: bool = False) -> None:
        found[f"{name}.weight"] = torch.randn(rows, columns, generator=generator) * 0.4
        if bias:
            found[f"{name}.bias"] = torch.randn(rows, generator=generator)

    def norm(name: str, size: int) -> None:
        found[f"{name}.weight"] = torch.rand(size, generator=generator) + 0.5

    matrix("model.embed_tokens", config["vocab_size"], width)
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        norm(f"{at}.input_layernorm", width)
        norm(f"{at}.post_attention_layernorm", width)
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            matrix(f"{at}.self_attn.{name}_proj", rows, width, biased or kind == "qwen2")
        matrix(f"{at}.self_attn.o_proj", width, queries, biased)
        if kind == "qwen3":
            norm(f"{at}.self_attn.q_norm", head)
            norm(f"{at}.self_attn.k_norm", head)
        matrix(f"{at}.mlp.gate_proj", inner, width, feed)
        matrix(f"{at}.mlp.up_proj", inner, width, feed)
        matrix(f"{at}.mlp.down_proj", width, inner, feed)
    norm("model.norm", width)
    if not config["tie_word_embeddings"]:
        matrix("lm_head", config["vocab_size"], width)
    return {name: tensor.to(dtype) for name, tensor in found.items()}


def checkpoint(directory: Path, config: Config, weights: Weights, *, shards: int = 1) -> Path:
    """A directory as save_pretrained leaves it; neighbouring tensors go to different shards."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    if shards == 1:
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
        return directory
    place = {
        name: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors"
        for i, name in enumerate(weights)
    }
    for file in set(place.values()):
        save_file({n: t for n, t in weights.items() if place[n] == file}, directory / file)
    index = {"metadata": {}, "weight_map": place}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def converted(tmp_path: Path, *, shards: int = 3, **changes: Any) -> StoredModel:
    config = config_of(**changes)
    source = checkpoint(tmp_path / "published", config, weights_of(config), shards=shards)
    return convert_checkpoint(source, tmp_path / "stored")


def by_hand(config: Config, weights: Weights, tokens: list[int]) -> list[Row]:
    """Logits of every token, one multiplication after the other."""
    kept = {name: tensor.double().tolist() for name, tensor in weights.items()}
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim", config["hidden_size"] // heads)

    def linear(name: str, x: Row) -> Row:
        rows = kept[f"{name}.weight"]
        bias = kept.get(f"{name}.bias", [0.0] * len(rows))
        return [
            sum(a * b for a, b in zip(row, x, strict=True)) + more
            for row, more in zip(rows, bias, strict=True)
        ]

    def norm(name: str, x: Row) -> Row:
        root = math.sqrt(sum(v * v for v in x) / len(x) + config["rms_norm_eps"])
        return [v / root * w for v, w in zip(x, kept[f"{name}.weight"], strict=True)]

    def head(x: Row, number: int) -> Row:
        return x[number * size : (number + 1) * size]

    def turned(x: Row, place: int) -> Row:
        """Pair i, as a complex number, times e to the i angle."""
        half = size // 2
        pairs = [
            complex(x[i], x[i + half]) * cmath.exp(1j * place * pace(config, i, size))
            for i in range(half)
        ]
        return [pair.real for pair in pairs] + [pair.imag for pair in pairs]

    stream = [kept["model.embed_tokens.weight"][token] for token in tokens]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        window = window_of(config, layer)
        seen: list[tuple[list[Row], list[Row]]] = []
        after = []
        for place, x in enumerate(stream):
            normed = norm(f"{at}.input_layernorm", x)
            query, key, value = (linear(f"{at}.self_attn.{n}_proj", normed) for n in "qkv")
            queries = [head(query, n) for n in range(heads)]
            keys = [head(key, n) for n in range(groups)]
            if config["model_type"] == "qwen3":
                queries = [norm(f"{at}.self_attn.q_norm", each) for each in queries]
                keys = [norm(f"{at}.self_attn.k_norm", each) for each in keys]
            seen.append(
                ([turned(each, place) for each in keys], [head(value, n) for n in range(groups)])
            )
            mixed: Row = []
            for number, each in enumerate(queries):
                asked = turned(each, place)
                group = number // (heads // groups)
                past = seen[max(0, place + 1 - window) :] if window else seen
                scores = [
                    math.exp(
                        sum(a * b for a, b in zip(asked, there[group], strict=True))
                        / math.sqrt(size)
                    )
                    for there, _ in past
                ]
                mixed += [
                    sum(s * there[group][i] for s, (_, there) in zip(scores, past, strict=True))
                    / sum(scores)
                    for i in range(size)
                ]
            x = [a + b for a, b in zip(x, linear(f"{at}.self_attn.o_proj", mixed), strict=True)]
            normed = norm(f"{at}.post_attention_layernorm", x)
            gate, up = (linear(f"{at}.mlp.{n}_proj", normed) for n in ("gate", "up"))
            fed = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up, strict=True)]
            after.append(
                [a + b for a, b in zip(x, linear(f"{at}.mlp.down_proj", fed), strict=True)]
            )
        stream = after
    tied = config["tie_word_embeddings"]
    out = "model.embed_tokens" if tied else "lm_head"
    return [linear(out, norm("model.norm", x)) for x in stream]


def pace(config: Config, pair: int, size: int) -> float:
    """Radians that a pair turns per token, by the rule's own words."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    theta = scaling.get("rope_theta") or config["rope_theta"]
    plain = 1 / theta ** (2 * pair / size)
    if not scaling:
        return plain
    if scaling.get("type") == "linear":
        return plain / scaling["factor"]
    wavelength, length = 2 * math.pi / plain, scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    if wavelength < length / high:
        return plain
    if wavelength > length / low:
        return plain / scaling["factor"]
    share = (length / wavelength - low) / (high - low)
    return (1 - share) * plain / scaling["factor"] + share * plain


def window_of(config: Config, layer: int) -> int:
    if config["model_type"] == "mistral":
        return config["sliding_window"] or 0
    if not config.get("use_sliding_window"):
        return 0
    if types := config.get("layer_types"):
        return config["sliding_window"] if types[layer] == "sliding_attention" else 0
    return config["sliding_window"] if layer >= config["max_window_layers"] else 0


@pytest.mark.parametrize("name", MODELS)
def test_a_streamed_checkpoint_gives_the_logits_computed_by_hand(tmp_path: Path, name: str) -> None:
    config = config_of(**MODELS[name])
    weights = weights_of(config)
    source = checkpoint(tmp_path / "published", config, weights, shards=3)
    stored = convert_checkpoint(source, tmp_path / "stored")
    assert open_model(tmp_path / "stored") == stored
    modules = skeletons(stored)
    tokens = inputs_for(stored, batch=2, sequence=9, seed=5)
    limit = int(streamed_model(stored, modules, tokens).smallest_limit)
    run = run_streamed(stored, modules, tokens, loaders=2, memory_limit=limit)
    assert run.peak_bytes <= limit
    assert torch.equal(run.output, resident_output(stored, modules, tokens))
    for row, logits in zip(tokens.tolist(), run.output, strict=True):
        exact = torch.tensor(by_hand(config, weights, row))
        assert exact.abs().max() > 1
        # Sums of at most 60 products of size 1 in float32, twice per layer.
        assert torch.allclose(logits, exact, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_weights_stay_in_the_type_they_were_published_in(tmp_path: Path, name: str) -> None:
    dtype = getattr(torch, name)
    config = config_of(model_type="qwen2")
    weights = weights_of(config, dtype=dtype)
    stored = convert_checkpoint(checkpoint(tmp_path / "a", config, weights), tmp_path / "b")
    assert all(
        tensor.dtype == dtype
        for part in stored.parts
        for tensor in load_file(stored.directory / part.file).values()
    )
    tokens = inputs_for(stored, sequence=6)
    output = run_streamed(stored, skeletons(stored), tokens).output
    assert output.dtype == dtype
    exact = torch.tensor(by_hand(config, weights, tokens[0].tolist()))
    spacing = torch.finfo(dtype).eps * exact.abs().max()
    assert (output[0].float() - exact).abs().max() < 8 * spacing


def test_every_tensor_is_copied_bit_for_bit_however_the_checkpoint_is_cut(tmp_path: Path) -> None:
    config = config_of()
    weights = weights_of(config)
    found = []
    for shards in (1, 2, 7):
        where = checkpoint(tmp_path / f"{shards}", config, weights, shards=shards)
        found.append(convert_checkpoint(where, tmp_path / f"stored-{shards}").parts)
    assert found[0] == found[1] == found[2]
    resident = [part.resident for part in found[0]]
    assert resident == [True, False, False, True, True]
    parts = [load_file(tmp_path / "stored-1" / part.file) for part in found[0]]
    assert torch.equal(parts[0]["weight"], weights["model.embed_tokens.weight"])
    assert torch.equal(parts[4]["weight"], weights["lm_head.weight"])
    assert sum(map(len, parts)) == len(weights)


def test_tied_weights_are_one_file_and_once_in_memory(tmp_path: Path) -> None:
    stored = converted(tmp_path, tie_word_embeddings=True)
    assert stored.parts[0] == stored.parts[-1]
    assert len(list(stored.directory.glob("*.safetensors"))) == len(stored.parts) - 1
    modules, tokens = skeletons(stored), inputs_for(stored, sequence=1)
    once = sum(part.bytes for part in set(stored.parts))
    twice = once + stored.parts[0].bytes
    assert once < streamed_model(stored, modules, tokens).bytes < twice
    assert once < run_streamed(stored, modules, tokens, strategy="keep").peak_bytes < twice


def test_a_tied_head_that_is_stored_all_the_same_is_left_out_if_it_is_the_same(
    tmp_path: Path,
) -> None:
    config = config_of(tie_word_embeddings=True)
    weights = weights_of(config)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    stored = convert_checkpoint(checkpoint(tmp_path / "a", config, weights), tmp_path / "stored")
    assert stored.parts[0] == stored.parts[-1]
    weights["lm_head.weight"][3, 4] += 1
    with pytest.raises(CheckpointError, match=r"lm_head.weight in .* is not model.embed_tokens"):
        convert_checkpoint(checkpoint(tmp_path / "b", config, weights), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own account")
def test_conversion_holds_no_more_than_a_layer_and_the_embedding(tmp_path: Path) -> None:
    """With one file for all tensors, and with a file for each."""
    wide = {"hidden_size": 256, "intermediate_size": 4096, "vocab_size": 2000, "head_dim": None}
    config = config_of(**wide, num_hidden_layers=8, num_attention_heads=8)
    weights = weights_of(config)
    small = checkpoint(tmp_path / "small", config_of(), weights_of(config_of()))
    sources = [
        checkpoint(tmp_path / f"{shards}", config, weights, shards=shards) for shards in (1, 30)
    ]
    layer = sum(t.nbytes for name, t in weights.items() if ".layers.0." in name)
    embedding = weights["model.embed_tokens.weight"].nbytes
    for grown in in_a_process(conversion_growth, small, sources, tmp_path / "stored"):
        # 15 MB of 110: a quarter more for what the allocator rounds up.
        assert grown < 1.25 * (layer + embedding)


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


def command(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(pipeload_command)
    return CliRunner().invoke(app, arguments)


def test_the_command_converts_a_checkpoint_and_streams_it(tmp_path: Path) -> None:
    config = config_of(model_type="qwen2")
    source = checkpoint(tmp_path / "published", config, weights_of(config), shards=2)
    where = str(tmp_path / "stored")
    made = json.loads(command(where, "--from", str(source), "--sequence", "7", "--json").stdout)
    assert made["layers"] == 2
    limit = str(made["smallest_limit"])
    options = "--memory-limit", limit, "--loaders", "2", "--repeats", "1", "--json"
    short = json.loads(command(where, *options, "--sequence", "7").stdout)
    assert short["output_identical"] is True
    assert short["peak_bytes"] <= short["memory_limit"] == made["smallest_limit"]
    long = command(where, *options, "--sequence", "70")
    assert "the smallest limit that works is" in str(long.exception)


def test_the_command_tells_of_its_option_when_given_a_checkpoint(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "published", config_of(), weights_of(config_of()))
    result = command(str(source), "--memory-limit", "60MB")
    assert f"python -m backend pipeload OUT_DIR --from {source}" in str(result.exception)
    both = command(str(tmp_path / "x"), "--make-demo", "--from", str(source))
    assert "--make-demo and --from both say" in str(both.exception)
    assert not (tmp_path / "x").exists()

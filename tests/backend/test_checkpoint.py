"""Checkpoints of the Llama family, streamed: held against arithmetic by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import typer  # noqa: E402
from forked import in_a_process  # noqa: E402
from llama_by_hand import by_hand  # noqa: E402
from llama_checkpoints import LLAMA3, Config, checkpoint, config_of, converted, weights_of  # noqa: E402
from memory_growth import conversion_growth  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from backend.pipeload.checkpoints.convert import CheckpointError, convert_checkpoint  # noqa: E402
from backend.pipeload.cli import pipeload_command  # noqa: E402
from backend.pipeload.layer_files import open_model  # noqa: E402
from backend.pipeload.profile import resident_output  # noqa: E402
from backend.pipeload.recipes import inputs_for, skeletons  # noqa: E402
from backend.pipeload.run import run_streamed, streamed_model  # noqa: E402

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

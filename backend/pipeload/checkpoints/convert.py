"""A checkpoint as published (config.json and safetensors) made a model that can be streamed.

    model.embed_tokens ─► part 0, resident      model.norm ─► resident
    model.layers.i     ─► part i + 1            lm_head    ─► resident; part 0 again where tied

Names, shapes and types of all tensors are held against the config before a byte is written. Then
one part is copied after the other, its tensors mapped from their files, so that even a model far
larger than memory can be converted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ..layer_store import StoredModel, store_parts
from .files import CheckpointError, StoredTensor, mapped_tensors, stored_tensors
from .llama import Llama, llama_modules
from .llama_config import read_llama

__all__ = ["CheckpointError", "convert_checkpoint"]

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
BLOCK = {
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
    "out": "self_attn.o_proj",
    "feed_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""Modules of our blocks, and their names in checkpoints."""


def convert_checkpoint(
    source: str | Path, directory: str | Path, *, progress: bool = False
) -> StoredModel:
    """Writes the checkpoint in `source` to `directory` as a model that can be streamed, its weights
    in the type they are stored in.

    One sentence for whatever is missing, unexpected, of a wrong shape, or not known here
    (ValueError); then nothing is written.
    """
    source = Path(source)
    if not source.is_dir():
        why = "a file" if source.exists() else "not there"
        raise CheckpointError(
            f"{source} is {why}: name the directory that holds config.json and the safetensors"
        )
    if source.resolve() == Path(directory).resolve():
        raise CheckpointError(f"{directory} is the checkpoint itself: name another directory")
    llama, found = read_llama(source), stored_tensors(source)
    llama = replace(llama, dtype=_dtype(found, source))
    with torch.device("meta"):
        modules = llama_modules(llama)
    last = len(modules) - 1
    own = modules[:last] if llama.tied else modules
    shapes = {
        (i, name): tuple(tensor.shape)
        for i, module in enumerate(own)
        for name, tensor in module.state_dict().items()
    }
    _require(
        found,
        {_published_name(*ours, last): shape for ours, shape in shapes.items()},
        llama,
        source,
    )

    def tensors(position: int) -> dict[str, Tensor]:
        names = {name: _published_name(i, name, last) for i, name in shapes if i == position}
        return mapped_tensors(found, names)

    return store_parts(
        (tensors(i) if i < len(own) else 0 for i in range(len(modules))),
        directory,
        needed=sum(map(math.prod, shapes.values())) * getattr(torch, llama.dtype).itemsize,
        resident={0, last - 1, last},
        recipe={"kind": "llama", **asdict(llama)},
        progress=progress,
    )


def _dtype(found: Mapping[str, StoredTensor], source: Path) -> str:
    """The one type of all weights."""
    if EMBEDDING not in found:
        raise CheckpointError(
            f"{source} has no tensor {EMBEDDING}: it is not a decoder of the Llama family with a "
            "head, saved whole"
        )
    kind = found[EMBEDDING].dtype
    if kind not in DTYPES:
        raise CheckpointError(
            f"{EMBEDDING} in {source} is {kind}: weights known here are {', '.join(DTYPES)}"
        )
    if odd := [
        name
        for name, tensor in found.items()
        if tensor.dtype != kind and not _follows_from_config(name)
    ]:
        raise CheckpointError(
            f"{odd[0]} in {found[odd[0]].file} is {found[odd[0]].dtype}, but {EMBEDDING} is {kind}:"
            " weights must be of one type"
        )
    return DTYPES[kind]


def _follows_from_config(name: str) -> bool:
    """Whether it is a table that old checkpoints keep although it follows from the config."""
    return name.endswith(".rotary_emb.inv_freq")


def _published_name(position: int, name: str, last: int) -> str:
    """The name in a checkpoint of a tensor of a module."""
    if position == 0:
        return EMBEDDING
    if position >= last - 1:
        return HEAD if position == last else "model.norm.weight"
    module, _, kind = name.rpartition(".")
    return f"model.layers.{position - 1}.{BLOCK[module]}.{kind}"


def _require(
    found: Mapping[str, StoredTensor],
    wanted: Mapping[str, tuple[int, ...]],
    llama: Llama,
    source: Path,
) -> None:
    extra = [name for name in found if name not in wanted and not _follows_from_config(name)]
    if missing := [name for name in wanted if name not in found]:
        tie = missing == [HEAD] and not extra
        raise CheckpointError(
            f"{source} has no tensor {missing[0]}{_more(missing)}, which its config.json asks for: "
            + (
                "if the embedding is the head, set tie_word_embeddings to true there"
                if tie
                else "a file was left out, or the config is of another model"
            )
        )
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise CheckpointError(
                f"{name} in {found[name].file} has shape {found[name].shape}: "
                f"config.json asks for {shape}"
            )
    if llama.tied and HEAD in extra:
        extra.remove(HEAD)
        if not torch.equal(*mapped_tensors(found, {"embedding": EMBEDDING, "head": HEAD}).values()):
            raise CheckpointError(
                f"{HEAD} in {source} is not {EMBEDDING}, though config.json ties them: "
                "set tie_word_embeddings to false there"
            )
    if extra:
        raise CheckpointError(
            f"{source} has an unexpected tensor {extra[0]}{_more(extra)}: its config.json says of "
            "nothing that would use it"
        )


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""

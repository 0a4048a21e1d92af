"""Reads the shape of a model from a Hugging Face `config.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...base.json_text import object_in
from ...base.text import plural
from .architectures import SPARSE, architecture_of
from .config_keys import number, require_understood, required
from .config_kinds import Mixed
from .config_layers import EXPERT_KEYS, WINDOW_KEYS, experts_of, windows_of
from .config_mixers import reader_of
from .config_towers import tower_of
from .mixers import RECURRENT, LatentAttention
from .shape import Model, Tower
from .towers import pictures_note

_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "n_embed", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "vocabulary": ("vocab_size",),
}
_DROPOUTS = ("attn_pdrop", "resid_pdrop", "attention_dropout", "hidden_dropout", "residual_dropout")
TOWERS = {
    "vision_config": "the vision tower",
    "audio_config": "the audio tower",
    "speech_config": "the speech tower",
}
PREDICTION_KEYS = (
    "num_nextn_predict_layers", "mtp_num_layers", "num_mtp_layers", "mtp_num_hidden_layers",
)  # fmt: skip
INDEX_KEYS = frozenset({"index_topk", "index_n_heads", "index_head_dim"})
NO_KEYS: frozenset[str] = frozenset()
UNDERSTOOD = WINDOW_KEYS | EXPERT_KEYS
"""Keys about layers that are read."""
UNGATED = ("relu2", "xielu")
_WIDTHS = ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")


def read_config(path: str | Path) -> Model:
    """The model in a `config.json`, or in a folder that has one; ValueError with one sentence if
    it describes none.

    Reads the Llama family (Llama, Mistral, Qwen, Gemma, ...: gated, no biases), the GPT family
    (two matrices, biases), Falcon and MPT (two matrices, no biases), mixtures of experts, and
    DeepSeek's latent attention: see `architectures.ARCHITECTURES`; sliding windows and chunks of
    attention, and experts in some layers only. A key that changes the model and is not known here
    is refused by its name. Towers for pictures are read (see `config_towers`), with one picture per
    sequence, and layers that predict further tokens (DeepSeek-V3's); towers for sound are left out.
    `Model.notes` says what is assumed and what is left out.
    """
    path = Path(path)
    if path.is_dir() and not (path / "config.json").is_file():
        raise ValueError(f"no config.json in {path}: use a folder that has one, or the file's path")
    path = path / "config.json" if path.is_dir() else path
    found = object_in(path, "a config.json")
    folder = path.parent.name if path.name == "config.json" else ""
    return model_from_config(found, name=folder or path.stem)


MOST_LAYERS = 10_000
"""Published models have some 150; each layer is looked at by itself."""


def model_from_config(config: dict[str, Any], *, name: str = "config.json") -> Model:
    """The model that such a JSON object describes."""
    whole = config
    inner = config.get("text_config", config.get("llm_config"))
    notes: list[str] = []
    if isinstance(inner, dict):
        missing = {k: v for k, v in SPARSE.get(str(inner.get("model_type")), {}).items()
                   if k not in inner and k not in config}  # fmt: skip
        if missing:
            told = ", ".join(f"{key} {value}" for key, value in missing.items())
            notes.append(f"text_config leaves out what its family has by default: {told}")
        outer, within = config.get("tie_word_embeddings"), inner.get("tie_word_embeddings")
        if None not in (outer, within) and outer != within:
            notes.append(
                f"tie_word_embeddings is {within} in text_config and {outer} beside it: "
                f"taken as {outer}, as transformers does"
            )
            inner = {**inner, "tie_word_embeddings": outer}
        config = {**missing, **config, **inner}
    kind = architecture_of(config.get("model_type"), name)
    config = {**kind.defaults, **config}
    if listed := _as_many_as_listed(config):
        config["num_hidden_layers"] = listed
    if kind.gated and config.get("hidden_act") in UNGATED and config.get("model_type") != "bitnet":
        raise ValueError(
            f"hidden_act in {name} is {config['hidden_act']!r}, which stands in blocks of two "
            "matrices, but its model_type has three: write nemotron for two"
        )
    if config.get("is_encoder_decoder"):
        raise ValueError(f"{name} is an encoder with a decoder: plans are for decoders alone")
    shape: dict[str, Any] = {
        ours: required(config, ours, theirs, name) for ours, theirs in _NAMES.items()
    }
    if shape["layers"] > MOST_LAYERS:
        raise ValueError(f"{name} has {shape['layers']:,} layers: at most {MOST_LAYERS:,} are read")
    reader = reader_of(config)
    indexed = latent_keys(config)
    require_understood(config, UNDERSTOOD | indexed | (reader.keys if reader else NO_KEYS), name)
    mixed = reader.read(config, shape["layers"], name) if reader else None
    config |= mixed.instead if mixed else {}
    narrow = number(config, name, "word_embed_proj_dim")
    if narrow not in (0, shape["hidden"]):
        raise ValueError(
            f"{name} has embeddings {narrow} wide for layers {shape['hidden']} wide: "
            "projections between them are not known here"
        )
    latent = _latent(config, name)
    ffn = number(
        config, name, "intermediate_size_mlp", "intermediate_size", "n_inner", "ffn_dim",
        "ffn_hidden_size",
    ) or shape["hidden"] * number(config, name, "expansion_ratio")  # fmt: skip
    experts = experts_of(config, name, ffn, shape["layers"])
    if kind.gated and not ffn and not experts and not (mixed and mixed.bare):
        notes.append(
            f"no intermediate_size: the feed-forward network is taken to be {4 * shape['hidden']} "
            "wide, 4 x hidden_size"
        )
    positions = number(config, name, "max_position_embeddings", "n_positions")
    further = _predictions(config, name)
    if further and mixed and mixed.bare:  # layers of one block each: what one more is, is not known
        notes.append(f"{plural(further, 'layer')} for predicting further tokens: not counted")
        further = 0
    if mixed and (n := sum(isinstance(each, RECURRENT) for each in mixed.each)):
        notes.append(
            f"seconds of the recurrence in {plural(n, 'layer')} are those of flash attention for "
            "as many operations: no measured run was fitted, and they are rather too few"
        )
    tower = tower_of(whole, name, shape["hidden"])
    return Model(
        str(config.get("_name_or_path") or name),
        **shape,
        kv_heads=0 if latent else _key_value_heads(config, name),
        ffn=ffn,
        head_width=0 if latent else number(config, name, "head_dim"),
        gated=kind.gated,
        tied=_tied(config, kind.tied, name),
        biases=kind.biases,
        positions=positions if kind.positions else 0,
        dropout=any(config.get(key) for key in _DROPOUTS),
        experts=experts,
        latent=latent,
        source=f"{name}/config.json",
        windows=(
            (number(config, name, "index_topk"),) * shape["layers"]
            if indexed
            else _windows(config, name, shape["layers"], mixed)
        ),
        **_mixers(mixed),
        parallel=_parallel(config, kind.parallel),
        tower=tower,
        mtp_layers=further,
        notes=(*notes, *_left_out(config, tower, further)),
    )


def _tied(config: dict[str, Any], usual: bool, name: str) -> bool:
    said = config.get("tie_word_embeddings")
    if said is not None and not isinstance(said, bool):
        raise ValueError(f"tie_word_embeddings of {name} is {said!r}: it must be true or false")
    return usual if said is None else said


def _parallel(config: dict[str, Any], usual: int) -> int:
    """Behind how many norms blocks stand beside each other. Falcon's second generation has two, if
    its file says nothing else; StableLM, if asked for, one."""
    kind = str(config.get("model_type"))
    if not usual and kind != "stablelm":
        return 0
    key = "parallel_attn" if kind == "falcon" else "use_parallel_residual"
    if not config.get(key, bool(usual)):
        return 0
    norms = config.get("num_ln_in_parallel_attn")
    if kind == "falcon" and norms is None and config.get("new_decoder_architecture"):
        norms = 2
    return int(norms or usual or 1)


def _as_many_as_listed(config: dict[str, Any]) -> int | None:
    """Layers of a file that lists them and does not say how many there are."""
    if any(key in config for key in _NAMES["layers"]):
        return None
    for key in ("layer_types", "layers_block_type", "hybrid_override_pattern"):
        if isinstance(config.get(key), (list, str)):
            return len(config[key])
    return None


def _mixers(mixed: Mixed | None) -> dict[str, Any]:
    """Distinct mixers, and which of them each layer has."""
    if mixed is None:
        return {}
    mixers = tuple(dict.fromkeys(each for each in mixed.each if each))
    mixing = tuple(mixers.index(each) + 1 if each else 0 for each in mixed.each)
    return {"mixers": mixers, "mixing": mixing if any(mixing) else (), "bare": mixed.bare}


def _windows(
    config: dict[str, Any], name: str, layers: int, mixed: Mixed | None
) -> tuple[int, ...]:
    """Of layers of several kinds those that slide have the window; others list no such kind."""
    if mixed is None:
        return windows_of(config, name, layers)
    window, kinds = number(config, name, "sliding_window"), config.get("layer_types") or []
    if str(config.get("model_type")).startswith("gemma4") and not kinds:
        kinds = ["sliding_attention"] * 5 + ["full_attention"]
        kinds = (kinds * layers)[:layers]
    return tuple(window if kind == "sliding_attention" else 0 for kind in kinds)


def _left_out(config: dict[str, Any], tower: Tower | None, further: int) -> Iterator[str]:
    """A sentence for each part of the model that is not counted, and for what is assumed."""
    if tower:
        yield pictures_note(tower)
    for key, part in TOWERS.items():
        if config.get(key) and not (tower and key == "vision_config"):
            yield f"{part} ({key}) is not counted: neither its parameters nor its work"
    if further:
        yield (
            f"{plural(further, 'layer')} for predicting further tokens (MTP) "
            f"{'is' if further == 1 else 'are'} counted on the last stage, with the head once more"
        )


def _predictions(config: dict[str, Any], name: str) -> int:
    """Layers that predict further tokens; MiniMax counts modules of several layers."""
    if "num_mtp_modules" in config:
        asked = config.get("use_mtp", True)
        each = number(config, name, "mtp_transformer_layers") or 1
        return number(config, name, "num_mtp_modules") * each if asked else 0
    return number(config, name, *PREDICTION_KEYS)


def _key_value_heads(config: dict[str, Any], name: str) -> int:
    """Grouped heads by any of their names; one for all queries where Falcon's first generation
    and GPT-BigCode say so, whatever number stands beside it."""
    kind = config.get("model_type")
    one = config.get("multi_query", kind in ("falcon", "gpt_bigcode"))
    if one and kind in ("falcon", "gpt_bigcode") and not config.get("new_decoder_architecture"):
        return 1
    inner = config.get("attn_config")
    grouped = number(inner, name, "kv_n_heads") if isinstance(inner, dict) else 0
    return number(config, name, "num_key_value_heads", "num_kv_heads") or grouped


def _latent(config: dict[str, Any], name: str) -> LatentAttention | None:
    rank = number(config, name, "kv_lora_rank")
    if not rank:
        return None
    plain, rotary, value = (required(config, key, (key,), name) for key in _WIDTHS)
    index = (
        (number(config, name, "index_n_heads"), number(config, name, "index_head_dim"))
        if latent_keys(config)
        else (0, 0)
    )
    return LatentAttention(number(config, name, "q_lora_rank"), rank, plain, rotary, value, *index)


def latent_keys(config: dict[str, Any]) -> frozenset[str]:
    """The keys of an index over tokens, where latent attention has one in every layer."""
    kind = str(config.get("model_type") or "")
    return INDEX_KEYS if kind in ("deepseek_v32", "glm_moe_dsa") else NO_KEYS

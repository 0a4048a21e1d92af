"""A plan in the words of torchtitan: the command line of one named version, and a schedule file.

Names and rules are those of torchtitan 0.3.0 from the package index: `config/configs.py` (what
there is), `trainer.py` (what is refused), `distributed/pipeline_parallel.py` (which stage where).
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

from ..schedule.torch_csv import to_torch_csv
from .cost_model import Configuration, Split
from .estimate import prepare
from .problem import Problem
from .timeline import schedule_of

VERSION = "0.3.0"
_CONFIGS = {
    "llama-3-8b": ("llama3", "llama3_8b"),
    "llama-3-70b": ("llama3", "llama3_70b"),
    "llama-3-405b": ("llama3", "llama3_405b"),
    "deepseek-v3": ("deepseek_v3", "deepseek_v3_671b"),
}
"""Its own configurations of models that have a preset here: --module and --config."""

_ONLY = {"frozen": 0, "lora": 0, "optimizer": "adam", "capacity": 0.0, "precision": "bf16",
         "vocabulary": "ends", "expert_tensor": 0, "recompute_layers": 0,
         "program": "megatron", "offloaded": 0}  # fmt: skip
"""What is not said in its settings."""


class Torchtitan(NamedTuple):
    """launcher: what starts a process per device. arguments: what `torchtitan.train` reads. csv:
    the schedule, to be written to the path the arguments name; "" without a pipeline. notes: a
    sentence for each thing that it does otherwise than was planned."""

    launcher: tuple[str, ...]
    arguments: tuple[str, ...]
    csv: str
    notes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """One line of shell."""
        return shlex.join(self.launcher) + " " + shlex.join(self.arguments)


def torchtitan(
    problem: Problem, configuration: Configuration, *, csv_path: str = "schedule.csv"
) -> Torchtitan:
    """Command line and schedule file for torchtitan 0.3.0; ValueError with one sentence if it
    cannot run this.

    The file holds compute only; torchtitan adds the transfers. It takes the order of passes from
    the file and the devices of the stages from the schedule's *name*: so the name given is one
    whose stages lie as planned, ZBVZeroBubble for a V and Interleaved1F1B for a loop.
    """
    c = configuration
    _check(problem, c)
    if c.recompute in ("elementwise", "experts"):
        what = "norms" if c.recompute == "elementwise" else "experts"
        raise ValueError(
            f"torchtitan does not compute {what} alone again: plan with --recompute full"
        )
    for name, known in _ONLY.items():
        if getattr(c, name) != known:
            raise ValueError(
                f"{name} {getattr(c, name)} has no settings of torchtitan here: plan with {known}"
            )
    module, config = _CONFIGS.get(problem.model.name, ("MODULE", "CONFIG"))
    found = {
        "training.seq_len": c.sequence,
        "training.global_batch_size": c.batch,
        "training.local_batch_size": c.batch // c.data if c.pipeline > 1 else c.microbatch,
        "parallelism.tensor_parallel_degree": c.tensor,
        "parallelism.context_parallel_degree": c.context,
        "parallelism.pipeline_parallel_degree": c.pipeline,
        "parallelism.data_parallel_replicate_degree": 1 if c.zero else c.data,
        "parallelism.data_parallel_shard_degree": c.data if c.zero else 1,
        "parallelism.fsdp_reshard_after_forward": "always" if c.zero == 3 else "never",
        "parallelism.expert_parallel_degree": c.expert,
    }
    arguments = ["--module", module, "--config", config]
    arguments += [word for name, value in found.items() for word in (f"--{name}", str(value))]
    if c.pipeline > 1 or c.expert > 1:
        arguments.append("--training.disable_cuda_graphs")
    if c.tensor > 1 and not c.sequence_parallel:
        arguments.append("--parallelism.no_enable_sequence_parallel")
    csv = ""
    if c.pipeline > 1:
        schedule = schedule_of(c)
        csv = to_torch_csv(schedule)
        arguments += [
            "--parallelism.module_fqns_per_model_part", *_modules(prepare(problem, c).split),
            "--parallelism.pipeline_parallel_microbatch_size", str(c.microbatch),
            "--parallelism.pipeline_parallel_schedule",
            _name_of_placement(schedule.placement, c.pipeline),
            "--parallelism.pipeline_parallel_schedule_csv", csv_path,
        ]  # fmt: skip
    # A sub-command comes last, and not after a list, which would take it for one of its own.
    arguments.append(f"activation_checkpoint:{c.recompute}")
    return Torchtitan(
        _launcher(problem, c), tuple(arguments), csv, tuple(_notes(problem, c, module))
    )


def _check(problem: Problem, c: Configuration) -> None:
    model = problem.model
    if model.tied and c.pipeline > 1:
        raise ValueError(
            f"torchtitan {VERSION} refuses tied weights with a pipeline: untie them "
            "(tie_word_embeddings: false in config.json, enable_weight_tying=False in torchtitan's "
            "model), or plan with --pipeline 1"
        )
    if model.mtp_layers and c.pipeline > 1:
        raise ValueError(
            f"torchtitan {VERSION} refuses layers for predicting further tokens with a pipeline, "
            f"and {model.name} has {model.mtp_layers}: plan without (no num_nextn_predict_layers "
            "or the like in the config.json) or with --pipeline 1, or export for Megatron-LM"
        )
    pieces = (c.tensor if c.sequence_parallel else 1) * (2 * c.context if c.context > 1 else 1)
    if c.sequence % pieces:
        raise ValueError(
            f"torchtitan {VERSION} cuts a sequence into {pieces} pieces, for sequence and context "
            f"parallelism, and {c.sequence} tokens cannot be: plan with smaller sizes"
        )
    if model.kv_heads % c.tensor:
        raise ValueError(
            f"torchtitan {VERSION} cuts key-value heads over tensor parallelism, and {c.tensor} "
            f"does not divide {model.kv_heads}: plan with a smaller --tensor"
        )


def _name_of_placement(placement: tuple[int, ...], p: int) -> str:
    """The name by which torchtitan puts stages where they were planned."""
    v = len(placement) // p
    if placement == tuple(range(p)) * v:
        return "1F1B" if v == 1 else "Interleaved1F1B"
    if placement == (*range(p), *reversed(range(p))):
        return "ZBVZeroBubble"
    raise ValueError(
        f"torchtitan {VERSION} places stages straight, on a loop or on a V, not on {placement}"
    )


def _modules(split: Split) -> list[str]:
    """Names of the modules of each stage, as its parser reads lists of lists."""
    found = []
    for part, first in zip(split.stages, split.first_layers, strict=True):
        names = ["tok_embeddings"] if part.embedding else []
        names += [f"layers.{layer}" for layer in range(first, first + part.layers)]
        names += ["norm", "lm_head"] if part.head else []
        found.append(",".join(names))
    return found


def _launcher(problem: Problem, c: Configuration) -> tuple[str, ...]:
    per_node = min(problem.machine.per_node, c.n_devices)
    nodes = -(-c.n_devices // per_node)
    words = ["torchrun", f"--nproc_per_node={per_node}"]
    if nodes > 1:
        words += [f"--nnodes={nodes}", "--rdzv_backend=c10d", "--rdzv_endpoint=HEAD_NODE:29500"]
    return (*words, "-m", "torchtitan.train")


def _notes(problem: Problem, c: Configuration, module: str) -> list[str]:
    notes = []
    if module == "MODULE":
        notes.append(
            f"MODULE and CONFIG: torchtitan {VERSION} is not known to have {problem.model.name}; "
            "name a configuration of yours with these layers"
        )
    if c.n_devices > problem.machine.per_node:
        notes.append("HEAD_NODE: the host name of the first node")
    if c.recompute == "selective":
        notes.append(
            "activation_checkpoint:selective computes every second product of matrices again, "
            "planned was attention only"
        )
    if c.zero == 2 and c.pipeline > 1:
        notes.append(
            "gradients are summed up over data parallelism once an iteration, not in every pass: "
            "whole ones stay in memory until then"
        )
    if c.context > 1:
        notes.append(f"how devices share a sequence is its own choice; planned was {c.context_by}")
    if c.attention == "plain":
        notes.append("its attention is fused; planned was plain attention")
    if c.expert > 1 and c.tensor > 1:
        notes.append("experts are not cut over tensor parallelism, as was planned")
    return notes

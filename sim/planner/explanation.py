"""A plan that explains itself: what was assumed, where a row's seconds and bytes go, what helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.text import plural
from ..families import FAMILIES
from .breakdown import Breakdown, breakdown
from .cost_model import Configuration
from .cost_model.muon import SAVED
from .cost_model.precision import weight_copies
from .estimate import Prepared, prepare
from .memory_table import GIB, DeviceBytes, StageBytes, device_bytes, stage_bytes
from .orders import Orders, short
from .problem import Problem
from .rows import NO_PIPELINE, configuration_of

if TYPE_CHECKING:
    import pandas as pd

BUBBLE = ("sends", "imbalance", "fill_drain")
"""Parts in which the average device is idle."""
CLOSE = 0.02
"""Rows that differ by less are not told apart: between schedules, plans were right within 5 points
of published ratios, and mostly within 2 (`python -m validation throughput`)."""

WORDS = {
    "p": "devices of a pipeline; (none) is the schedule of one device",
    "v": "stages on each of them",
    "t": "tensor parallel size; an s behind it (t4s): sequence parallelism, too",
    "d": "data parallel size: pipelines side by side",
    "c": "context parallel size: devices that share a sequence",
    "bits": "precision of the multiplications by weights",
    "e": "expert parallel size: devices that share the experts of a layer",
    "b": "sequences in a microbatch",
    "z": "ZeRO stage, what data parallelism shares out: z0 nothing, z1 optimizer state, "
    "z2 gradients too, z3 weights too",
    "again": "what of layers is computed again in the backward pass: none, elementwise (norms and "
    "activation functions), selective (attention) or full",
    "s, B": "in a key: tokens of a sequence, sequences of an iteration",
    "MFU": "model FLOPs over what the devices could do in that time",
    "bubble": "idle share of the passes' time, on the average device",
    "GiB": "bytes of the fullest device, without the reserve",
    "TP": "waiting for collectives inside layers",
    "CP": "waiting for the parts of a sequence that other devices have",
    "EP": "waiting for tokens to reach experts",
    "words": "waiting for sums over stages that share the vocabulary",
    "ZeRO": "waiting for what sharding moves in every pass",
    "split": "what B and W apart cost more than one fused backward",
    "sends": "waiting for transfers between stages",
    "uneven": "stages of unequal work: what a time line of equal stages would save",
    "fill": "filling and draining the pipeline: the rest of the bubble",
    "DP": "gradients and weights over data parallelism that no pass hides, after the last one",
    "Adam": "the optimizer's step",
}
"""What the letters and words of a plan mean."""


class Explained(NamedTuple):
    """A row taken apart: seconds by part, bytes by device and by stage, and one sentence."""

    seconds: Breakdown
    devices: tuple[DeviceBytes, ...]
    stages: tuple[StageBytes, ...]
    advice: str


def explained(problem: Problem, row: Any, orders: Orders) -> Explained:
    """A simulated row of a plan, taken apart."""
    c = configuration_of(row)
    prepared = prepare(problem, c)
    order = orders(short(prepared.shape))
    seconds = breakdown(problem, c, orders)
    devices = device_bytes(problem, prepared, order)
    return Explained(
        seconds, devices, stage_bytes(problem, prepared, order),
        advice(prepared, seconds, headroom=min(row.headroom for row in devices)),
    )  # fmt: skip


def taken_apart(
    problem: Problem, table: pd.DataFrame, *, rows: int, row: int
) -> dict[int, Explained]:
    """The rows that are shown, taken apart, by rank: so many of the fastest, the fastest of every
    schedule, and the one that is asked for."""
    done = table[table["status"] == "simulated"]
    wanted = {*done["rank"].head(rows), *best_of_each(table)["rank"], row}
    orders = Orders()
    return {
        int(each["rank"]): explained(problem, each, orders)
        for _, each in done[done["rank"].isin(wanted)].iterrows()
    }


_BESIDE = {"none": "nothing", "all": "all but a first piece"}


def assumptions(
    problem: Problem, configuration: Configuration, precisions: Sequence[str] = ()
) -> dict[str, str]:
    """What a plan takes for granted, by name. configuration: any of it; precisions: all in it."""
    c, machine, per = configuration, problem.machine, problem.per
    wires = [("inside a node", machine.inside)]
    if machine.n_nodes > 1:
        wires.append(("between nodes", machine.between))
    if machine.across:
        wires.append(("across racks", machine.across))
    weights = per.weights + weight_copies(c.precision)
    whole = weights + per.gradients + per.optimizer
    trained = "trained parameter" if c.lora or c.frozen else "parameter"
    momentum = max(per.optimizer - SAVED, 0)
    less = f" ({momentum:g} of those that muon steps)" if c.optimizer == "muon" else ""
    return {
        "machine": f"{plural(machine.n_nodes, 'node')} of "
        f"{min(machine.per_node, machine.n_devices)} {machine.device.name}, "
        f"{machine.device.flops / 1e12:.0f} TFLOP/s each",
        "wires": ", ".join(
            f"{wire.name} {where} ({wire.bandwidth / 1e9:.3g} GB/s a device, "
            f"{wire.latency * 1e6:.3g} us)"
            for where, wire in wires
        ),
        "question": f"sequence {c.sequence}, batch {c.batch} "
        f"({c.sequence * c.batch / 1e6:.3g} million tokens), {c.attention} attention",
        "precision": f"{_bits(c, precisions)}; {whole:g} bytes a {trained}: {weights:g} weights, "
        f"{per.gradients:g} gradients, {per.optimizer:g} optimizer{less}",
        "memory": f"{machine.device.memory / GIB:.1f} GiB a device, "
        f"{problem.reserve / GIB:.1f} of it in reserve (--reserve)",
        "stages": {
            "balanced": "balanced by their seconds (--cut)",
            "even": "as many layers each (--cut even)",
            "one-less": "a layer less at both ends (--cut one-less)",
        }.get(problem.cut, problem.cut),
        "clock": "the makespan: an iteration ends with a barrier"
        if problem.clock == "makespan"
        else "the longest stage: iterations overlap (--clock)",
        "groups": "interleaved groups as torch and Megatron-LM run them",
        "efficiencies": problem.efficiency.source or "given",
        **({"pass times": problem.measured.source} if problem.measured else {}),
    }


def precisions_of(table: pd.DataFrame) -> list[str]:
    """The precisions of a plan's configurations."""
    return sorted(table["precision"].unique())


def _bits(c: Configuration, precisions: Sequence[str]) -> str:
    """In how many bits passes multiply, and what else of them is not as usual."""
    told = "16-bit passes"
    if len(precisions) > 1:
        told = f"passes in {' or '.join(precisions)}"
    elif c.precision != "bf16":
        told = f"{c.precision} products of weights in layers, 16 bits elsewhere"
    if c.vocabulary != "ends":
        told += f"; embedding and head over all stages ({c.vocabulary})"
    if c.lora:
        told += f"; adapters of rank {c.lora} trained alone, routed experts without"
    if c.optimizer != "adam":
        told += f"; {c.optimizer} for matrices of layers, AdamW for the rest"
    if c.capacity:
        told += f"; experts take {c.capacity:g} of their even share of tokens and drop what is more"
    if c.program != "megatron":
        told += f"; kernels, sends and sums of gradients as {c.program} runs them"
    if c.tensor_overlap != "weights":
        told += f"; {_BESIDE[c.tensor_overlap]} of tensor parallelism's collectives hidden"
    if c.frozen:
        told += f"; the first {c.frozen} layers and the embedding frozen"
    return told


def best_of_each(table: pd.DataFrame) -> pd.DataFrame:
    """The fastest row of every schedule, and of those without a pipeline; fastest first."""
    done = table[table["status"] == "simulated"]
    names = done["schedule"].where(done["pipeline"] > 1, NO_PIPELINE)
    return done.groupby(names, sort=False).head(1)


def zero_bubble_or_not(table: pd.DataFrame) -> str:
    """Whether it pays to split the backward: the fastest schedule that does against the fastest
    that does not, and what it takes without a pipeline if that is less; "" with nothing to
    compare."""
    best = best_of_each(table)
    piped = best[best["pipeline"] > 1]
    split = piped["schedule"].map(lambda name: "W" in FAMILIES[name].passes.split())
    found = ""
    if split.any() and not split.all():
        found = _compared(piped.iloc[0], piped[split != split.iloc[0]].iloc[0], split.iloc[0])
    if best["pipeline"].iloc[0] == 1:
        found += f" No pipeline is faster: {best['seconds'].iloc[0]:.4g} s."
    return found.strip()


def _compared(first: Any, other: Any, first_splits: bool) -> str:
    more = other["seconds"] / first["seconds"] - 1
    kinds = {True: "with B and W apart (zero bubble)", False: "with a fused backward"}
    close = "; that is closer than plans are sure of" if more < CLOSE else ""
    return (
        f"Zero bubble or not: {first['schedule']}, {kinds[bool(first_splits)]}, takes "
        f"{first['seconds']:.4g} s; the best {kinds[not first_splits]} is {other['schedule']}, "
        f"{100 * more:.1f} % longer{close}."
    )


def advice(prepared: Prepared, seconds: Breakdown, *, headroom: float) -> str:
    """Where most of what is not work goes, in points (percent of the iteration), and what helps.

    headroom: bytes that the fullest device has left.
    """
    found = seconds._asdict()
    worst = max((name for name in found if name != "work"), key=lambda name: found[name])
    points = {name: 100 * part / seconds.total for name, part in found.items()}
    if worst in BUBBLE:
        whole, what = sum(points[name] for name in BUBBLE), "points of bubble"
    else:
        whole, what = 100 - points["work"], "points that are not work"
    return f"{points[worst]:.1f} of {whole:.1f} {what} are " + _why(worst, prepared, headroom)


def _why(part: str, prepared: Prepared, headroom: float) -> str:
    c = prepared.bench.configuration
    split = "W" in FAMILIES[c.schedule].passes.split()
    return {
        "recompute": "layers computed again: --recompute none or selective, where memory allows "
        f"({headroom / GIB:.1f} GiB are left)",
        "tensor": "waiting for collectives inside layers: a tensor parallel size below "
        f"{c.tensor}, where memory allows",
        "context": "waiting for parts of the sequence: a smaller --context, where memory allows",
        "experts": "waiting for tokens to reach experts: a smaller --expert, or one inside a node",
        "vocabulary": "waiting for sums over stages that share the vocabulary: head and embedding "
        "at the ends",
        "sharding": f"waiting for what ZeRO {c.zero} moves in every pass: a lower --zero, where "
        "memory allows",
        "split_backward": "the price of B and W apart, which hide no collectives behind each "
        "other: less tensor parallelism, or a schedule with a fused backward",
        "sends": "transfers between stages: neighbours on faster wires, or fewer stages",
        "imbalance": f"stage imbalance: {_busiest(prepared)}; other stage counts (--virtual, "
        "--pipeline) or a layout of yours (--cut) may even it out",
        "fill_drain": f"filling and draining: {plural(c.n_microbatches, 'microbatch')} on "
        f"{plural(c.pipeline, 'device')}; a larger batch, smaller microbatches or more stages a "
        "device" + ("" if split else ", or B and W apart,") + " shorten it",
        "data": "data parallelism after the last pass: a larger batch, or fewer replicas",
        "optimizer": "the optimizer's step: a larger batch, or --zero 1, which shares it out",
    }[part]


def _busiest(prepared: Prepared) -> str:
    """Which device works longest, with what, and by how much more than the average."""
    work = [0.0] * prepared.shape.devices
    for stage, device in zip(prepared.stages, prepared.placement, strict=True):
        work[device] += stage.seconds.total
    worst = work.index(max(work))
    more = max(work) / (sum(work) / len(work)) - 1
    mine = [p for p, d in zip(prepared.split.stages, prepared.placement, strict=True) if d == worst]
    ends = ["the embedding"] * any(part.embedding for part in mine)
    ends += ["the head"] * any(part.head for part in mine)
    layers = plural(sum(part.layers for part in mine), "layer")
    held = " and ".join([", ".join([layers, *ends[:-1]]), *ends[-1:]])
    return f"device {worst}, with {held}, works {100 * more:.1f} % longer than the average"

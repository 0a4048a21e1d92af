"""Seconds of F, B and W of one layer, of the embedding and of the head, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..models import Model, mixing
from ..models.shape import DENSE, Layer
from .adapters import adapters
from .attention import attention_work
from .collectives import all_reduce
from .communication import Exchanged, exchanged
from .configuration import Configuration
from .context import context_seconds
from .experts import dispatch_seconds, sorting
from .flops import Matmul, Passes, matmuls
from .groups import tensor_group
from .kernels import Bench, Work, casts, elapsed, exposed, moved, pieces, product, summing
from .spent import NONE, Spent, added
from .vocabulary import barrier_seconds


def layer_seconds(bench: Bench, kind: Layer = DENSE) -> Passes:
    """F, B and W of one layer and one microbatch, with what is computed again (in B) and the
    collectives it waits for."""
    return layer_spent(bench, kind).passes


def layer_spent(bench: Bench, kind: Layer = DENSE) -> Spent:
    """The same by what it is spent on."""
    c = bench.configuration
    works = _layer_work(bench, kind)
    work = Passes(*(elapsed(each, bench) for each in works))
    attention = attention_work(bench, kind)
    waits = context_seconds(
        bench.model, c, bench.machine, efficiency=bench.efficiency,
        attention=(elapsed(attention[0], bench), elapsed(attention[1], bench)),
    )  # fmt: skip
    there, n = tensor_seconds(bench, kind), _messages(bench, kind)
    more = _again(bench, kind, works[0], attention[0])
    again = elapsed(works[1] + more.work, bench) - work.backward
    sent = _sent(bench, kind, work.total + again, 2 + more.experts)
    return Spent(
        work,
        Passes(0.0, again, 0.0),
        Passes(
            exposed(works[0], bench, there.forward, n),
            exposed(works[1] + more.work, bench, there.backward + more.tensor, n + more.messages),
            there.weight,
        ),
        Passes(waits.forward, waits.backward + more.context * waits.forward, 0.0),
        Passes(sent, sent * (1 + more.experts), 0.0),
    )


class _Again(NamedTuple):
    """What B does once more of F: work; seconds and number of tensor parallelism's collectives; how
    often parts of the sequence are exchanged and tokens sent to experts."""

    work: Work = Work()
    tensor: float = 0.0
    messages: int = 0
    context: int = 0
    experts: int = 0


def _again(bench: Bench, kind: Layer, forward: Work, attention: Work) -> _Again:
    how = bench.configuration.recompute
    if how == "full":
        there = tensor_seconds(bench, kind).forward
        return _Again(forward, there, _messages(bench, kind), 1, 1)
    if how == "experts" and kind.feed_forward == "experts":
        there = tensor_seconds(bench, kind.block).forward
        work = _layer_work(bench, kind.block)[0]
        return _Again(work, there, _messages(bench, kind.block), 0, 1)
    if how == "elementwise":
        return _Again(_elements_again(bench, kind))
    return _Again(attention, context=1) if how == "selective" else _Again()


def _sent(bench: Bench, kind: Layer, beside: float, times: int) -> float:
    """What one pass waits for tokens to reach their experts, which they do so many times in all
    passes of a microbatch: work of as many seconds is there to hide it, if the program does."""
    if kind.feed_forward != "experts":
        return 0.0
    c = bench.configuration
    moved, waited = dispatch_seconds(bench.model, c, bench.machine, efficiency=bench.efficiency)
    return waited + (max(moved - beside / times, 0.0) if c.habits.hides_experts else moved)


def _messages(bench: Bench, kind: Layer) -> int:
    """Collectives of one pass that nothing hides."""
    c, model = bench.configuration, bench.model
    if c.tensor == 1:
        return 0
    blocks = 1 if model.beside(kind) else kind.blocks
    return blocks * (2 if c.sequence_parallel else 1)


def tensor_seconds(bench: Bench, kind: Layer) -> Passes:
    """Collectives of tensor parallelism of one layer that multiplications do not hide.

    Where "all" are overlapped each runs in as many pieces as there are devices beside the
    multiplication that needs or makes its data: the first piece has nothing to run beside, and the
    others wait only where the multiplications are shorter.
    """
    c, model = bench.configuration, bench.model
    whole = _exchanged(bench, kind).total
    if c.tensor_overlap != "all" or c.tensor == 1:
        return Passes(whole, whole, 0.0)
    beside = product(bench, matmuls(model, c.tokens, kind, taken=c.taken)).seconds
    first = whole / c.tensor
    waited = first + max(whole - first - beside, 0.0)
    return Passes(waited, waited, 0.0)


def _exchanged(bench: Bench, kind: Layer) -> Exchanged:
    model = bench.model
    return exchanged(
        model, bench.configuration, bench.machine, efficiency=bench.efficiency,
        experts=kind.feed_forward == "experts", blocks=1 if model.beside(kind) else kind.blocks,
    )  # fmt: skip


def fused_saving(bench: Bench, kind: Layer = DENSE) -> float:
    """Seconds by which a fused backward is shorter than B and W of one layer apart.

    The gradient of an input that every device holds a share of is summed while the same
    multiplications' weights get theirs: so does Megatron-LM wherever the output is cut
    (`LinearWithGradAccumulationAndAsyncCommunication`, by default since November 2021; with
    sequence parallelism the sum is a reduce-scatter). What multiplications with a cut input gather
    before they begin hides behind nothing, nor does starting any of them on the host.
    """
    c, there = bench.configuration, _exchanged(bench, kind)
    if c.tensor_overlap == "none" or not there.summed:
        return 0.0
    seconds = tensor_seconds(bench, kind).backward * there.summed / there.total
    messages = _messages(bench, kind) // (2 if c.sequence_parallel else 1)
    work = _layer_work(bench, kind)[1]
    waits = exposed(work, bench, seconds, messages) - exposed(work, bench, 0.0, messages)
    blocks = _cut_outputs(bench, kind)
    hidden = [min(waits / len(blocks), elapsed(product(bench, each), bench)) for each in blocks]
    return bench.efficiency.overlap * sum(hidden)


def _cut_outputs(bench: Bench, kind: Layer) -> list[list[Matmul]]:
    """By block, the multiplications with a cut output, before which gradients of inputs are summed;
    experts that exchange tokens by themselves are none."""
    model, c = bench.model, bench.configuration
    products = matmuls(model, c.tokens, kind, taken=c.taken)
    first = len(matmuls(model, c.tokens, kind._replace(feed_forward="none")))
    blocks = [products] if model.beside(kind) else [products[:first], products[first:]]
    found = [
        [each for each in block if each.split == "out" and pieces(bench, each) > 1]
        for block in blocks
    ]
    apart = kind.feed_forward == "experts" and c.sequence_parallel and not model.parallel
    return [block for block in found[: 1 if apart else 2] if block]


def embedding_spent(bench: Bench) -> Spent:
    """Looking words up (F) and adding their gradients up (W)."""
    c, h = bench.configuration, bench.model.hidden
    each = c.tokens * h
    there = all_reduce(
        2.0 * each, tensor_group(c), machine=bench.machine, efficiency=bench.efficiency
    )
    masks = 5 * each if bench.model.dropout else 0
    table = summing(bench, (Matmul(c.tokens, h, bench.model.vocabulary, "out"),))
    work = Passes(
        elapsed(moved(bench, 4 * each + masks, 3), bench),
        0.0,
        0.0 if c.lora else elapsed(moved(bench, 8 * each + masks, 3) + table, bench),
    )
    return Spent(work=work, tensor=Passes(there, 0.0, 0.0))


def head_spent(bench: Bench) -> Spent:
    """Last norm, projection to the vocabulary, and the loss in 32 bits over all logits."""
    c, model = bench.configuration, bench.model
    logits = c.tokens * model.vocabulary / c.tensor
    wide = c.tokens * model.hidden
    out = Matmul(c.tokens, model.hidden, model.vocabulary, "out", low=False)
    once = product(bench, (out,))
    there = all_reduce(
        2.0 * wide, tensor_group(c), machine=bench.machine, efficiency=bench.efficiency
    )
    barriers = barrier_seconds(model, c, bench.machine, efficiency=bench.efficiency) / 2
    work = Passes(
        elapsed(once + moved(bench, 4 * wide + 28 * logits, 8), bench),
        elapsed(once + moved(bench, 10 * wide + 16 * logits, 6), bench),
        0.0 if c.lora else elapsed(once + summing(bench, (out,)), bench),
    )
    return Spent(
        work=work,
        tensor=Passes(0.0, there, 0.0),
        vocabulary=Passes(barriers, barriers, 0.0) if barriers else NONE,
    )


def prediction_spent(bench: Bench) -> Spent:
    """One layer that predicts a further token: two norms, the projection of both (2h to h), a layer
    like the last one, and the head once more. The projection's output is gathered in F, and its
    input's gradient summed in B."""
    c, model = bench.configuration, bench.model
    wide = c.tokens * model.hidden
    joining = (Matmul(c.tokens, 2 * model.hidden, model.hidden, "out"),)
    once = product(bench, joining)
    there = all_reduce(
        2.0 * wide, tensor_group(c), machine=bench.machine, efficiency=bench.efficiency
    )
    norms = moved(bench, 2 * 4 * wide, 3)
    joined = Spent(
        work=Passes(
            elapsed(once + norms, bench),
            elapsed(once + norms + norms, bench),
            elapsed(once + summing(bench, joining), bench),
        ),
        tensor=Passes(there, 2 * there, 0.0),
    )
    return added((layer_spent(bench, model.kind(model.layers - 1)), head_spent(bench), joined))


def product_seconds(bench: Bench, products: Sequence[Matmul]) -> tuple[float, float]:
    """Multiplications by weights, one after the other: F, which B equals, and W."""
    once = product(bench, products)
    return elapsed(once, bench), elapsed(once + summing(bench, products), bench)


def embedding_seconds(bench: Bench) -> Passes:
    """F, B and W of the embedding."""
    return embedding_spent(bench).passes


def head_seconds(bench: Bench) -> Passes:
    """F, B and W of the head."""
    return head_spent(bench).passes


def optimizer_seconds(bench: Bench, parameters: float, orthogonal: float = 0.0) -> float:
    """Adam in mixed precision over the parameters a device updates, all of it memory traffic: per
    parameter the gradient for its norm (2) and for the step (4), master weight and two moments
    read and written (24), and the 16-bit weight (2): 32 bytes. Muon reads and writes about as much
    (its momentum, and the update once more), and does so many `orthogonal` operations."""
    made = orthogonal / (bench.device.flops * bench.efficiency.matmul)
    share = bench.configuration.copies if bench.configuration.zero >= 1 else 1
    return made + 32.0 * parameters / share / (bench.device.bandwidth * bench.efficiency.memory)


def _layer_work(bench: Bench, kind: Layer) -> tuple[Work, Work, Work]:
    c, model = bench.configuration, bench.model
    products = matmuls(model, c.tokens, kind, taken=c.taken)
    pairs = adapters(products, c)
    once = product(bench, products + pairs)
    weights = product(bench, pairs) if c.lora else once
    weights += summing(bench, pairs if c.lora else products)
    cast = casts(bench, products)
    forward, backward = attention_work(bench, kind)
    n = c.tokens
    whole = n * model.hidden / c.token_cut
    inner = n * _inner_width(model, kind, c) / c.tensor
    heads = n * mixing(model, kind).moved / c.tensor
    gate = 2 if model.gated else 1
    ends = _between(model, kind)
    sorted_ = sorting(bench) if kind.feed_forward == "experts" else Work()
    forward = (
        once + cast[0] + sorted_
        + forward
        + moved(bench, whole * ends[0].bytes + inner * (2 * gate + 2) + 4 * heads, ends[0].kernels)
    )  # fmt: skip
    backward = (
        once + cast[1] + sorted_
        + backward
        + moved(bench, whole * ends[1].bytes + inner * (4 * gate + 2) + 4 * heads, ends[1].kernels)
    )  # fmt: skip
    summed = model.biases and not c.lora
    biases = 2 * (whole * kind.blocks + inner + heads) if summed else 0
    return forward, backward, weights + moved(bench, biases, 4 if summed else 0)


class _Moved(NamedTuple):
    """Bytes per number of the model's width, and kernels of all that is no product."""

    bytes: float
    kernels: float


def _between(model: Model, kind: Layer) -> tuple[_Moved, _Moved]:
    """What norms, sums and masks around the blocks of a layer move in F and in B: a norm 4 bytes
    and 10, a sum 6, a mask 2 and 3. Blocks beside each other have one sum of three (8), and behind
    one norm the gradients of their inputs are added up first."""
    blocks, norms = kind.blocks, model.norms(kind)
    masks = blocks if model.dropout else 0
    sums, fewer = [6 * blocks] * 2, (0, 0)
    if model.beside(kind):
        sums, fewer = [8, 12 if norms == 1 else 8], (3 - norms, 1)
    return (
        _Moved(4 * norms + sums[0] + 2 * masks, 4.5 * blocks - fewer[0]),
        _Moved(10 * norms + sums[1] + 3 * masks, 6 * blocks - fewer[1]),
    )


def _elements_again(bench: Bench, kind: Layer) -> Work:
    """Norms and activation functions, reading 16 bits and writing them."""
    c, model = bench.configuration, bench.model
    inner = _inner_width(model, kind, c) / c.tensor
    gate = 2 if model.gated else 1
    norms = model.norms(kind)
    each = 4 * norms * model.hidden / c.token_cut + (2 * gate + 2) * inner
    return moved(bench, c.tokens * each, norms + 1)


def _inner_width(model: Model, kind: Layer, c: Configuration) -> float:
    if kind.feed_forward == "experts" and model.experts:
        return (model.experts.per_token * c.taken + model.experts.shared) * model.experts.ffn
    return 0 if kind.feed_forward == "none" else model.ffn

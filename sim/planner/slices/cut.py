"""Where to cut a sequence into slices: evenly, or so that every slice is the same work.

Under causal attention a token attends to all tokens before it, so of equal slices the last is the
slowest, and a pipeline waits for it. The computation-wise partition gives later slices fewer
tokens until all cost the same.

Source: Sun et al. 2024, arXiv 2406.03488, section 3.5. The paper solves for the cuts with a
symbolic package; here the longest slice that costs at most its share is found by bisection, in
whole numbers, exactly, which serves windows of attention, too.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

from ..cost_model.flops import matmuls
from ..models import Model, mixing
from ..models.shape import Layer


def even(n_tokens: int, n_slices: int, *, multiple: int = 1) -> tuple[int, ...]:
    """Lengths of `n_slices` slices as equal as multiples of `multiple` can be, longest first.

    >>> even(16, 3)
    (6, 5, 5)
    """
    _checked(n_tokens, n_slices, multiple)
    base, longer = divmod(n_tokens // multiple, n_slices)
    return tuple(multiple * (base + (j < longer)) for j in range(n_slices))


def computation_wise(
    model: Model, n_tokens: int, n_slices: int, *, multiple: int = 1
) -> tuple[int, ...]:
    """Lengths of `n_slices` slices that are the same forward work, shape `(n_slices,)`.

    multiple: of which all lengths are multiples, e.g. the tensor-parallel size, rounded down from
        the last slice backwards; the first slice takes the rest.

    >>> seven = Model("7B", 32, 4096, 32, 50304, gated=False)
    >>> computation_wise(seven, 32768, 4, multiple=8)
    (11040, 8416, 7080, 6232)
    """
    _checked(n_tokens, n_slices, multiple)
    lengths: list[int] = []
    end = n_tokens
    for later in range(n_slices - 1):
        length = _longest(model, n_tokens, n_slices, end) // multiple * multiple
        if not 0 < length < end:
            raise ValueError(
                f"{n_tokens} tokens are too few for {n_slices} slices of the same work in "
                f"multiples of {multiple}: slice {n_slices - 1 - later} would be empty"
            )
        lengths.append(length)
        end -= length
    return (end, *reversed(lengths))


def slice_flops(model: Model, length: int, end: int) -> Fraction:
    """Forward work of the slice of `length` tokens that ends at token `end`, in FLOPs.

    Per layer the paper's (4d+3) n (s e - s^2/2) for attention to everything before and to half of
    the slice itself (d = width of a head, n heads, 3 for the softmax), 8 s h^2 + 4 s h f for the
    linear layers (other shapes of attention and feed-forward block: 2 per weight and token), and
    4 s h V once for embedding and head. Where attention sees a window of w tokens, a token counts
    w of those before it.
    """
    return attention_flops(model, length, end) + _linear(model) * length


def attention_flops(model: Model, length: int, end: int) -> Fraction:
    """The part of `slice_flops` that is attention: queries, keys, values and softmax."""
    return sum(
        (layer_attention_flops(model, kind, first=end - length, end=end) * n_layers
         for kind, n_layers in model.kinds().items()),
        Fraction(0),
    )  # fmt: skip


def layer_attention_flops(model: Model, kind: Layer, *, first: int, end: int) -> Fraction:
    """Attention of one layer, or its recurrence, for the tokens from `first` up to `end`."""
    full = min(max(kind.window, first), end) if kind.window else end  # before it a token sees all
    pairs = Fraction(full**2 - first**2, 2) + kind.window * (end - full)
    found = mixing(model, kind)
    seen = Fraction(end**2 - first**2, 2)
    states = (end - first) * found.token
    return pairs * (2 * found.pair + 3 * found.heads) + seen * 2 * found.indexed + states


def layer_token_flops(model: Model) -> int:
    """FLOPs per token of the linear layers of all layers together, forward."""
    return sum(
        int(sum(each.flops for each in matmuls(model, 1, model.kind(layer))))
        for layer in range(model.layers)
    )


def _linear(model: Model) -> int:
    return layer_token_flops(model) + 4 * model.hidden * model.vocabulary


def _longest(model: Model, n_tokens: int, n_slices: int, end: int) -> int:
    """The longest slice that ends at `end` and costs at most 1/k of the whole sequence."""
    share = slice_flops(model, n_tokens, n_tokens) / n_slices
    lengths = range(end + 1)
    return bisect_right(lengths, share, key=lambda length: slice_flops(model, length, end)) - 1


def _checked(n_tokens: int, n_slices: int, multiple: int) -> None:
    for name, value in {
        "n_tokens": n_tokens, "n_slices": n_slices, "multiple": multiple
    }.items():  # fmt: skip
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {value!r}: it must be a whole number >= 1")
    if n_tokens % multiple:
        raise ValueError(f"{n_tokens} tokens are not a multiple of {multiple}: pad the sequence")
    if n_tokens < n_slices * multiple:
        raise ValueError(
            f"{n_tokens} tokens are too few for {n_slices} slices of at least {multiple}: "
            f"use at most {n_tokens // multiple} slices"
        )

"""Where to cut a sequence into slices: evenly, or so that every slice is the same work.

Under causal attention a token attends to all tokens before it, so of equal slices the last is the
slowest, and a pipeline waits for it. The computation-wise partition gives later slices fewer
tokens until all cost the same.

Source: Sun et al. 2024, arXiv 2406.03488, section 3.5. The paper solves for the cuts with a
symbolic package; the equation is quadratic in the length of a slice, so here it is solved in
whole numbers, exactly.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from ..cost_model.flops import matmuls
from ..models import Model


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
    4 s h V once for embedding and head.
    """
    bent, straight = _attention(model), _linear(model)
    return Fraction(bent * (2 * length * end - length**2), 2) + straight * length


def attention_flops(model: Model, length: int, end: int) -> Fraction:
    """The part of `slice_flops` that is attention: queries, keys, values and softmax."""
    return Fraction(_attention(model) * (2 * length * end - length**2), 2)


def layer_token_flops(model: Model) -> int:
    """FLOPs per token of the linear layers of all layers together, forward."""
    return sum(
        int(sum(each.flops for each in matmuls(model, 1, model.kind(layer))))
        for layer in range(model.layers)
    )


def _attention(model: Model) -> int:
    return model.layers * (2 * (model.query_width + model.value_width) + 3 * model.heads)


def _linear(model: Model) -> int:
    return layer_token_flops(model) + 4 * model.hidden * model.vocabulary


def _longest(model: Model, n_tokens: int, n_slices: int, end: int) -> int:
    """The longest slice that ends at `end` and costs at most 1/k of the whole sequence.

    With a, b the work per pair of tokens and per token: a (s e - s^2/2) + b s = T/k is
    a s^2 - 2 (a e + b) s + 2 T/k = 0, whose smaller root is (c - sqrt(c^2 - 2 a T/k)) / a with
    c = a e + b. Everything is multiplied by k to stay in whole numbers.
    """
    a, b, k = _attention(model), _linear(model), n_slices
    doubled = a * n_tokens**2 + 2 * b * n_tokens
    c = a * end + b
    under_root = k * (k * c**2 - a * doubled)
    root = isqrt(under_root)
    root += root**2 < under_root
    return (k * c - root) // (k * a)


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

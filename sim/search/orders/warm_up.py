"""Warm-ups that leave no idle time, for straight pipelines with memory to spare.

Device d of a straight pipeline runs n(d) forwards before its first backward. Its neighbour starts
F(d) + send later, runs n(d+1) forwards and one backward, and sends the gradient back. Where
forwards do not get shorter along the pipeline, device d is busy until then exactly if

    n(d) F(d) >= F(d) + send + n(d+1) F(d+1) + B(d+1) + send'

and the last device runs one. With F = B and a short send that is three forwards more per device,
3p - 2 on the first; two per device are enough for a wait of only B - F + both sends. After that the
memory of so many forwards is put to better use: fewer microbatches under way, more W put off, which
later fill the waits of the cool-down.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..compiled import Ints
from .problem import OrderProblem


def warm_ups(forward: Ints, backward: Ints, down: Ints, up: Ints) -> Iterator[Ints]:
    """Forwards of each device before its first backward: none idles, or some of them a little.

    forward, backward: ticks per device, forward > 0. down, up: ticks of a send from device d to
    d+1 and back, shape `(p - 1,)`. The first has no idle time; in the others some pairs of
    neighbours, from one end of the pipeline, run one forward less than that takes.
    """
    p = forward.size
    done: set[tuple[int, ...]] = set()
    for short in range(p):
        for from_front in (True, False):
            number = [1] * p
            for d in range(p - 2, -1, -1):
                busy = forward[d] + down[d] + number[d + 1] * forward[d + 1] + backward[d + 1]
                whole, rest = divmod(int(busy + up[d]), int(forward[d]))
                one_less = d < short if from_front else d >= p - 1 - short
                number[d] = max(1, whole + (rest > 0 and not one_less))
            if tuple(number) not in done:
                done.add(tuple(number))
                yield np.array(number, np.int64)


def fitting_warm_ups(problem: OrderProblem, room: Ints) -> list[Ints]:
    """The warm-ups of a straight pipeline that are within `room` microbatches per device."""
    duration, delay = problem.tables.duration[:, 0], problem.tables.delay
    if problem.chunks > 1 or not (duration[::3] > 0).all():
        return []
    found = warm_ups(duration[::3], duration[1::3], delay[3::3], delay[1:-3:3])
    return [number for number in found if (number <= room).all()]

"""How long the devices of a straight pipeline must wait for their first backward, all of them."""

from __future__ import annotations

from collections.abc import Sequence

from .workload import Time, Workload


def first_backwards(work: Workload, room: Sequence[Time]) -> Time:
    """A bound on the longest stage of a straight pipeline in which device d holds `room[d]`.

    Before its first backward a device runs only forwards, n of them, all alive. Let X(d) be the
    time from its first forward to its first backward. Its neighbour starts F(d) + send later, and
    its own first gradient comes from there:

        X(d) >= A(d) = F(d) + send + X(d+1) + B(d+1) + send',    A(p-1) = F(p-1)

    and of X(d), all but n F(d) is idle. If no stage is longer than V, that is at most
    V - work(d), which takes n >= (A(d) - V + work(d)) / F(d) forwards. Fewest are best, for the
    device and for all before it: X(d) = max(A(d), n F(d)). A value V with n > room(d) somewhere is
    impossible; the bound is the smallest one without.

    With F = B and short sends a device that never waits runs three forwards more than the next
    one; one that may wait for both sends, two, but then the next one before it sees their effect.
    """
    p = len(work.placement)
    forward, backward = ([time(s) for s in range(p)] for time in (work.forward, work.backward))
    if min(room) < 1:
        return 0

    def possible(value: Time) -> bool:
        reach: Time = 0
        for s in reversed(range(p)):
            arrival = forward[s]
            if s < p - 1:
                arrival += 2 * work.send[s] + reach + backward[s + 1]
            lacking = arrival - (value - work.work(s))
            number = 1
            if lacking > forward[s]:
                if not forward[s]:
                    return False
                number = int(-(-lacking // forward[s]))
                if number > room[s]:
                    return False
            reach = max(arrival, number * forward[s])
        return True

    low = max(work.work(s) for s in range(p))
    if possible(low):
        return low
    high = low + sum(forward) + sum(backward) + 2 * sum(work.send)
    whole = bool(work.ticks.per_unit)
    while high - low > (1 if whole else 1e-9 * high):
        middle = (low + high) // 2 if whole else (low + high) / 2
        low, high = (low, middle) if possible(middle) else (middle, high)
    return high if whole else low

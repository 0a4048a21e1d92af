"""The engine: times, wires, memory, iterations, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from sim import Cluster, Costs, Link, Op, Schedule

TWO = Schedule(
    placement=(0, 1),
    orders=(
        (Op("F", 0, 0), Op("F", 0, 1), Op("BW", 0, 0), Op("BW", 0, 1)),
        (Op("F", 1, 0), Op("BW", 1, 0), Op("F", 1, 1), Op("BW", 1, 1)),
    ),
    n_microbatches=2,
    name="two",
)


def unit(schedule: Schedule, **cells: float | Fraction) -> Costs:
    return Costs.uniform(schedule, **{"forward": 1, "backward": 1, "weight": 1} | cells)


def starts(trace: sim.Trace) -> dict[str, object]:
    ops = trace.ops
    names = [
        str(Op(*row)) for row in zip(ops.kind, ops.stage, ops.microbatch, ops["slice"], strict=True)
    ]
    return dict(zip(names, ops.start.tolist(), strict=True))


def test_two_devices_take_turns_as_drawn_on_paper() -> None:
    trace = sim.simulate(TWO, unit(TWO))
    assert starts(trace) == {
        "F0@0": 0, "F1@0": 1, "F0@1": 1, "BW0@1": 2, "F1@1": 4, "BW0@0": 4, "BW1@1": 5, "BW1@0": 7,
    }  # fmt: skip
    assert sim.makespan(trace) == 9


def test_a_send_delays_only_what_reads_the_value() -> None:
    trace = sim.simulate(TWO, unit(TWO, send=3))
    assert starts(trace)["F1@0"] == 1  # the sender goes on
    assert starts(trace)["F0@1"] == 4
    assert sim.makespan(trace) == 15


def test_times_of_a_third_add_up_exactly() -> None:
    schedule = sim.FAMILIES["interleaved"](4, 8, v=3)
    costs = Costs.uniform(schedule, forward=1, backward=1, weight=1, send=0)
    assert costs.forward[0][0] == Fraction(1, 3)
    assert sim.makespan(sim.simulate(schedule, costs)) == 24 + 3


def test_a_tenth_of_a_second_is_one_tenth() -> None:
    trace = sim.simulate(TWO, unit(TWO, forward=0.1, backward=0.1, weight=0.1, send=0.3))
    assert sim.makespan(trace) == 1.5


def test_a_wire_is_held_for_bytes_over_bandwidth_and_arrives_latency_later() -> None:
    cluster = Cluster(2, links={"wire": Link(2, 10)}, routes={(0, 1): ("wire",)})
    trace = sim.simulate(TWO, unit(TWO, boundary_bytes=40), cluster)
    forth = trace.transfers[trace.transfers.value == "activation"]
    assert forth[["ready", "start", "end", "bytes"]].values.tolist() == [
        [1, 1, 7, 40],  # 1 + 40/10 + 2
        [2, 5, 11, 40],  # waits for the wire, not for the latency
    ]


def test_pairs_that_share_a_wire_queue_for_it() -> None:
    schedule = sim.FAMILIES["gpipe"](4, 1)
    costs = Costs.uniform(schedule, forward=1, backward=1, weight=1, boundary_bytes=8)
    routes = {(d, d + 1): ("nic",) for d in range(3)} | {(d + 1, d): ("nic",) for d in range(3)}
    shared = Cluster(4, links={"nic": Link(0, 1)}, routes=routes)
    schedule8 = sim.FAMILIES["gpipe"](4, 8)
    own = Cluster(
        4,
        links={f"{a}{b}": Link(0, 1) for a, b in routes},
        routes={(a, b): (f"{a}{b}",) for a, b in routes},
    )
    assert sim.makespan(sim.simulate(schedule, costs, shared)) == 4 + 8 + 6 * 8
    busy = 2 * 3 * 8 * 8  # two ways, three pairs, eight microbatches, eight seconds
    assert sim.makespan(sim.simulate(schedule8, costs, shared)) >= busy
    assert sim.makespan(sim.simulate(schedule8, costs, own)) < busy
    wire = sim.simulate(schedule8, costs, shared).transfers.sort_values("start")
    assert ((wire.end - wire.start) == 8).all()
    assert (wire.start.to_numpy()[1:] >= wire.end.to_numpy()[:-1]).all()


@given(
    sizes=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    bandwidth=st.integers(1, 9),
)
def test_two_transfers_over_one_wire_take_as_long_as_their_bytes_say(
    sizes: tuple[int, int], bandwidth: int
) -> None:
    """Both cross at time 1: devices 0 -> 1 and 2 -> 3 of one node's card."""
    ops = [tuple(Op(k, s, 0) for k in ("F", "BW")) for s in range(4)]
    schedule = Schedule(placement=(0, 1, 2, 3), orders=tuple(ops), n_microbatches=1, name="chain")
    costs = Costs.of(
        4, forward=[1, 0, 0, 0], backward=0, weight=0,
        boundary_bytes=[sizes[0], 0, sizes[1]],
    )  # fmt: skip
    cluster = Cluster(
        4,
        links={"nic": Link(0, bandwidth)},
        routes={(0, 1): ("nic",), (2, 3): ("nic",), (3, 2): ("nic",), (1, 0): ("nic",)},
    )
    end = sim.makespan(sim.simulate(schedule, costs, cluster))
    assert end == pytest.approx(1 + 2 * Fraction(sum(sizes), bandwidth), abs=1e-12)


def test_nodes_share_their_network_card() -> None:
    cluster = sim.nodes(4, per_node=2, inside=Link(0, math.inf), between=Link(5, 2))
    schedule = sim.FAMILIES["gpipe"](4, 2)
    costs = Costs.uniform(schedule, forward=1, backward=1, weight=1, boundary_bytes=4)
    moved = sim.simulate(schedule, costs, cluster).transfers
    across = moved[(moved.source == 1) & (moved.destination == 2)]
    assert across.link.tolist() == ["node 0 out+node 1 in"] * 2
    assert (across.end - across.start).tolist() == [7, 7]


def test_a_blocking_send_keeps_the_sender() -> None:
    trace = sim.simulate(TWO, unit(TWO, send=3), Cluster(2, transfers="blocking"))
    assert starts(trace)["F1@0"] == 4


def test_a_receive_posted_just_in_time_shows_its_latency() -> None:
    costs = unit(TWO, send=3)
    late = sim.simulate(TWO, costs, Cluster(2, receives="just-in-time"))
    moved = late.transfers.set_index(["value", "microbatch"])
    assert moved.loc[("activation", 1), "start"] == 7  # written at 2, wanted from 7 on
    assert starts(late)["F1@1"] == 10
    assert starts(sim.simulate(TWO, costs))["F1@1"] == 7


def test_early_receives_stall_an_interleaved_warm_up_where_latency_alone_does_not() -> None:
    schedule = sim.FAMILIES["interleaved"](4, 8)
    costs = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    plain = sim.makespan(sim.simulate(schedule, costs))
    early = sim.makespan(sim.simulate(schedule, costs, Cluster(4, receives="early")))
    assert early > plain + 20
    straight = sim.FAMILIES["gpipe"](2, 8)
    costs = Costs.uniform(straight, forward=10, backward=12, weight=8, send=0)
    assert sim.makespan(sim.simulate(straight, costs, Cluster(2, receives="early"))) == (
        sim.makespan(sim.simulate(straight, costs))
    )


def test_messages_that_wait_for_each_other_are_named() -> None:
    schedule = sim.FAMILIES["1f1b"](2, 8)
    cluster = Cluster(2, transfers="blocking", receives="just-in-time")
    with pytest.raises(sim.Deadlock) as caught:
        sim.simulate(schedule, unit(schedule), cluster)
    assert str(caught.value) == (
        "1f1b: with blocking transfers and just-in-time receives nothing can go on: "
        "device 0 waits at BW0@0 until its activation of 1@0 is received, "
        "device 1 waits at F1@1 until its gradient of 0@1 is received"
    )


@pytest.mark.parametrize("name", sim.FAMILIES)
@pytest.mark.parametrize("transfers", ["overlapped", "blocking"])
def test_early_receives_never_deadlock(name: str, transfers: str) -> None:
    schedule = sim.FAMILIES[name](4, 9 if name != "dualpipe-v" else 10)
    trace = sim.simulate(
        schedule,
        unit(schedule, send=1),
        Cluster(4, transfers=transfers, receives="early"),  # type: ignore[arg-type]
        iterations=2,
    )
    assert len(trace.ops) == 2 * schedule.n_ops


def test_a_straggler_is_slower_by_its_factor() -> None:
    trace = sim.simulate(TWO, unit(TWO), Cluster(2, slowdown=(1, Fraction(3, 2))))
    assert sim.busy(trace) == (6, 9)


def test_jitter_repeats_with_its_seed_and_differs_without() -> None:
    def play(seed: int) -> list[float]:
        return sim.simulate(TWO, unit(TWO), jitter=0.1, seed=seed).ops.end.tolist()

    assert play(1) == play(1) != play(2)
    assert sim.makespan(sim.simulate(TWO, unit(TWO), jitter=0.001)) == pytest.approx(9, rel=0.02)


def test_jitter_draws_every_iteration_anew_and_begins_as_a_single_one_does() -> None:
    once = sim.simulate(TWO, unit(TWO), jitter=0.1, seed=1).ops
    ops = sim.simulate(TWO, unit(TWO), jitter=0.1, seed=1, iterations=3).ops
    took = [(part.end - part.start).tolist() for _, part in ops.groupby("iteration")]
    assert ops[ops.iteration == 0].end.tolist() == once.end.tolist()
    assert len({round(time, 9) for row in took for time in row}) == 3 * len(once)


def test_memory_is_taken_at_the_start_and_given_back_at_the_end() -> None:
    costs = Costs.of(
        1, forward=1, backward=2, weight=3, activation_bytes=10, backward_bytes=4, static_bytes=100
    )
    ops = Op("F", 0, 0), Op("B", 0, 0), Op("W", 0, 0)
    trace = sim.simulate(Schedule((0,), (ops,), 1), costs)
    assert trace.memory[["time", "change", "live", "activations", "reason"]].values.tolist() == [
        [0, 100, 100, 0, "static"],
        [0, 10, 110, 1, "F0@0"],
        [1, 4, 114, 1, "B0@0"],
        [6, -14, 100, 0, "W0@0"],
    ]
    assert sim.peak_bytes(trace) == (114,)


def test_a_b_that_frees_gives_back_at_its_end() -> None:
    costs = Costs.of(1, forward=1, backward=2, weight=3, activation_bytes=10, backward_bytes=-4)
    ops = Op("F", 0, 0), Op("B", 0, 0), Op("W", 0, 0)
    trace = sim.simulate(Schedule((0,), (ops,), 1), costs)
    assert trace.memory[["time", "change"]].values.tolist()[2:] == [[3, -4], [6, -6]]


def test_too_little_memory_names_device_time_pass_and_bytes() -> None:
    schedule = sim.FAMILIES["1f1b"](2, 4)
    costs = unit(schedule, activation_bytes=10)
    assert sim.simulate(schedule, costs, Cluster(2, memory=(20, 10)))
    with pytest.raises(sim.OutOfMemory) as caught:
        sim.simulate(schedule, costs, Cluster(2, memory=(19, 10)))
    error = caught.value
    assert (error.device, error.time, error.op, error.wanted, error.free) == (0, 1, "F1@0", 10, 9)
    assert str(error) == (
        "out of memory on device 0 at time 1: F1@0 wants 10 bytes, 9 of 19 are free"
    )


def test_bytes_typed_as_powers_of_ten_are_written_out() -> None:
    costs = unit(TWO, activation_bytes=2e9, static_bytes=7e9)
    with pytest.raises(sim.OutOfMemory, match=r"2,000,000,000 bytes, 1,000,000,000 of 8,000,000,0"):
        sim.simulate(TWO, costs, Cluster(2, memory=(8e9, 8e9)))


def test_a_barrier_costs_the_makespan_and_none_costs_the_longest_stage() -> None:
    """Zero bubble holds from iteration to iteration only where nobody waits for everybody."""
    schedule = sim.FAMILIES["zb-h2"](4, 12)
    costs = unit(schedule)
    once = sim.simulate(schedule, costs)
    together = sim.simulate(schedule, costs, iterations=4)
    alone = sim.simulate(schedule, costs, iterations=4, barrier=False)
    assert sim.iteration_times(together) == (sim.makespan(once),) * 4
    assert sim.iteration_times(alone)[1:] == (sim.longest_stage(once),) * 3
    assert sim.longest_stage(once) < sim.makespan(once)


def test_the_optimizer_step_lies_between_two_iterations() -> None:
    trace = sim.simulate(TWO, unit(TWO), iterations=2, optimizer=Fraction(1, 2))
    assert sim.iteration_times(trace) == (9, 9.5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"iterations": 0}, "iterations is 0: it must be a whole number >= 1"),
        ({"jitter": -1.0}, "jitter is -1.0: it must not be negative"),
        ({"optimizer": math.nan}, "optimizer is nan: it must be finite"),
        ({"cluster": 2}, r"expected a Cluster, got 2: Cluster\(n_devices\)"),
        ({"costs": None}, "expected a Costs, got None: Costs.uniform"),
        ({"costs": TWO, "schedule": unit(TWO)}, "expected a Schedule, got a Costs"),
        ({"cluster": Cluster(3)}, "the cluster has 3 devices, two has 2"),
        ({"costs": Costs.of(3, forward=1, backward=1, weight=1)}, "costs describe 3 stages"),
    ],
)
def test_bad_input_gets_one_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        sim.simulate(**{"schedule": TWO, "costs": unit(TWO)} | change)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(sim.FAMILIES)),
    p=st.integers(1, 5),
    m=st.integers(1, 9),
    send=st.integers(0, 4),
    memory=st.integers(0, 9),
)
def test_two_plays_of_one_schedule_are_equal(
    name: str, p: int, m: int, send: int, memory: int
) -> None:
    try:
        schedule = sim.FAMILIES[name](p, m)
    except ValueError:
        return  # the family does not take these numbers
    costs = unit(schedule, send=send, activation_bytes=memory)
    one, two = sim.simulate(schedule, costs), sim.simulate(schedule, costs)
    assert one.ops.equals(two.ops)
    assert one.transfers.equals(two.transfers)
    assert one.memory.equals(two.memory)


def test_passes_numbered_by_numpy_play_like_plain_ones() -> None:
    """Small types too: an int8 holds every microbatch here, but no number made of it."""
    plain = sim.FAMILIES["seq1f1b"](3, 100)
    orders = tuple(
        tuple(
            Op(op.kind, np.int8(op.stage), np.int8(op.microbatch), np.int8(op.slice))  # type: ignore[arg-type]
            for op in order
        )
        for order in plain.orders
    )
    numpy_made = replace(plain, orders=orders)
    costs = unit(plain, send=2, activation_bytes=6)
    for cluster in (Cluster(3), Cluster(3, receives="early"), Cluster(3, transfers="blocking")):
        expected = sim.simulate(plain, costs, cluster, iterations=2)
        found = sim.simulate(numpy_made, costs, cluster, iterations=2)
        for frame in ("ops", "transfers", "memory"):
            pd.testing.assert_frame_equal(getattr(found, frame), getattr(expected, frame))


def test_fused_steps_of_unequal_size_keep_their_rows_apart() -> None:
    """Three passes in one step, then single ones: rows, positions and times of each iteration."""
    order = (*(Op("F", 0, m) for m in range(3)), *(Op("BW", 0, m) for m in (1, 2, 0)))
    schedule = Schedule((0,), (order,), 3, fused=(order[:3], order[3:5]), name="clumps")
    ops = sim.simulate(schedule, unit(schedule), iterations=2, optimizer=4).ops
    names = [str(Op(*row)) for row in zip(ops.kind, ops.stage, ops.microbatch, strict=True)]
    assert names == [*map(str, order)] * 2
    assert ops.position.tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert ops.iteration.tolist() == [0] * 6 + [1] * 6
    assert ops.step.tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 5]
    assert ops.start.tolist() == [0, 0, 0, 3, 3, 7, 13, 13, 13, 16, 16, 20]
    assert ops.end.tolist() == [3, 3, 3, 7, 7, 9, 16, 16, 16, 20, 20, 22]

"""Passes and messages as numbers: every number has one meaning, and it can be read back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim import Op, Schedule, Value
from sim.engine.numbering import Numbering
from sim.testing import schedules

CHANNELS = st.lists(
    st.builds(Value, st.sampled_from(("activation", "gradient")), st.integers(0, 3), st.just(0)),
    unique=True, min_size=1, max_size=5,
)  # fmt: skip


@given(schedules(), CHANNELS, st.integers(0, 3))
def test_messages_of_all_iterations_are_numbered_without_a_gap(
    schedule: Schedule, channels: list[Value], iteration: int
) -> None:
    numbering = Numbering(schedule, channels)
    m = schedule.n_microbatches
    before = iteration * len(channels) * m
    found = [
        numbering.message(number, microbatch) + numbering.message_shift(iteration)
        for number in range(len(channels))
        for microbatch in range(m)
    ]
    assert found == list(range(before, before + len(channels) * m))


@given(schedules(), CHANNELS, st.data())
def test_a_message_says_which_value_it_is(
    schedule: Schedule, channels: list[Value], data: st.DataObject
) -> None:
    numbering = Numbering(schedule, channels)
    value = data.draw(st.sampled_from(channels))
    value = value._replace(microbatch=data.draw(st.integers(0, schedule.n_microbatches - 1)))
    iteration = data.draw(st.integers(0, 3))
    channel = numbering.channel(value, 0)
    assert channel is not None
    assert channels[channel] == value._replace(microbatch=0)
    first = numbering.message(channel, 0)
    message = first + numbering.message_shift(iteration, value.microbatch)
    assert numbering.value(message) == value
    assert numbering.origin(message) == (channel, value.microbatch, iteration)
    many = np.array([first, message])
    assert [column.tolist() for column in numbering.origin(many)] == [
        [channel, channel], [0, value.microbatch], [0, iteration],
    ]  # fmt: skip


def test_a_value_that_stays_has_no_channel() -> None:
    schedule = Schedule((0, 1), ((), ()), 2)
    numbering = Numbering(schedule, [Value("activation", 0, 0)])
    assert numbering.channel(Value("activation", 0, 1), 0) == 0
    assert numbering.channel(Value("activation", 1, 1), 0) is None
    assert numbering.channel(Value("saved", 0, 1), 0) is None


@given(schedules(), st.integers(0, 3))
def test_passes_are_numbered_device_by_device_behind_static_memory(
    schedule: Schedule, iteration: int
) -> None:
    numbering = Numbering(schedule, [])
    shift = numbering.pass_shift(iteration)
    names = [name for order in schedule.orders for name in ("static", *map(str, order))]
    assert [numbering.name(shift + number) for number in range(len(names))] == names
    assert numbering.pass_shift(1) == len(names)
    assert numbering.in_first(shift + 1) == 1


@given(schedules())
def test_a_number_is_found_by_device_and_position(schedule: Schedule) -> None:
    numbering = Numbering(schedule, [])
    expected: list[tuple[int, int, Op | None]] = []
    for device, order in enumerate(schedule.orders):
        assert numbering.static[device] == len(expected)
        expected.append((device, -1, None))
        for position, op in enumerate(order):
            assert numbering.first_pass(device, position) == len(expected)
            expected.append((device, position, op))
    assert list(zip(*numbering.table(), strict=True)) == expected

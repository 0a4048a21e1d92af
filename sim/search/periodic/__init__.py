"""Blocks that repeat: the smallest interval under a memory limit, and the schedule of a block.

`smallest_interval` asks in two steps. One microbatch per period: `bisection` narrows the period, a
`decide_*` says whether one is possible. Several: `dispatch`, `climb` and the solver, in turns
(`longer_periods`). `block_schedule` makes a schedule of the result.

    problem, limits      what is asked, in whole ticks and units; what passes wait for
    layout, fastest      when passes start; the fastest layout of an order
    unroll, tables       orders that repeat, unrolled; problems as arrays for compiled loops
    squeeze, rounds      compiled: play an order with moves; change a periodic order
"""

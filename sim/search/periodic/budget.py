"""How a search for the smallest interval shares out its time, and what counts as work in it."""

from __future__ import annotations

# Shares of the time that is left at that moment.

ONE_PER_PERIOD = 0.15
"""For one microbatch per period, where more are allowed: its last digit is not worth it all."""
WEIGHTS = 0.25
"""For moving W's on slot grids, before that, where several are allowed."""
DISPATCH = 0.4
"""For dispatching into idle time; what it finds is where the hill climb starts."""
UNIT_BLOCKS = 0.4
"""Of that, for listing the paper's blocks as orders to start from."""
CLIMB = 0.5
"""For the hill climb, if the solver is to have the other half."""
QUESTION = 0.4
"""For one question to the solver, so that others can follow."""

# Seconds.

SHORTEST_QUESTION = 0.05
"""A solver that has less cannot even set up its model."""
CLIMB_TURN = 0.3
"""For a hill climb before its result is looked at, about: the number of moves adapts to it."""

# Sizes.

SOLVABLE = 160
"""Passes in a period up to which the solver is asked about several microbatches per period."""
MOST_PER_PERIOD = 16
"""Blocks of more microbatches per period than that have not been of use."""

# Work, for clocks that count it instead of time. Measured on one core, to a factor of two.

SECONDS_PER_STATE = 1.5e-8
"""For a state of the tables of a V on one device."""
LEAST_SECONDS_PER_STATE = 2e-9
"""No machine is believed to be faster than that."""
PLAYS_PER_OFFER = 100
"""Played passes that taking an order is worth, for each pass of its period."""
PLAYS_PER_COMPARISON = 60
"""Played passes that looking for a repeating part is worth, for each pass of the order."""
PLAYS_PER_MOVE = 2
"""Played passes that a move of the hill climb is worth, for each pass of the period."""
LOOKS_PER_PLAY = 4
"""Passes that a device can look at, to choose one, in the time in which one is played."""
PLAYS_PER_ROUNDING = 300
"""Played passes that rounding a length to other ticks is worth, where a scale is chosen."""
PLAYS_PER_PASS = 40
"""Played passes that trying a slot grid is worth, for each pass of its period."""
PLAYS_PER_GRID = 5_000
"""Played passes that setting up a play of a slot grid is worth, even if it comes to no end."""

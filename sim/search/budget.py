"""How a search divides its time, and what counts as work where no time is measured.

How the part for the smallest interval is divided further says `periodic.budget`.
"""

from __future__ import annotations

# Shares of the whole time.

STARTS = 0.4
"""For orders to start from."""
RULES = 0.4
"""Of that, for list scheduling."""
SWEEP = 0.5
"""Of that, for a sweep over simple rules; a hill climb on the best of them has the rest."""
COMPUTED_BLOCK = 0.3
"""Of the starts, for the block with the smallest interval."""
UNIT_BLOCKS = 0.3
"""Of the starts, for the blocks of the paper's shape."""

# Shares of what is left after the starts, for a small schedule.

BEFORE_EXACT = 0.25
"""For local search, so that the solver starts from something good."""
EXACT = 0.6
"""Of what is left then, for the solver on the whole schedule."""

# Shares of what is left after the starts, for a long schedule.

TWIN = 0.3
"""For a schedule of few microbatches, which is lengthened then."""
TWIN_START = 0.25
"""Of that, for a block of the paper's to start from."""
TIPS = 0.25
"""For the solver on the first and the last passes."""
LAST_TIP = 0.7
"""Of that, for the last passes; the first have the rest."""
ENDS = 0.3
"""For warm-up and cool-down without the steady state."""
ENDS_ROUND = 0.5
"""Of that, for all of them at first, then for the better half, and so on."""

# Seconds, at most.

WINDOW = 6.0
"""For one window of local search."""
ANNEALING = 1.6
"""For one round of annealing, as far as moves can be told beforehand."""
SHORTEST = 0.1
"""A part of a search that has less is left out."""
BLOCK_AFTERWARDS = 2.0
"""For the smallest interval, if the order was proven optimal before that was looked for."""

# Work. Measured on one core, to a factor of two.

SECONDS_PER_BLOCK = 3e-5
"""For trying all blocks of the paper's shape, per device cubed and microbatch."""
SECONDS_PER_MODELLED_PASS = 1e-5
"""For writing down the model of a window, per pass of the whole order."""
PLAYS_PER_RULED_PASS = 2
"""Played passes that choosing a pass by rules is worth."""
PLAYS_PER_RULES = 2000
"""What making rules and setting up is worth, however few passes there are."""
PLAYS_PER_MOVE = 3
"""What a move of annealing is worth beside the passes that it plays."""
PLAYS_PER_ROUND = 10_000
"""What a round of local search is worth beside what it does."""
LOOKS_PER_PLAY = 8
"""Passes that a device can look at, to choose one, in the time in which one is played."""

"""How a search divides its time, and what counts as work where no time is measured.

How the part for the smallest interval is divided further says `periodic.budget`.
"""

# Starts: a share of all time, and parts of that share.
STARTS = 0.4  # orders to start from
RULES = 0.4  # list scheduling
SWEEP = 0.5  # of list scheduling: simple rules, before a hill climb on the best of them
COMPUTED_BLOCK = 0.3  # the block with the smallest interval
BLOCK_WITH_ENDS = 0.3  # of that, after it: warm-up and cool-down of the block
UNIT_BLOCKS = 0.3  # the blocks of the paper's shape

# Microbatches of unequal cost: a share of all time, before the starts.
FIRST_SEQUENCE = 0.4  # in which sequence they run

# Times that vary: a share of all time, after the search under the times as they are.
STEADY = 0.5

# A small schedule: shares of what is left.
BEFORE_EXACT = 0.25  # local search, so that the solver starts from something good
EXACT = 0.6  # then the solver on the whole schedule

# A long schedule: shares of what is left after the starts, and parts of these.
TIPS = 0.25  # the solver on the first and the last passes
LAST_TIP = 0.7  # of the tips: the last passes
ENDS = 0.3  # warm-up and cool-down without the steady state
ENDS_ROUND = 0.5  # of the ends: all of them at first, then the better half, and so on

# A search with levers: shares of its time.
LOOK = 0.1  # orders alone, to see whether the memory is scarce at all
PLANS = 0.5  # of the rest: what whole stages do

# Seconds, at most.
WINDOW = 6.0  # one window of local search
ANNEALING = 1.6  # one round of annealing, as far as moves can be told beforehand
BLOCK_AFTERWARDS = 2.0  # the smallest interval, where the order was proven optimal before it
SHORTEST = 0.1  # what has less is left out

# Work, in played passes or seconds. Measured on one core, to a factor of two.
SECONDS_PER_BLOCK = 3e-5  # all blocks of the paper's shape, per device cubed and microbatch
SECONDS_PER_MODELLED_PASS = 1e-5  # the model of a window, per pass of the whole order
PLAYS_PER_RULED_PASS = 2  # choosing a pass by rules
PLAYS_PER_RULES = 2000  # making rules and setting up, however few passes there are
PLAYS_PER_MOVE = 3  # a move of annealing, beside the passes that it plays
PLAYS_PER_ROUND = 10_000  # a round of local search, beside what it does

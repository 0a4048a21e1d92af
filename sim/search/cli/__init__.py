"""The command `search` and the options that it shares with `pareto`."""

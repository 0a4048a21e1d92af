"""Searches of a repeating block: its interval, the best possible one, and its schedule."""

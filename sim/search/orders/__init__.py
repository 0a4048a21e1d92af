"""Searches of a finite schedule: the order of every pass."""

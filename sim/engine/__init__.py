"""Plays a schedule: costs x cluster -> `simulate` -> trace. The SimPy model is `device`."""

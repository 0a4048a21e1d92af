"""A thread per device in one process: runs any schedule, and measures it."""

"""Where to cut a sequence, and what the slices cost."""

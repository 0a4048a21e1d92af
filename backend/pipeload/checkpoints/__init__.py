"""Published checkpoints made streamable."""

"""Training with a schedule: torch's own pipeline runtime in a user's own loop."""

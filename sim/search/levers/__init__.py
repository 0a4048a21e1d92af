"""Order, recompute and offload decided together."""

"""What a stage is: modules, their split backward, batches, and the reference."""

"""What passes cost, in seconds and bytes: measured, or estimated from one layer."""

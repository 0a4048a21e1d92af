"""A process per device, with torch's own pipeline runtime."""

"""What no order of the passes can beat, each bound with its proof; no solver."""

"""Numbers from a trace: clocks, bubbles, peaks, idle account, critical path, exports."""

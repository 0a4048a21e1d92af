"""Bubble and interval against the memory limit."""

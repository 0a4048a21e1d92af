"""Exact numbers, JSON text, files, extras, progress, Ctrl-C: what knows no pipeline."""

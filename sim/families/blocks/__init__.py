"""Building blocks of the V family: offsets -> repeat -> squeeze -> reorder."""

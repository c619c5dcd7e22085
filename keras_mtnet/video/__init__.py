"""Videos: opening, indexing, decoding and checking them, with PyAV and NumPy alone."""

"""Textbook detectors without training: they compare a row with the window before it."""

"""Detectors that measure closeness to the training rows by a kernel."""

"""Anomaly detectors: features in, scores out."""

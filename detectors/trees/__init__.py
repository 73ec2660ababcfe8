"""Detectors that are forests of random trees."""

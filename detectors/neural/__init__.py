"""Detectors that are networks. torch is imported here and nowhere else; the registry loads this folder when it is first needed."""

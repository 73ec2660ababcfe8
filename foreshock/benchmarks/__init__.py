"""Benchmarks: detectors, models and strategies compared with labelled events, published figures and each other."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

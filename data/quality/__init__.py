"""Cleaning: what is wrong with some bars, and what was done about it."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

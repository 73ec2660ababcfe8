"""Streams: what takes one row at a time, and can be stopped and taken up again at any row."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""Feature sets: what detectors see of bars, trade windows and order books, in batch and row by row."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

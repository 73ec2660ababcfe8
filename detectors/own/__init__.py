"""Detectors that are not foreshock's own: models of other libraries, functions, and scores from elsewhere."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""Short representations of values and results: one line, or a small table in a notebook."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

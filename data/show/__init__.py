"""How values and results show themselves: one line, a small table, a word for a type."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""Sources: prices, features and marks on the same rows, from bars, trades, order books or features made elsewhere."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

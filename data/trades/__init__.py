"""Trades, and the windows of time and bars of volume or value made from them."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

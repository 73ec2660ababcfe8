"""Scenarios of a history: how real they look, and the stressed risk of a portfolio."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

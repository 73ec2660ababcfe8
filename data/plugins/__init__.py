"""Plug-ins of users: their names, their parameters and the checks of their contracts."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""The store: history on disk that several processes may write, and that stays valid when a write is interrupted."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

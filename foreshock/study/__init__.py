"""A study: its configuration, how it is run, judged and recorded, and what it found."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

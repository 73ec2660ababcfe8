"""Parts shared by all pages: template, charts, tables, numbers and pictures."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""What users plug in: names, parameters, and the checks of a contract."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

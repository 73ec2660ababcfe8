"""Did it pay, would it have paid with other parameters, and at what cost would it stop to?"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

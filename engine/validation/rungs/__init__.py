"""The deciding test: activity after alerts held against two stated forecasts, calibrated by negative controls."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

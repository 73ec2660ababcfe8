"""From target weights to an account: orders, costs, fills by vectorbt, and the ledger beside it."""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

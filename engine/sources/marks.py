"""What the second forecast of the verdict also sees of windows of trades and of order books."""

from __future__ import annotations

import numpy as np

from foreshock.data.books.orderbook import Book
from foreshock.data.trades.windows import TradeWindows

WINDOW_MARKS = ("volume", "trades", "trade_size", "bought", "rush_orders")
BOOK_MARKS = ("depth", "spread", "bid_share", "placed", "cancelled", "traded")


def marks_of_windows(run: TradeWindows) -> dict[str, np.ndarray]:
    """Value, number and mean size of the trades of each window, the share of buys, and rush orders; (n_windows,) each."""
    return {
        "volume": run.quote_volume,
        "trades": run.trade_count,
        "trade_size": _ratio(run.quote_volume, run.trade_count),
        "bought": _ratio(run.buy_quote_volume, run.quote_volume),
        "rush_orders": run.rush_orders,
    }


def marks_of_book(book: Book) -> dict[str, np.ndarray]:
    """Depth, spread, share of the bids, and values placed, cancelled and traded of each snapshot; NaN where not known."""

    def total(values: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(values).all(axis=(1, 2)), np.nan, np.nansum(values, axis=(1, 2)))

    depth = total(book.notional)
    with np.errstate(divide="ignore", invalid="ignore"):
        bids = np.where(np.isnan(book.notional).any(axis=(1, 2)), np.nan, book.notional[:, 0].sum(axis=1) / depth)
        spread = book.spread / book.midpoint
    flows = {"placed": book.limit_notional, "cancelled": book.cancel_notional, "traded": book.market_notional}
    return {"depth": depth, "spread": spread, "bid_share": bids, **{name: total(values) for name, values in flows.items()}}


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Quotient, 0 where there was no trade."""
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)

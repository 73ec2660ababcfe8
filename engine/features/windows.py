"""The trade-window feature set: the formula of each feature, in batch and window by window."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from foreshock.data.checks import check_text, check_texts, check_type, did_you_mean
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import shown
from foreshock.data.stream.state import Stream
from foreshock.data.trades.windows import TradeWindows
from foreshock.engine.features.features import Features
from foreshock.engine.features.rows import BatchRows, Rows, StreamRows
from foreshock.engine.kernels.elementwise import over_positive, positive

WINDOW_FEATURES = (
    "log_return",
    "volatility",
    "volatility_20",
    "trade_count",
    "volume",
    "avg_trade_size",
    "buy_share",
    "rush_orders",
    "volume_ratio_20",
    "trade_count_ratio_20",
)


@door
def window_features(windows: TradeWindows, features: Sequence[str] = WINDOW_FEATURES, symbol: str = "asset") -> Features:
    """Causal features of trade windows.

    Row t uses windows up to and including t. A feature is NaN until its lookback is full, and where it is not defined (the average
    size without a trade, a ratio to a mean of zero). Returns use the price of the last trade, so a window without a trade has a
    return of zero; its counts and volumes are zero too.

    Parameters
    ----------
    windows : TradeWindows
        Consecutive windows of one symbol.
    features : sequence of str
        Names; trailing numbers are lookbacks in windows.

        ``log_return``, ``return_w``
            log(last price / last price one window, or w windows, before).
        ``trade_count``, ``volume``, ``avg_trade_size``, ``volatility``, ``rush_orders``
            The column of ``TradeWindows`` itself.
        ``range``
            log(highest / lowest price of the window); 0 in a window without a trade.
        ``buy_share``, ``buy_share_w``
            Volume of buys / volume, in one window or in the last w.
        ``rush_orders_w``, ``buy_quote_volume_w``
            Sum over the last w windows; ``buy_quote_volume`` in quote currency.
        ``volatility_w``
            Standard deviation of log_return (sample).
        ``volume_ratio_w``, ``trade_count_ratio_w``
            x / mean(x), the current window included.
        ``volume_zscore_w``, ``return_zscore_w``
            (x - mean(x)) / std(x) of volume and log_return, the current window included.
        ``buy_burst_k_w``
            Mean bought value (quote currency) of the last k windows over that of the w windows before them.
    symbol : str
        Name of the symbol in the result.

    Returns
    -------
    Features
        values of shape (n_windows, 1, n_features).

    Raises
    ------
    ConfigError
        If a name is unknown or a lookback too short.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.array(["2024-01-01T00:00:01", "2024-01-01T00:00:07", "2024-01-01T00:00:16"], "M8[us]")
    >>> price, size = np.array([100.0, 101.0, 102.0]), np.array([1.0, 2.0, 1.0])
    >>> trades = fs.Trades(time, price, size, price * size, np.array([True, False, True]))
    >>> fs.window_features(fs.trade_windows(trades, 5), ["log_return", "volume"]).values[:, 0].round(4)
    array([[   nan, 1.    ],
           [0.01  , 2.    ],
           [0.    , 0.    ],
           [0.0099, 1.    ]])
    """
    check_texts("features", features)
    if not len(features):
        raise ConfigError("features must be at least one name, got none; see fs.WINDOW_FEATURES")
    check_text("symbol", symbol)
    check_type("windows", windows, TradeWindows, "make them with fs.trade_windows")
    formulas, series = _formulas(features)
    rows = BatchRows({name: getattr(windows, name)[:, None] for name in _FIELDS}, series, start_row=windows.start_row)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.concatenate([formula(rows) for formula in formulas], axis=1)[:, None, :]
    return Features(windows.time, (symbol,), tuple(features), values, windows.interval)


@door
class WindowStream(Stream, Shown):
    """``window_features`` one window at a time, with bit-equal results.

    Parameters
    ----------
    features : sequence of str
        Names; see ``window_features``.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.array(["2024-01-01T00:00:01", "2024-01-01T00:00:07"], "M8[us]")
    >>> price = np.array([100.0, 101.0])
    >>> windows = fs.trade_windows(fs.Trades(time, price, price / price, price, np.array([True, False])), 5)
    >>> stream = fs.WindowStream(["log_return", "volume"])
    >>> [stream.update(windows.rows(slice(i, i + 1))).round(4).tolist() for i in range(2)]
    [[[nan, 1.0]], [[0.01, 1.0]]]
    """

    fixed = ("names",)
    carries = ("_rows", "_next")

    def __init__(self, features: Sequence[str] = WINDOW_FEATURES) -> None:
        check_texts("features", features)
        self.names = tuple(features)
        self._formulas, series = _formulas(features)
        self._rows = StreamRows(series)
        # Start of the next window in microseconds since 1970.
        self._next: int | None = None

    def update(self, window: TradeWindows) -> np.ndarray:
        """Features, shape (1, n_features), of the next window, ``TradeWindows`` of one row; pass windows without a trade too."""
        check_type("window", window, TradeWindows, "make them with fs.trade_windows")
        if len(window) != 1:
            raise DataError(f"update takes one window, got {len(window)}; pass one row, see TradeWindows.rows")
        start = int(window.time[0].astype("datetime64[us]").astype(np.int64))
        if self._next is not None and start != self._next:
            due = np.datetime64(self._next, "us")
            raise DataError(f"windows must be consecutive, got {window.time[0]}, expected {due}; pass empty windows too")
        if self._next is None:
            self._rows.start_row = window.start_row
        self._next = start + int(window.interval.astype("timedelta64[us]").astype(np.int64))
        self._rows.take({name: getattr(window, name) for name in _FIELDS})
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.concatenate([formula(self._rows) for formula in self._formulas], axis=1)

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.names), "feature")


def _ratio(rows: Rows, name: str, window: int) -> np.ndarray:
    return rows.series(name) / positive(rows.sums(name, window) / window)


def _zscore(rows: Rows, name: str, window: int) -> np.ndarray:
    deviation, std = rows.moments(name, window)[:2]
    return over_positive(deviation, std)


def _burst(rows: Rows, short: int, long: int) -> np.ndarray:
    before = rows.lagged(f"bought_{long}", short)
    return rows.sums("buy_quote_volume", short) / short / positive(before / long)


# Columns of the windows that features use; their log_return is not used, because it is the move within a window.
_FIELDS = (
    "close", "high", "low", "trade_count", "volume", "avg_trade_size", "volatility", "rush_orders", "buy_volume",
    "buy_quote_volume",
)  # fmt: skip
_SERIES: dict[str, Callable[[Rows], np.ndarray]] = {
    "log_price": lambda rows: np.log(rows.filled("close")),
    "log_return": lambda rows: rows.series("log_price") - rows.lagged("log_price", 1),
}
_PLAIN: dict[str, Callable[[Rows], np.ndarray]] = {
    **{
        name: lambda rows, name=name: rows.series(name)
        for name in ("log_return", "trade_count", "volume", "avg_trade_size", "volatility", "rush_orders")
    },
    "range": lambda rows: np.where(rows.series("trade_count") > 0, np.log(rows.series("high") / rows.series("low")), 0.0),
    "buy_share": lambda rows: rows.series("buy_volume") / positive(rows.series("volume")),
}
# The shortest lookback in windows, and the formula.
_WINDOWED: dict[str, tuple[int, Callable[[Rows, int], np.ndarray]]] = {
    "return": (1, lambda rows, w: rows.series("log_price") - rows.lagged("log_price", w)),
    "rush_orders": (1, lambda rows, w: rows.sums("rush_orders", w)),
    "buy_quote_volume": (1, lambda rows, w: rows.sums("buy_quote_volume", w)),
    "buy_share": (1, lambda rows, w: rows.sums("buy_volume", w) / positive(rows.sums("volume", w))),
    "volatility": (2, lambda rows, w: rows.moments("log_return", w)[1]),
    "volume_ratio": (2, lambda rows, w: _ratio(rows, "volume", w)),
    "trade_count_ratio": (2, lambda rows, w: _ratio(rows, "trade_count", w)),
    "volume_zscore": (2, lambda rows, w: _zscore(rows, "volume", w)),
    "return_zscore": (2, lambda rows, w: _zscore(rows, "log_return", w)),
}


def _formulas(features: Sequence[str]) -> tuple[list[Callable[[Rows], np.ndarray]], dict[str, Callable[[Rows], np.ndarray]]]:
    """The formulas of the features, and the series that they are computed from."""
    series = dict(_SERIES)
    return [_formula(name, series) for name in features], series


def _formula(name: str, series: dict[str, Callable[[Rows], np.ndarray]]) -> Callable[[Rows], np.ndarray]:
    if name in _PLAIN:
        return _PLAIN[name]
    match = re.fullmatch(r"([a-z_]+?)((?:_\d+)+)", str(name))
    lookbacks = [int(number) for number in match[2][1:].split("_")] if match else []
    if match and match[1] == "buy_burst" and len(lookbacks) == 2:
        short, long = lookbacks
        if min(lookbacks) < 1:
            raise ConfigError(f"the lookbacks of buy_burst must be at least 1 window, got {shown(name)}")
        series[f"bought_{long}"] = lambda rows: rows.sums("buy_quote_volume", long)
        return lambda rows: _burst(rows, short, long)
    if match is None or match[1] not in _WINDOWED or len(lookbacks) != 1:
        known = ", ".join([*_PLAIN, *(f"{key}_<windows>" for key in _WINDOWED), "buy_burst_<windows>_<windows>"])
        raise ConfigError(f"unknown feature {shown(name)}; expected one of {known}{did_you_mean(name, WINDOW_FEATURES)}")
    least, compute = _WINDOWED[match[1]]
    if lookbacks[0] < least:
        raise ConfigError(f"the lookback of {match[1]} must be at least {least} windows, got {lookbacks[0]} in {shown(name)}")
    return lambda rows: compute(rows, lookbacks[0])

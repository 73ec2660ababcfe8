"""The order-book feature set: the formula of each feature, in batch and snapshot by snapshot."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from foreshock.data.books.orderbook import BOOK_COLUMNS, LEVELS, MAX_GRID_ROWS, N_LEVELS, SIDES, TOTALS, Book, grid_row
from foreshock.data.checks import check_texts, check_type, did_you_mean
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import absolute_row
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import shown
from foreshock.data.stream.state import Stream
from foreshock.engine.features.features import Features
from foreshock.engine.features.rows import BatchRows, Rows, StreamRows
from foreshock.engine.kernels.elementwise import positive

BOOK_FEATURES = (
    "midpoint_return",
    "volatility_20",
    "relative_spread",
    "microprice_deviation",
    "imbalance_1",
    "imbalance_5",
    "imbalance_15",
    "log_depth_5",
    "log_depth_15",
    "depth_ratio_20",
    "depth_slope",
    "order_flow_imbalance",
    "cancel_to_limit_20",
    "market_share_20",
    "trade_imbalance",
)
LEVEL_FEATURES = tuple(f"log_{name}" for name in BOOK_COLUMNS if name not in TOTALS)
MAX_WINDOW = 10_000_000
# Prices are computed from distances and equal up to rounding; the smallest tick of a listed market is 1,000 times larger.
SAME_PRICE = 1e-9


@door
def book_features(book: Book, features: Sequence[str] = BOOK_FEATURES) -> Features:
    """Causal features of an order book, on its regular grid.

    Row t uses snapshots up to and including that of row t. A row without a snapshot is NaN in every feature, as is any
    row that is compared with it or has it in its window. A feature is NaN where an input is not known (a missing level, a column
    that the source lacks) and where it is not defined (a share of zero).

    Parameters
    ----------
    book : Book
        Snapshots of one symbol.
    features : sequence of str
        Names. ``LEVEL_FEATURES`` are the logs of all 150 columns of levels. b and a stand for bids and asks, q for notional, d for
        distance; k is a number of levels from 1 to 15, w a window in rows.

        any column of ``BOOK_COLUMNS``
            The column itself; see ``Book``.
        ``log_`` and a column
            log(1 + x), which equals log(price / midpoint) for a distance; for the midpoint, log(x).
        ``midpoint_return``
            log(midpoint / previous midpoint).
        ``volatility_w``
            Standard deviation of midpoint_return (sample), per row; w at least 2.
        ``relative_spread``
            spread / midpoint.
        ``microprice_deviation``
            (d_b0 s_a0 + d_a0 s_b0) / (s_a0 + s_b0) with the sizes s = q / (1 + d): the microprice [1]_ over the midpoint, less 1.
        ``imbalance_k``
            (sum q_b - sum q_a) / (sum q_b + sum q_a) over the best k levels.
        ``log_depth_k``
            log(sum q_b + sum q_a) over the best k levels.
        ``depth_ratio_w``
            Value resting in all levels over its mean in the last w rows, the current one included; w at least 2.
        ``depth_slope``
            log of the mean of both sides' slope of cumulated value c_i on absolute distance, through the origin:
            sum(d_i c_i) / sum(d_i^2), in quote currency per unit of relative price [2]_.
        ``order_flow_imbalance``, ``order_flow_imbalance_w``
            Value added at the best bid minus value added at the best ask since the previous row [3]_, in quote currency, and its
            sum over w rows. With p the best price and p', q' those of the row before: [p_b >= p_b'] q_b - [p_b <= p_b'] q_b' -
            [p_a <= p_a'] q_a + [p_a >= p_a'] q_a'.
        ``cancel_to_limit``, ``cancel_to_limit_w``
            Value cancelled over value placed, at all levels where both are known, in one row or the sums of w.
        ``market_share``, ``market_share_w``
            Value traded over value traded or cancelled, at all levels where both are known, in one row or the sums of w.
        ``trade_imbalance``, ``trade_imbalance_w``
            (buys - sells) / (buys + sells), in one row or the sums of w.

    Returns
    -------
    Features
        values of shape (n_grid_rows, 1, n_features); times are the multiples of the book's interval nearest to the snapshots.

    Raises
    ------
    ConfigError
        If a name is unknown, or a number of levels or a window out of range.
    DataError
        If two snapshots fall into one interval; see ``Book.grid_rows``.

    References
    ----------
    .. [1] Stoikov (2018), The micro-price: a high-frequency estimator of future prices. (Here its first approximation, the weighted
       midpoint.)
    .. [2] Naes and Skjeltorp (2006), Order book characteristics and the volume-volatility relation.
    .. [3] Cont, Kukanov and Stoikov (2014), The price impact of order book events.

    Examples
    --------
    >>> import foreshock as fs
    >>> book = fs.simulate_book(seed=1, n_rows=60).book
    >>> features = fs.book_features(book, ["imbalance_5", "relative_spread"])
    >>> features.values.shape, features.column("imbalance_5")[2].round(4)
    ((60, 1, 2), array([-0.2853]))
    """
    check_texts("features", features)
    if not len(features):
        raise ConfigError("features must be at least one name, got none; see BOOK_FEATURES")
    check_type("book", book, Book, "read one with fs.read_book")
    formulas = [_formula(name) for name in features]
    at, start = book.grid_rows()
    n_rows = int(at[-1]) + 1

    def spread(values: np.ndarray) -> np.ndarray:
        out = np.full((n_rows, values.shape[1]), np.nan)
        out[at] = values
        return out

    time = start + np.arange(n_rows) * book.interval
    fields = {name: spread(values) for name, values in _fields(book).items()}
    rows = BatchRows(fields, _SERIES, start_row=absolute_row(time, book.interval))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.concatenate([formula(rows) for formula in formulas], axis=1)[:, None, :]
    return Features(time, (book.symbol,), tuple(features), values, book.interval)


@door
class BookStream(Stream, Shown):
    """``book_features`` one snapshot at a time, with bit-equal results.

    Parameters
    ----------
    features : sequence of str
        Names; see ``book_features``.

    Examples
    --------
    >>> import foreshock as fs
    >>> book = fs.simulate_book(seed=1, n_rows=60).book
    >>> stream = fs.BookStream(["imbalance_5"])
    >>> for row in range(3):
    ...     latest = stream.update(book.rows(slice(row, row + 1)))
    >>> latest.round(4)
    array([[-0.2853]])
    """

    fixed = ("names",)
    carries = ("_rows", "_first", "_next")

    def __init__(self, features: Sequence[str] = BOOK_FEATURES) -> None:
        check_texts("features", features)
        self.names = tuple(features)
        self._formulas = [_formula(name) for name in features]
        self._rows = StreamRows(_SERIES)
        # Time of the first snapshot in microseconds since 1970.
        self._first: int | None = None
        self._next = 0

    def update(self, snapshot: Book) -> np.ndarray:
        """Features, shape (1, n_features), of the next snapshot, a book of one row; grid rows skipped since the last are gaps."""
        check_type("snapshot", snapshot, Book, "read one with fs.read_book")
        if len(snapshot) != 1:
            raise DataError(f"update takes one snapshot, got a book of {len(snapshot)}; pass one row, see Book.rows")
        if self._first is None:
            self._rows.start_row = absolute_row(np.array([snapshot.grid_rows()[1]]), snapshot.interval)
            self._first = int(snapshot.time[0].astype("datetime64[us]").astype(np.int64))
        at = int(grid_row(snapshot.time, np.datetime64(self._first, "us"), snapshot.interval)[0])
        if not self._next <= at < self._next + MAX_GRID_ROWS:
            raise DataError(
                f"snapshots must come in ascending order, one in an interval and at most {MAX_GRID_ROWS} intervals apart, got "
                f"{snapshot.time[0]}, row {at} of the grid, where row {self._next} was expected; sort the snapshots"
            )
        fields = {name: values[0] for name, values in _fields(snapshot).items()}
        unknown = {name: np.full_like(values, np.nan) for name, values in fields.items()}
        for _ in range(at - self._next):
            self._step(unknown)
        self._next = at + 1
        return self._step(fields)

    def _step(self, fields: Mapping[str, np.ndarray]) -> np.ndarray:
        self._rows.take(fields)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.concatenate([formula(self._rows) for formula in self._formulas], axis=1)

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.names), "feature")


def _fields(book: Book) -> dict[str, np.ndarray]:
    """Columns (n_rows, 1) of the totals and (n_rows, 15) of each side's levels."""
    fields = {name: getattr(book, name)[:, None] for name in TOTALS}
    return fields | {f"{side}_{kind}": getattr(book, kind)[:, at] for at, side in enumerate(SIDES) for kind in LEVELS}


def _sum(x: np.ndarray, n: int = N_LEVELS) -> np.ndarray:
    """Sum of the first n columns from the first to the last, so that one row and many rows give equal bits."""
    if len(x) == 1:
        # In the same order, and one call for a single row.
        return np.cumsum(x[:, :n], axis=1)[:, -1:]
    total = x[:, :1].copy()
    for column in range(1, n):
        total += x[:, column : column + 1]
    return total


def _both(rows: Rows, kind: str, n: int = N_LEVELS) -> np.ndarray:
    return _sum(rows.series(f"bids_{kind}"), n) + _sum(rows.series(f"asks_{kind}"), n)


def _of_known(rows: Rows, kind: str, other: str) -> np.ndarray:
    """Sum of a flow over the levels of both sides at which another flow is known too; NaN if there is no such level."""
    flows = [(rows.series(f"{side}_{kind}"), rows.series(f"{side}_{other}")) for side in SIDES]
    known = [~np.isnan(a) & ~np.isnan(b) for a, b in flows]
    total = sum(_sum(np.where(mask, a, 0.0)) for mask, (a, _) in zip(known, flows, strict=True))
    return np.where((known[0] | known[1]).any(axis=1, keepdims=True), total, np.nan)


def _microprice(rows: Rows) -> np.ndarray:
    bid, ask = (rows.series(f"{side}_distance")[:, :1] for side in SIDES)
    bid_size, ask_size = (rows.series(f"{side}_notional")[:, :1] / (1 + d) for side, d in zip(SIDES, (bid, ask), strict=True))
    return (bid * ask_size + ask * bid_size) / positive(bid_size + ask_size)


def _imbalance(rows: Rows, k: int) -> np.ndarray:
    bids, asks = (_sum(rows.series(f"{side}_notional"), k) for side in SIDES)
    return (bids - asks) / positive(bids + asks)


def _slope(rows: Rows) -> np.ndarray:
    slopes = []
    for side in SIDES:
        away = np.abs(rows.series(f"{side}_distance"))
        slopes.append(_sum(away * np.cumsum(rows.series(f"{side}_notional"), axis=1)) / positive(_sum(away * away)))
    return np.log(positive((slopes[0] + slopes[1]) / 2))


def _order_flow_imbalance(rows: Rows) -> np.ndarray:
    flow = []
    for side, towards in zip(SIDES, (1, -1), strict=True):
        price, before = rows.series(f"{side}_best"), rows.lagged(f"{side}_best", 1)
        value, value_before = rows.series(f"{side}_first"), rows.lagged(f"{side}_first", 1)
        better = towards * (price / before - 1)
        came = np.where(better >= -SAME_PRICE, value, 0.0) - np.where(better <= SAME_PRICE, value_before, 0.0)
        flow.append(np.where(np.isnan(better), np.nan, came))
    return flow[0] - flow[1]


_SERIES: dict[str, Callable[[Rows], np.ndarray]] = {
    "midpoint_return": lambda rows: np.log(rows.series("midpoint") / rows.lagged("midpoint", 1)),
    **{f"{side}_best": lambda rows, s=side: rows.series("midpoint") * (1 + rows.series(f"{s}_distance")[:, :1]) for side in SIDES},
    **{f"{side}_first": lambda rows, s=side: rows.series(f"{s}_notional")[:, :1].copy() for side in SIDES},
    "depth": lambda rows: _both(rows, "notional"),
    "order_flow_imbalance": _order_flow_imbalance,
    "cancelled": lambda rows: _of_known(rows, "cancel_notional", "limit_notional"),
    "placed": lambda rows: _of_known(rows, "limit_notional", "cancel_notional"),
    "traded": lambda rows: _of_known(rows, "market_notional", "cancel_notional"),
    "removed": lambda rows: rows.series("traded") + _of_known(rows, "cancel_notional", "market_notional"),
    "bought_less_sold": lambda rows: rows.series("buys") - rows.series("sells"),
    "bought_or_sold": lambda rows: rows.series("buys") + rows.series("sells"),
}
# Ratios of two series, in one row or of sums over several rows: numerator and denominator.
_SHARES = {
    "cancel_to_limit": ("cancelled", "placed"),
    "market_share": ("traded", "removed"),
    "trade_imbalance": ("bought_less_sold", "bought_or_sold"),
}
_PLAIN: dict[str, Callable[[Rows], np.ndarray]] = {
    "midpoint_return": lambda rows: rows.series("midpoint_return"),
    "relative_spread": lambda rows: rows.series("spread") / rows.series("midpoint"),
    "microprice_deviation": _microprice,
    "depth_slope": _slope,
    "order_flow_imbalance": lambda rows: rows.series("order_flow_imbalance"),
    **{
        name: lambda rows, top=top, bottom=bottom: rows.series(top) / positive(rows.series(bottom))
        for name, (top, bottom) in _SHARES.items()
    },
}
# The smallest and the largest number, and the formula.
_NUMBERED: dict[str, tuple[int, int, Callable[[Rows, int], np.ndarray]]] = {
    "imbalance": (1, N_LEVELS, _imbalance),
    "log_depth": (1, N_LEVELS, lambda rows, k: np.log(positive(_both(rows, "notional", k)))),
    "volatility": (2, MAX_WINDOW, lambda rows, w: rows.moments("midpoint_return", w)[1]),
    "depth_ratio": (2, MAX_WINDOW, lambda rows, w: rows.series("depth") / positive(rows.sums("depth", w) / w)),
    "order_flow_imbalance": (1, MAX_WINDOW, lambda rows, w: rows.sums("order_flow_imbalance", w)),
    **{
        name: (1, MAX_WINDOW, lambda rows, w, top=top, bottom=bottom: rows.sums(top, w) / positive(rows.sums(bottom, w)))
        for name, (top, bottom) in _SHARES.items()
    },
}


def _formula(name: str) -> Callable[[Rows], np.ndarray]:
    if name in _PLAIN:
        return _PLAIN[name]
    logged = str(name).startswith("log_") and name[4:] in BOOK_COLUMNS
    if logged or name in BOOK_COLUMNS:
        return _column(name.removeprefix("log_"), logged)
    match = re.fullmatch(r"([a-z_]+)_(\d{1,9})", str(name))
    if match is None or match[1] not in _NUMBERED:
        known = ", ".join([*_PLAIN, *(f"{key}_<number>" for key in _NUMBERED)])
        hint = did_you_mean(name, [*_PLAIN, *BOOK_COLUMNS])
        raise ConfigError(f"unknown feature {shown(name)}; expected a column of the book, log_<column>, or one of {known}{hint}")
    least, most, compute = _NUMBERED[match[1]]
    number = int(match[2])
    if not least <= number <= most:
        raise ConfigError(f"the number of {match[1]} must be from {least} to {most}, got {number} in {shown(name)}")
    return lambda rows: compute(rows, number)


def _column(name: str, logged: bool) -> Callable[[Rows], np.ndarray]:
    field, level = (name, 0) if name in TOTALS else (name.rpartition("_")[0], int(name.rpartition("_")[2]))
    plain = lambda rows: np.ascontiguousarray(rows.series(field)[:, level : level + 1])  # noqa: E731
    if not logged:
        return plain
    log = np.log if name == "midpoint" else np.log1p
    return lambda rows: log(plain(rows))

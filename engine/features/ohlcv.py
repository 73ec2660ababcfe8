"""The OHLCV feature set: the formula of each bar feature, in batch and row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.checks import check_array, check_integer, check_texts, check_type, check_whole, did_you_mean
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown
from foreshock.data.stream.state import Stream
from foreshock.engine.features.features import Features
from foreshock.engine.features.rows import BatchRows, Rows, StreamRows
from foreshock.engine.kernels.bar import first_impossible_nb
from foreshock.engine.kernels.elementwise import (
    garman_klass_variance,
    illiquidity,
    over_close,
    over_positive,
    parkinson,
    positive,
    relative_change,
    root,
    traded,
)

OHLCV_FEATURES = (
    "log_return",
    "volatility_20",
    "range",
    "parkinson_20",
    "garman_klass_20",
    "volume_change",
    "volume_ratio_20",
    "return_zscore_168",
    "volume_zscore_168",
    "return_24",
    "drawdown_168",
    "amihud_20",
    "skew_168",
)
# Rows computed at a time: few enough that their arrays stay in a core's cache.
CHUNK_ROWS = 12_000
# A chunk has at least this many times the rows that are computed only to warm it up.
MIN_CHUNK_OF_WARM_UP = 8
MAX_WINDOW = 10_000_000
# How long a funding rate stands; exchanges settle every eight hours or more often.
FUNDING, STANDS = "funding_rate", np.timedelta64(1, "D")


@door
def ohlcv_features(bars: Bars, features: Sequence[str] = OHLCV_FEATURES, n_threads: int = 1) -> Features:
    """Causal features of OHLCV bars.

    Row t uses bars up to and including t. A feature is NaN until its window is full, in every window that contains an unknown
    bar, and where it is not defined (a z-score of a flat window, a change from zero volume).

    Parameters
    ----------
    bars : Bars
        History of one or more symbols.
    features : sequence of str
        Names; a trailing number is the window in bars, at least 2 (3 for ``skew``).

        ``log_return``
            log(close / previous close).
        ``range``
            (high - low) / close.
        ``volume_change``
            log(volume / previous volume).
        ``volatility_w``
            Standard deviation of log_return (sample, divisor w - 1), per bar.
        ``ewma_volatility_w``
            sqrt of the exponentially weighted mean of squared log_return, smoothing 2 / (w + 1), from the first return on.
        ``parkinson_w``
            sqrt(mean(log(high / low)^2) / (4 log 2)) [1]_.
        ``garman_klass_w``
            sqrt(mean(log(high / low)^2 / 2 - (2 log 2 - 1) log(close / open)^2)) [2]_.
        ``volume_ratio_w``
            volume / mean(volume).
        ``return_zscore_w``, ``volume_zscore_w``
            (x - mean(x)) / std(x) of log_return and volume, the current bar included.
        ``return_rank_w``, ``volume_rank_w``
            Rank of the bar among the last w, in (0, 1].
        ``return_w``
            log(close / close w bars before).
        ``drawdown_w``
            close / max(close) - 1.
        ``amihud_w``
            mean(abs(log_return) / (close * volume)) over the bars with trades, per unit of quote currency [3]_.
        ``skew_w``
            Sample skewness of log_return, adjusted for bias.
        ``market_correlation_w``, ``market_beta_w``
            Correlation with, and slope on, the mean log_return over the symbols known in the bar.
        ``funding_rate``, and any other column of ``bars.extras``
            The value of the bar; of ``funding_rate``, which most bars lack, the newest of the last 24 hours.
    n_threads : int
        Threads to use; the result is bit-equal for any number.

    Returns
    -------
    Features
        values of shape (n_bars, n_symbols, n_features).

    Raises
    ------
    ConfigError
        If a name is unknown, a window is too short, or no name is passed.

    References
    ----------
    .. [1] Parkinson (1980), The extreme value method for estimating the variance of the rate of return.
    .. [2] Garman and Klass (1980), On the estimation of security price volatilities from historical data.
    .. [3] Amihud (2002), Illiquidity and stock returns.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["log_return", "volatility_20"])
    >>> int(np.isnan(features.column("volatility_20")).sum())
    20
    >>> np.allclose(features.values[1, 0, 0], np.log(bars.close[1, 0] / bars.close[0, 0]))
    True
    """
    check_texts("features", features)
    if isinstance(features, str) or not isinstance(features, Iterable) or not len(features):
        raise ConfigError(f"features must be a list of at least one name, got {shown(features)}; see OHLCV_FEATURES")
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    check_whole("n_threads", n_threads, 1)
    extra = [name in bars.extras and not is_formula(name) for name in features]
    parsed = [_parse(name, bars.extras) for name, own in zip(features, extra, strict=True) if not own]
    # One contiguous plane for each feature; the view below has the features last.
    planes = np.empty((len(features), *bars.shape))

    # The first row of a chunk needs a full window of returns before it.
    warm_up = max((window for _, window in parsed), default=0) + 1
    step = _chunk_step(parsed, bars.n_bars, warm_up)
    start_row = bars.start_row
    own_planes = [plane for plane, own in zip(planes, extra, strict=True) if not own]
    for plane, name, own in zip(planes, features, extra, strict=True):
        if own:
            plane[:] = _extra(bars, name)

    def fill(starts: range) -> None:
        rows = None
        for first in starts:
            origin, stop = max(first - warm_up, 0), min(first + step, bars.n_bars)
            fields = {name: getattr(bars, name)[origin:stop] for name in FIELDS}
            rows = BatchRows(fields, _SERIES, _third(parsed), rows, start_row + origin)
            with np.errstate(divide="ignore", invalid="ignore"):
                for plane, (name, window) in zip(own_planes, parsed, strict=True):
                    plane[first:stop] = _formula(rows, name, window)[first - origin :]

    starts = range(0, bars.n_bars, step) if parsed else range(0)
    if n_threads > 1:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(fill, [starts[k::n_threads] for k in range(n_threads)]))
    else:
        fill(starts)
    return Features(bars.time, bars.symbols, tuple(features), np.moveaxis(planes, 0, 2), bars.interval)


@door
class OhlcvStream(Stream, Shown):
    """``ohlcv_features`` one bar at a time, with bit-equal results, for live monitoring.

    Parameters
    ----------
    n_symbols : int
        Number of symbols in each bar.
    features : sequence of str
        Names; see ``ohlcv_features``.
    start_row : int
        ``Bars.start_row`` of a history that begins with the first bar of the stream. With it, a stream that starts anywhere in a
        history gives the bits of the batch over all of it as soon as its windows are full (except ``ewma_volatility_w``, which
        depends on all earlier bars).

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> stream = fs.OhlcvStream(1, ["log_return", "volatility_20"], bars.start_row)
    >>> for row in zip(bars.open, bars.high, bars.low, bars.close, bars.volume):
    ...     latest = stream.update(row)
    >>> np.array_equal(latest, fs.ohlcv_features(bars, ["log_return", "volatility_20"]).values[-1])
    True
    """

    fixed = ("names", "n_symbols")
    carries = ("_rows",)

    def __init__(self, n_symbols: int, features: Sequence[str] = OHLCV_FEATURES, start_row: int = 0) -> None:
        check_whole("n_symbols", n_symbols, 1)
        check_integer("start_row", start_row)
        self.names = tuple(features)
        self.n_symbols = n_symbols
        self._parsed = [_parse(name) for name in features]
        self._rows = StreamRows(_SERIES, _third(self._parsed), start_row)

    def update(self, bar: Sequence[np.ndarray]) -> np.ndarray:
        """Features, shape (n_symbols, n_features), of the next bar: open, high, low, close, volume, each (n_symbols,).

        Raises
        ------
        DataError
            If ``Bars`` would refuse the bar: a price is not positive, only some prices are known, a volume is negative, or a
            value is infinite.
        """
        check_array("bar", bar)
        if len(bar) != len(FIELDS):
            raise DataError(f"a bar must have {', '.join(FIELDS)}, each of the symbols, got {len(bar)} of these")
        if any(np.shape(row) != (self.n_symbols,) for row in bar):
            raise DataError(f"a bar must have one value for each of {self.n_symbols} symbols, got {[np.shape(row) for row in bar]}")
        values = np.array(bar, dtype=np.float64)
        col = first_impossible_nb(values)
        if col >= 0:
            raise DataError(
                f"prices must be positive and finite, or all NaN, and the volume zero or more, "
                f"got {values[:, col].tolist()} for symbol {col}; set unknown values to NaN"
            )
        self._rows.take(dict(zip(FIELDS, values, strict=True)))
        out = np.empty((self.n_symbols, len(self._parsed)))
        with np.errstate(divide="ignore", invalid="ignore"):
            for j, (name, window) in enumerate(self._parsed):
                out[:, j] = _formula(self._rows, name, window)[0]
        return out

    def _facts(self) -> Iterator[str]:
        yield counted(self.n_symbols, "symbol")
        yield counted(len(self.names), "feature")


def is_formula(name: str) -> bool:
    match = re.fullmatch(r"([a-z_]+)_(\d+)", name)
    return name in _PLAIN or (match is not None and match[1] in _WINDOWED)


def _extra(bars: Bars, name: str) -> np.ndarray:
    """A column of ``bars.extras``; funding rates stand until the next, at most for a day."""
    values = bars.extras[name]
    if name != FUNDING:
        return values
    at = np.arange(bars.n_bars)[:, None]
    newest = np.maximum.accumulate(np.where(np.isnan(values), -1, at), axis=0)
    standing = (newest >= 0) & (at - newest < max(STANDS // bars.interval, 1))
    return np.where(standing, np.take_along_axis(values, np.maximum(newest, 0), axis=0), np.nan)


def _parse(name: str, extras: Collection[str] = ()) -> tuple[str, int]:
    """Name of the formula, and window in bars (0 for features without one)."""
    if name in _PLAIN:
        return name, 0
    match = re.fullmatch(r"([a-z_]+)_(\d+)", str(name))
    if match is None or match[1] not in _WINDOWED:
        known = ", ".join([*_PLAIN, *(f"{key}_<window>" for key in _WINDOWED)])
        known += f", or a column of extras: {few(sorted(extras))}" if extras else ""
        hint = did_you_mean(name, [*_PLAIN, *OHLCV_FEATURES, *extras])
        raise ConfigError(f"unknown feature {shown(name)}; expected one of {known}{hint}")
    window, least = int(match[2]), 3 if match[1] == "skew" else 2
    if not least <= window <= MAX_WINDOW:
        limits = f"at least {least} bars, got {window}" if window < least else f"at most {MAX_WINDOW} bars, got {window}"
        raise ConfigError(f"the window of {match[1]} must be {limits} in {shown(name)}")
    return match[1], window


def _chunk_step(parsed: Sequence[tuple[str, int]], n_bars: int, warm_up: int) -> int:
    """Rows of a chunk; all rows if a feature depends on all rows before it."""
    if any(name in _RECURSIVE for name, _ in parsed):
        return max(n_bars, 1)
    return max(CHUNK_ROWS, MIN_CHUNK_OF_WARM_UP * warm_up)


def _third(parsed: Sequence[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """Series and windows whose third moment is needed, for the skewness."""
    return frozenset(("log_return", window) for name, window in parsed if name == "skew")


def _market(rows: Rows) -> np.ndarray:
    """Mean log return over the symbols known in the row, shape (n_rows, 1); NaN where no symbol is known."""
    returns = rows.series("log_return")
    known = ~np.isnan(returns)
    # Sorted, because the order of a sum changes its rounding, and the order of symbols must change nothing.
    return (np.sort(np.where(known, returns, 0.0), axis=1).sum(axis=1) / known.sum(axis=1))[:, None]


# Series that features are computed from, each (n_rows, n_symbols) except the market, which has one column.
_SERIES: dict[str, Callable[[Rows], np.ndarray]] = {
    "log_return": lambda rows: rows.log_change("close", 1),
    "squared_return": lambda rows: rows.series("log_return") ** 2,
    "squared_range": lambda rows: rows.log_ratio("high", "low") ** 2,
    "traded_volume": lambda rows: positive(rows.series("volume")),
    "garman_klass": lambda rows: garman_klass_variance(rows.series("squared_range"), rows.log_ratio("close", "open")),
    "traded": lambda rows: traded(rows.series("log_return"), rows.series("volume")),
    "illiquidity": lambda rows: illiquidity(rows.series("log_return"), rows.series("close"), rows.series("volume")),
    "market": _market,
}


def _zscore(rows: Rows, name: str, window: int) -> np.ndarray:
    deviation, std = rows.moments(name, window)[:2]
    return over_positive(deviation, std)


def _market_correlation(rows: Rows, window: int) -> np.ndarray:
    scale = rows.moments("log_return", window)[1] * rows.moments("market", window)[1]
    return over_positive(rows.covariance("log_return", "market", window), scale)


_PLAIN: dict[str, Callable[[Rows], np.ndarray]] = {
    "log_return": lambda rows: rows.series("log_return"),
    "range": lambda rows: over_close(rows.series("high"), rows.series("low"), rows.series("close")),
    "volume_change": lambda rows: rows.log_change("traded_volume", 1),
}
_WINDOWED: dict[str, Callable[[Rows, int], np.ndarray]] = {
    "volatility": lambda rows, w: rows.moments("log_return", w)[1],
    "ewma_volatility": lambda rows, w: np.sqrt(rows.ewma("squared_return", w)),
    "parkinson": lambda rows, w: parkinson(rows.mean("squared_range", w)),
    "garman_klass": lambda rows, w: root(rows.mean("garman_klass", w)),
    "volume_ratio": lambda rows, w: rows.series("volume") / rows.mean("volume", w),
    "return_zscore": lambda rows, w: _zscore(rows, "log_return", w),
    "volume_zscore": lambda rows, w: _zscore(rows, "volume", w),
    "return_rank": lambda rows, w: rows.rank("log_return", w),
    "volume_rank": lambda rows, w: rows.rank("volume", w),
    "return": lambda rows, w: rows.log_change("close", w),
    "drawdown": lambda rows, w: relative_change(rows.series("close"), rows.highest("close", w)),
    "amihud": lambda rows, w: over_positive(rows.mean("illiquidity", w), rows.mean("traded", w)),
    "skew": lambda rows, w: rows.moments("log_return", w)[2],
    "market_correlation": _market_correlation,
    "market_beta": lambda rows, w: over_positive(rows.covariance("log_return", "market", w), rows.moments("market", w)[1] ** 2),
}
# Features whose value depends on all earlier rows, so that they cannot be computed in chunks.
_RECURSIVE = ("ewma_volatility",)


def _formula(rows: Rows, name: str, window: int) -> np.ndarray:
    return _WINDOWED[name](rows, window) if window else _PLAIN[name](rows)

"""Forward moves: moves after alerts compared with moves after other rows and after equally volatile rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_integer, check_texts, check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration, bars_in, format_duration, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few
from foreshock.engine.scores import Signals, thin
from foreshock.engine.validation.evidence.inference import RowSums, bootstrap_ratios, hac_dummy_p, hac_mean_p, welch_p
from foreshock.engine.validation.moves.moves import Moves, expected_log_path, moves_after

N_NEIGHBOURS = 50


@dataclass(frozen=True)
class HorizonMoves:
    """Moves over one horizon after events and after other rows; NaN means not known.

    Parameters
    ----------
    horizon : str
        Length of the move.
    n_events, n_others : int
        Rows whose forward move is known.
    n_effective : int
        Events at least a horizon apart, over all symbols together: the effective number of overlapping events.
    event_move, other_move, matched_move : float
        Mean absolute log move after events, after other rows, and as expected after rows with the volatility of the events.
    event_signed, other_signed : float
        Mean log move.
    abs_move_ratio, path_ratio, variance_ratio : float
        Events over other rows, for the absolute move, the sum of absolute moves and the realised variance.
    abs_move_ratio_ci, ci : tuple of float
        95 % block-bootstrap intervals of ``abs_move_ratio`` and of ``matched_ratio``.
    matched_ratio : float
        Absolute move of events over that of the other rows with the nearest expected volatility.
    p_naive, p_hac, p_matched : float
        Two-sided p-values: Welch's (the naive test, shown as a warning); the event dummy, and event minus match, both with
        Driscoll-Kraay errors over as many lags as the bootstrap's blocks are long.
    """

    horizon: str
    n_events: int
    n_others: int
    n_effective: int
    event_move: float
    other_move: float
    matched_move: float
    event_signed: float
    other_signed: float
    abs_move_ratio: float
    abs_move_ratio_ci: tuple[float, float]
    path_ratio: float
    variance_ratio: float
    matched_ratio: float
    ci: tuple[float, float]
    p_naive: float
    p_hac: float
    p_matched: float


@dataclass(frozen=True, repr=False)
class ForwardMoves(Shown):
    """Forward moves for each horizon, in the order asked for.

    Parameters
    ----------
    horizons : dict of str to HorizonMoves
        Moves by horizon; ``moves["6h"]`` is the same as ``moves.horizons["6h"]``.
    delay : int
        Bars from signal to entry.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> moves = fs.forward_moves(bars, scores.signals(fs.Fixed(2.0)), ["6h"], n_bootstrap=99)
    >>> moves["6h"].n_events, moves.delay
    (13, 1)
    """

    horizons: dict[str, HorizonMoves]
    delay: int

    def __getitem__(self, horizon: str) -> HorizonMoves:
        return self.horizons[horizon]

    @property
    def table(self) -> pd.DataFrame:
        """One row for each horizon."""
        return pd.DataFrame([asdict(moves) for moves in self.horizons.values()]).set_index("horizon")

    def _facts(self) -> Iterator[str]:
        yield few(self.horizons)
        yield f"delay {self.delay}"

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row per horizon, indexed by ``horizon``."""
        return self.table


class MoveTable:
    """Forward moves and expected volatility of some bars, computed once and shared by the detectors of a study."""

    def __init__(self, bars: Bars, horizons: Sequence[Duration], delay: int = 1) -> None:
        check_moves_fit(bars, horizons, delay)
        self.bars, self.delay = bars, delay
        self.entries: dict[str, tuple[Moves, np.ndarray]] = {}
        for horizon in horizons:
            moves = moves_after(bars, bars_in(horizon, bars.interval, "horizon"), delay)
            name = horizon if isinstance(horizon, str) else format_duration(parse_duration(horizon))
            self.entries[name] = (moves, expected_log_path(bars, moves))

    def only(self, horizon: str) -> MoveTable:
        """A table of the same moves for one of the horizons."""
        part = copy(self)
        part.entries = {horizon: self.entries[horizon]}
        return part

    @property
    def longest(self) -> str:
        """The longest horizon."""
        return max(self.entries, key=lambda name: self.entries[name][0].horizon)

    def after(self, signals: Signals, cooldown: Duration | None = None, n_bootstrap: int = 999, seed: int = 0) -> ForwardMoves:
        """``forward_moves`` of the table's bars, horizons and delay."""
        bars = self.bars
        if not np.array_equal(bars.time, signals.time) or bars.symbols != signals.symbols:
            raise DataError("signals must be on the rows and symbols of the bars; compute them from features of the same bars")
        events = signals.active if cooldown is None else thin(signals.active, bars_in(cooldown, bars.interval, "cooldown"))
        others = signals.decided & ~signals.active
        results = {
            name: _one_horizon(name, moves, forecast, events, others, n_bootstrap, seed)
            for name, (moves, forecast) in self.entries.items()
        }
        return ForwardMoves(results, self.delay)


def check_moves_fit(bars: Bars, horizons: Sequence[Duration], delay: int) -> None:
    """Refuse a horizon or delay that does not fit into the bars; a quick check before a ``MoveTable`` is computed."""
    check_whole("delay", delay, 1, " bar, because a score is known at the close of its bar")
    if delay >= bars.n_bars:
        raise ConfigError(f"delay must be shorter than the data, got {delay} for {bars.n_bars} bars; lower it")
    for horizon in horizons:
        n_bars = bars_in(horizon, bars.interval, "horizon")
        if n_bars + delay > bars.n_bars:
            raise ConfigError(
                f"horizon must be shorter than the data, got {horizon} = {n_bars} bars for {bars.n_bars} bars; "
                f"shorten the horizon, or pass more data"
            )


@door
def forward_moves(
    bars: Bars,
    signals: Signals,
    horizons: Sequence[Duration],
    delay: int = 1,
    cooldown: Duration | None = None,
    n_bootstrap: int = 999,
    seed: int = 0,
    table: MoveTable | None = None,
) -> ForwardMoves:
    """Moves after alerts against moves after other rows, over each horizon.

    An alert at row t is measured from the open of row t + delay. Other rows are those with a decision and no alert. The matched
    ratio divides the absolute moves of events by those expected from the 50 nearest other rows of the same symbol: nearest by the
    volatility forecast at the close of t (``expected_log_path``), 25 on either side where there are enough, and with the remaining
    difference in forecast divided out as in the bias-corrected matching estimator [1]_. Interval and p-value include the error of
    that expectation.

    Parameters
    ----------
    bars : Bars
        Prices.
    signals : Signals
        Alerts on the rows and symbols of ``bars``.
    horizons : sequence of str
        Durations such as ``"6h"``.
    delay : int
        Bars from signal to entry, at least 1.
    cooldown : str, optional
        After an event, alerts of the same symbol within this time are neither events nor other rows.
    n_bootstrap : int
        Draws of the block bootstrap; a block is twice the horizon, or n_rows^(1/3) if that is longer.
    seed : int
        Seed of the bootstrap.
    table : MoveTable, optional
        Table of the moves, to save its computation; its bars, horizons and delay replace the arguments; see ``MoveTable.after``.

    Raises
    ------
    ConfigError
        If a horizon is longer than the data or not a whole number of bars, or delay is below 1.
    DataError
        If signals and bars do not cover the same rows.

    References
    ----------
    .. [1] Abadie and Imbens (2011), Bias-corrected matching estimators for average treatment effects.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> moves = fs.forward_moves(bars, scores.signals(fs.Fixed(2.0)), ["6h"], n_bootstrap=99)
    >>> moves.to_frame()[["n_events", "abs_move_ratio"]].round(2)
             n_events  abs_move_ratio
    horizon
    6h             13            0.71
    """
    check_texts("horizons", horizons)
    check_integer("n_bootstrap", n_bootstrap)
    check_integer("seed", seed)
    check_type("signals", signals, Signals, "make them with Scores.signals")
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if table is not None:
        check_type("table", table, MoveTable, "leave it out, and it is computed")
    return (table or MoveTable(bars, horizons, delay)).after(signals, cooldown, n_bootstrap, seed)


def _one_horizon(
    name: str, moves: Moves, forecast: np.ndarray, events: np.ndarray, others: np.ndarray, n_bootstrap: int, seed: int
) -> HorizonMoves:
    y = moves.absolute
    compared = compare(moves, forecast, events, others)
    events, others, expected, matched = compared.events, compared.others, compared.expected, compared.matched
    sums, block, match_error = compared.sums, compared.block, compared.match_error
    nan = (float("nan"), float("nan"))
    raw_ci, ci = bootstrap_ratios(sums, block, n_bootstrap, seed) if len(sums.event_move) else (nan, nan)
    return HorizonMoves(
        horizon=name,
        n_events=int(events.sum()),
        n_others=int(others.sum()),
        n_effective=_count_apart(np.any(events, axis=1), moves.horizon),
        event_move=_mean(y[events]),
        other_move=_mean(y[others]),
        matched_move=_mean(expected[matched]),
        event_signed=_mean(moves.signed[events]),
        other_signed=_mean(moves.signed[others]),
        abs_move_ratio=sums.raw_ratio(),
        abs_move_ratio_ci=raw_ci,
        path_ratio=_divide(_mean(moves.path[events]), _mean(moves.path[others])),
        variance_ratio=_divide(_mean(moves.variance[events]), _mean(moves.variance[others])),
        matched_ratio=sums.matched_ratio(),
        ci=ci,
        p_naive=welch_p(y[events], y[others]),
        p_hac=hac_dummy_p(y, events, events | others, block),
        p_matched=hac_mean_p(y - expected, matched, block, -match_error),
    )


@dataclass(frozen=True)
class Comparison:
    """Events and other rows with known moves, the moves expected of the events, and their sums by row.

    Arrays have the shape (n_rows, n_symbols); ``sums`` runs from the first to the last row in either mask; ``block`` is the
    number of rows over which dependence is assumed.
    """

    events: np.ndarray
    others: np.ndarray
    expected: np.ndarray
    match_error: np.ndarray
    matched: np.ndarray
    sums: RowSums
    block: int


def compare(moves: Moves, forecast: np.ndarray, events: np.ndarray, others: np.ndarray) -> Comparison:
    """Compare the absolute moves of events with those of other rows, and of their matches by ``forecast``."""
    y = moves.absolute
    known = ~np.isnan(y)
    events, others = events & known, others & known
    expected, match_error = matched_expectation(y, forecast, events, others)
    matched = events & ~np.isnan(expected)
    span = np.flatnonzero((events | others).any(axis=1))
    rows = slice(span[0], span[-1] + 1) if span.size else slice(0, 0)
    sums = RowSums(
        *(
            np.where(mask, values, 0.0)[rows].sum(axis=1)
            for mask, values in (
                (events, y),
                (events, np.ones_like(y)),
                (others, y),
                (others, np.ones_like(y)),
                (matched, y),
                (matched, expected),
                (others, match_error),
            )
        )
    )
    # A move overlaps its neighbours over one horizon. Twice that, or the usual n^(1/3), covers the tail of their dependence.
    block = max(2 * moves.horizon, math.ceil(len(sums.event_move) ** (1 / 3)))
    return Comparison(events, others, expected, match_error, matched, sums, block)


def matched_expectation(
    y: np.ndarray, forecast: np.ndarray, events: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The move expected of each event from the other rows of its symbol with the nearest log forecast, and its error by row.

    The expectation is exp(forecast of the event) times the mean of y / exp(forecast) over its nearest neighbours; NaN elsewhere.
    The error of an other row is the sum, over the events that it is a neighbour of, of its deviation from that mean, times
    exp(forecast of the event) over the number of neighbours: its influence on the sum of all expectations [1]_. Both have the shape
    (n_rows, n_symbols).

    References
    ----------
    .. [1] Abadie and Imbens (2006), Large sample properties of matching estimators for average treatment effects.
    """
    expected, error = np.full(y.shape, np.nan), np.zeros(y.shape)
    for i in range(y.shape[1]):
        pool = np.flatnonzero(others[:, i] & ~np.isnan(forecast[:, i]))
        rows = np.flatnonzero(events[:, i] & ~np.isnan(forecast[:, i]))
        if len(pool) < N_NEIGHBOURS or not rows.size:
            continue
        pool = pool[np.argsort(forecast[pool, i], kind="stable")]
        ratio = y[pool, i] / np.exp(forecast[pool, i])
        position = np.searchsorted(forecast[pool, i], forecast[rows, i])
        first = np.clip(position - N_NEIGHBOURS // 2, 0, len(pool) - N_NEIGHBOURS)
        level = np.exp(forecast[rows, i])
        total = np.concatenate([[0.0], np.cumsum(ratio)])
        mean = (total[first + N_NEIGHBOURS] - total[first]) / N_NEIGHBOURS
        expected[rows, i] = level * mean
        error[pool, i] = (over_runs(level, first, len(pool)) * ratio - over_runs(level * mean, first, len(pool))) / N_NEIGHBOURS
    return expected, error


def over_runs(values: np.ndarray, first: np.ndarray, n: int) -> np.ndarray:
    """For each of n positions, the sum of the values whose run of N_NEIGHBOURS positions, starting at ``first``, covers it."""
    change = np.zeros(n + 1)
    np.add.at(change, first, values)
    np.subtract.at(change, first + N_NEIGHBOURS, values)
    return np.cumsum(change[:-1])


def _count_apart(rows: np.ndarray, distance: int) -> int:
    return int(thin(rows[:, None], distance).sum())


def _mean(x: np.ndarray) -> float:
    return float(x.mean()) if x.size else float("nan")


def _divide(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else float("nan")

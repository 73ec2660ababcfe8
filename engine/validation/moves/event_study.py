"""Event study: cumulative abnormal moves after alerts, and how fast the effect decays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_integer, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration, bars_in
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import one_line
from foreshock.engine.scores import Signals, thin
from foreshock.engine.validation.moves.bands import Band, sup_t_band
from foreshock.engine.validation.moves.forward import N_NEIGHBOURS, over_runs
from foreshock.engine.validation.moves.lead_lag import count_clusters
from foreshock.engine.validation.moves.moves import Moves, expected_log_path, season_dummies

HALF_LIVES = np.geomspace(0.5, 500, 121)
# Over fewer bars a half-life cannot be told from a constant.
LEAST_BARS = 3
FEW = "fewer than 2 groups of events with known bars"


@dataclass(frozen=True)
class Decay:
    """The effect of an alert by horizon: a ratio, and the half-life of the abnormal activity.

    Parameters
    ----------
    ratio, low, high : ndarray, shape (k,)
        Sum of absolute moves over the first 1 to k bars, divided by that of rows with the same volatility at the alert; 95 % band
        of all horizons at once.
    half_life : float
        H, in bars, in the best fit a 2^(-(j - 1) / H) + c to the excess activity at offsets j. The constant c captures what does
        not decay, and matches that lie in the aftermath of other events: without it H is 10 to 15 % too short. NaN where the
        excess is not clearly above 0, or no decay was seen.
    half_life_ci : tuple of float
        95 % interval of H. An upper end of 500 means that no decay was seen.
    reason : str
        Why a figure is NaN; empty otherwise.
    """

    ratio: np.ndarray
    low: np.ndarray
    high: np.ndarray
    half_life: float
    half_life_ci: tuple[float, float]
    reason: str = ""


@dataclass(frozen=True, repr=False)
class EventStudy(Shown):
    """Cumulative abnormal activity and returns after alerts; arrays have the shape (k,).

    Parameters
    ----------
    offsets : ndarray of int
        Bars from the alert, starting at 1, the first bar that can be traded.
    activity : ndarray
        Cumulative abnormal activity: absolute moves beyond those after equally volatile rows, in units of the move expected of one
        bar at the alert. 5 after ten bars means additional moves worth five bars.
    activity_low, activity_high : ndarray
        95 % band of all offsets at once.
    p_activity : float
        p-value of the null that no offset has abnormal activity.
    signed : ndarray
        Cumulative log return beyond the symbol's mean.
    signed_low, signed_high : ndarray
        95 % band of all offsets at once.
    p_signed : float
        p-value of the null that no offset has an abnormal return.
    n : ndarray of int
        Events whose bars are known up to the offset.
    n_events : int
        Events for which equally volatile rows were found.
    decay : Decay
        The ratio by horizon, and the half-life of the effect.
    reason : str
        Why figures are NaN; empty otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> fs.event_study(bars, scores.signals(fs.Fixed(2.0)), "12h", n_draws=99)
    EventStudy(9 events, 12 bars after each, p 0.33 of activity, 0.31 of returns)
    """

    offsets: np.ndarray
    activity: np.ndarray
    activity_low: np.ndarray
    activity_high: np.ndarray
    p_activity: float
    signed: np.ndarray
    signed_low: np.ndarray
    signed_high: np.ndarray
    p_signed: float
    n: np.ndarray
    n_events: int
    decay: Decay
    reason: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """One row for each offset."""
        names = ("activity", "activity_low", "activity_high", "signed", "signed_low", "signed_high", "n")
        columns = {name: getattr(self, name) for name in names}
        ratio = {"ratio": self.decay.ratio, "ratio_low": self.decay.low, "ratio_high": self.decay.high}
        return pd.DataFrame({**columns, **ratio}, index=pd.Index(self.offsets, name="offset"))

    def _facts(self) -> Iterator[str]:
        yield counted(self.n_events, "event")
        yield counted(len(self.offsets), "bar") + " after each"
        yield f"p {self.p_activity:.3g} of activity, {self.p_signed:.3g} of returns"
        if self.reason:
            yield one_line(self.reason, 80)

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row per offset, indexed by ``offset``."""
        return self.table


class EventStudyTable:
    """Bar-by-bar moves and expectations of one history, shared by the detectors of a study.

    Parameters
    ----------
    bars : Bars
        The history.
    horizon : str
        The last offset, as a duration.
    Attributes
    ----------
    returns, activity : ndarray, shape (n_bars, n_symbols)
        Log return of each bar, and its absolute value divided by the symbol's season (hour of day and weekend).
    knots : list of int
        Offsets 1, 2, 4 and so on, and the last one.
    forecasts : ndarray, shape (n_knots, n_bars, n_symbols)
        Log of the activity expected over the next ``knot`` bars at the close of each row (``expected_log_path``). Each knot has
        its own forecast, because the same volatility decays faster after a single large move than after many.
    """

    def __init__(self, bars: Bars, horizon: Duration = "48h") -> None:
        self.n_offsets = bars_in(horizon, bars.interval, "horizon")
        if self.n_offsets >= bars.n_bars:
            raise ConfigError(
                f"horizon must be shorter than the data, got {horizon} = {self.n_offsets} bars for {bars.n_bars} bars; shorten it"
            )
        self.bars, self.returns = bars, bars.returns()
        absolute = np.abs(self.returns)
        season = seasonal_level(bars, absolute)
        self.activity = np.divide(absolute, season, out=np.full(bars.shape, np.nan), where=season > 0)
        self.knots = [2**i for i in range(self.n_offsets.bit_length()) if 2**i < self.n_offsets] + [self.n_offsets]
        ahead = [sums_ahead(column, self.n_offsets) for column in self.activity.T]
        self.forecasts = np.empty((len(self.knots), *bars.shape))
        for place, knot in enumerate(self.knots):
            path = np.column_stack([sums[:, knot - 1] for sums in ahead])
            self.forecasts[place] = expected_log_path(bars, Moves(knot, 1, path, path, path))


def seasonal_level(bars: Bars, values: np.ndarray) -> np.ndarray:
    """Mean of ``values`` by hour of day, times that by weekend or weekday, shape (n_bars, n_symbols)."""
    season = season_dummies(bars)
    weekend, hours = season[:, 0].astype(int), np.argmax(season[:, 1:], axis=1)
    level = np.ones(values.shape)
    for groups in (hours, weekend):
        for group in np.unique(groups):
            rows = groups == group
            known = ~np.isnan(values[rows])
            # A price that never moves has the level 0, which must not become NaN.
            share = np.divide(values[rows], level[rows], out=np.zeros_like(values[rows]), where=known & (level[rows] > 0))
            level[rows] *= share.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return level


@door
def event_study(
    bars: Bars,
    signals: Signals,
    horizon: Duration = "48h",
    cooldown: Duration | None = None,
    n_draws: int = 999,
    seed: int = 0,
    table: EventStudyTable | None = None,
) -> EventStudy:
    """Cumulative abnormal activity and signed return after alerts, with simultaneous bands, and the decay of the effect.

    The normal activity up to an offset is the mean, up to the same offset, over the 50 rows of the symbol without an alert that
    have the nearest forecast for about that horizon. The forecast includes the bar of the alert, so it contains what volatility
    alone implies, and a detector that echoes volatility adds nothing. Hour and weekend effects are removed first. The bands
    include the error of the match, and allow for overlapping events and for symbols that move together.

    Parameters
    ----------
    bars : Bars
        Prices.
    signals : Signals
        Alerts on the rows and symbols of ``bars``.
    horizon : str
        The last offset, as a duration.
    cooldown : str, optional
        After an event, alerts of the same symbol within this time are neither events nor matches.
    n_draws, seed : int
        Draws behind the bands and the interval of the half-life, and their seed.
    table : EventStudyTable, optional
        Table of the same bars, to save its computation; its horizon replaces ``horizon``.

    Raises
    ------
    ConfigError
        If the horizon is longer than the data.
    DataError
        If signals and bars do not cover the same rows.

    References
    ----------
    MacKinlay (1997), Event studies in economics and finance.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> study = fs.event_study(bars, scores.signals(fs.Fixed(2.0)), "12h", n_draws=99)
    >>> study.to_frame().loc[[1, 12], ["activity", "n"]].round(2)
            activity  n
    offset
    1           0.09  9
    12         -0.03  9
    """
    check_integer("n_draws", n_draws)
    check_integer("seed", seed)
    check_type("signals", signals, Signals, "make them with Scores.signals")
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if not np.array_equal(bars.time, signals.time) or bars.symbols != signals.symbols:
        raise DataError("signals must be on the rows and symbols of the bars; compute them from features of the same bars")
    if table is not None:
        check_type("table", table, EventStudyTable, "leave it out, and it is computed")
    table = table or EventStudyTable(bars, horizon)
    k = table.n_offsets
    events = signals.active if cooldown is None else thin(signals.active, bars_in(cooldown, bars.interval, "cooldown"))
    others = signals.decided & ~signals.active
    found = _cumulate(table, events, others)
    n_clusters = count_clusters(found.used, k)
    offsets = np.arange(1, k + 1)
    if n_clusters < 2 or found.n.min() < 2:
        blank = np.full(k, np.nan)
        nan = float("nan")
        decay = Decay(blank, blank, blank, nan, (nan, nan), FEW)
        n_events = int(found.used.sum())
        return EventStudy(offsets, blank, blank, blank, nan, blank, blank, blank, nan, found.n, n_events, decay, FEW)
    activity = sup_t_band(found.activity, found.activity_error, k, n_clusters, n_draws, seed)
    signed = sup_t_band(found.signed, found.signed_error, k, n_clusters, n_draws, seed)
    return EventStudy(
        offsets,
        found.activity,
        *_around(found.activity, activity),
        activity.p,
        found.signed,
        *_around(found.signed, signed),
        signed.p,
        found.n,
        int(found.used.sum()),
        _decay(found, activity),
    )


@dataclass(frozen=True)
class _Cumulated:
    """Curves (k,), and the influence of each row on them, (n_rows, k); ``normal`` is the expected cumulative activity."""

    activity: np.ndarray
    activity_error: np.ndarray
    normal: np.ndarray
    signed: np.ndarray
    signed_error: np.ndarray
    n: np.ndarray
    used: np.ndarray


def _cumulate(table: EventStudyTable, events: np.ndarray, others: np.ndarray) -> _Cumulated:
    n_rows, n_symbols = events.shape
    k = table.n_offsets
    excess, normal, signed, error, count = (np.zeros((n_rows, k)) for _ in range(5))
    used = np.zeros(events.shape, dtype=bool)
    for i in range(n_symbols):
        sums = sums_ahead(table.activity[:, i], k)
        known = ~np.isnan(table.forecasts[:, :, i]).any(axis=0)
        # All bars of a match must be known; an event only needs those up to the offset.
        pool = np.flatnonzero(others[:, i] & known & ~np.isnan(sums[:, -1]))
        rows = np.flatnonzero(events[:, i] & known)
        if len(pool) < N_NEIGHBOURS or not rows.size:
            continue
        used[rows, i] = True
        back = sums_ahead(table.returns[:, i] - np.nanmean(table.returns[:, i]), k)[rows]
        one_bar = np.exp(table.forecasts[0, rows, i])
        for place, forecast in enumerate(table.forecasts[:, :, i]):
            offsets = slice(table.knots[place - 1] if place else 0, table.knots[place])
            near = pool[np.argsort(forecast[pool], kind="stable")]
            position = np.searchsorted(forecast[near], forecast[rows])
            first = np.clip(position - N_NEIGHBOURS // 2, 0, len(near) - N_NEIGHBOURS)
            # The expectation of an event is its own level times the mean of its matches, each divided by its own level.
            level = np.exp(forecast[rows]) / one_bar
            ratio = sums[near, offsets] / np.exp(forecast[near])[:, None]
            total = np.vstack([np.zeros(ratio.shape[1]), np.cumsum(ratio, axis=0)])
            expected = level[:, None] * (total[first + N_NEIGHBOURS] - total[first]) / N_NEIGHBOURS
            own = sums[rows, offsets] / one_bar[:, None]
            seen = ~np.isnan(own)
            excess[rows, offsets] += np.where(seen, own - expected, 0.0)
            normal[rows, offsets] += np.where(seen, expected, 0.0)
            signed[rows, offsets] += np.where(seen, back[:, offsets], 0.0)
            count[rows, offsets] += seen
            weight = over_runs(level, first, len(near))[:, None]
            mean = np.column_stack([over_runs(column, first, len(near)) for column in expected.T])
            error[near, offsets] -= (weight * ratio - mean) / N_NEIGHBOURS
    n = count.sum(axis=0)
    at_least = np.maximum(n, 1)
    activity, mean_signed = excess.sum(axis=0) / at_least, signed.sum(axis=0) / at_least
    return _Cumulated(
        activity,
        (excess - count * activity + error) / at_least,
        normal.sum(axis=0) / at_least,
        mean_signed,
        (signed - count * mean_signed) / at_least,
        n.astype(np.int64),
        used,
    )


def sums_ahead(x: np.ndarray, k: int) -> np.ndarray:
    """Sums of x (n_rows,) over the next 1, 2, ..., k rows, shape (n_rows, k); NaN from the first unknown row on."""
    ahead = np.full((len(x), k), np.nan)
    for j in range(1, k + 1):
        ahead[:-j, j - 1] = x[j:]
    return np.cumsum(ahead, axis=1)


def _around(curve: np.ndarray, band: Band) -> tuple[np.ndarray, np.ndarray]:
    return curve - band.critical * band.error, curve + band.critical * band.error


def _decay(found: _Cumulated, band: Band) -> Decay:
    ratio = 1 + found.activity / found.normal
    margin = band.critical * band.error / found.normal
    low, high = ratio - margin, ratio + margin
    nan = float("nan")
    if not (low > 1).any():
        return Decay(ratio, low, high, nan, (nan, nan), "no activity clearly beyond the ordinary")
    if len(ratio) < LEAST_BARS:
        return Decay(ratio, low, high, nan, (nan, nan), f"a half-life needs {LEAST_BARS} bars after the alert")
    # Curves are fitted bar by bar; the draws carry the dependence between bars.
    curves = np.diff(np.vstack([found.activity, found.activity + band.draws]), prepend=0.0, axis=1)
    lives = _half_life(curves, 1 / np.maximum(np.diff(band.draws, prepend=0.0, axis=1).var(axis=0), 1e-300))
    first, last = np.quantile(lives[1:], [0.025, 0.975])
    # If the longest half-life tried fits best, the bars do not determine it.
    life = float(lives[0]) if lives[0] < HALF_LIVES[-1] else nan
    return Decay(ratio, low, high, life, (float(first), float(last)))


def _half_life(curves: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Half-life of the best-fitting exponential of each curve, shape (n_curves, k), by weighted least squares over a grid."""
    shapes = 2.0 ** (-np.arange(curves.shape[1]) / HALF_LIVES[:, None])
    # The fit has a constant, so the weighted means of shapes and curves are removed.
    shapes = shapes - (shapes @ weight / weight.sum())[:, None]
    # An excess below 0 is not an effect: it fits no better than a constant 0.
    along = np.maximum(curves @ (shapes * weight).T, 0.0)
    return HALF_LIVES[np.argmax(along**2 / (shapes**2 @ weight), axis=1)]

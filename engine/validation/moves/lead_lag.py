"""Lead or lag of alerts relative to the onset of abnormal activity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_integer, check_shape, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration, bars_in
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import one_line
from foreshock.engine.scores import Signals, thin
from foreshock.engine.validation.moves.bands import sup_t_band
from foreshock.engine.validation.moves.moves import expected_log_path, moves_after

# A bar of more than four times its expected move says no more about the onset than a bar of four times.
CAP = 4.0
# Weight of each further bar on either side of an onset; fewer bars would suit a spike better, more a slow rise.
EDGE_DECAY, EDGE_BARS = 0.6, 8


@dataclass(frozen=True, repr=False)
class LeadLag(Shown):
    """Activity before and after alerts, and the bar in which it begins.

    Parameters
    ----------
    offsets : ndarray of int, shape (k,)
        Bars from the alert; 0 is the bar of the alert itself.
    activity : ndarray of float64, shape (k,)
        Mean, at the offset, of the absolute move of a bar over what was expected of it one bar before, capped at 4; 1 is normal.
    low, high : ndarray of float64, shape (k,)
        95 % band of all offsets at once.
    n : ndarray of int, shape (k,)
        Events whose bar at the offset is known.
    n_events : int
        Events used.
    p : float
        p-value of the null that activity is 1 at every offset.
    lead : float
        Offset, in bars, at which activity rises most: 3 if the moves begin three bars after the alert, 0 if they begin in the bar
        of the alert, negative if they begin before it. NaN if no offset is clearly above 1.
    lead_ci : tuple of float
        95 % bootstrap interval of ``lead``.
    reason : str
        Why a figure is NaN; empty otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> fs.lead_lag(bars, scores.signals(fs.Fixed(2.0)), "6h", n_draws=99)
    LeadLag(13 events, offsets -6 to 6, lead 0, 95 % from -3 to 0, p 0.01)
    """

    offsets: np.ndarray
    activity: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray
    n_events: int
    p: float
    lead: float
    lead_ci: tuple[float, float]
    reason: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """One row for each offset."""
        columns = {"activity": self.activity, "low": self.low, "high": self.high, "n": self.n}
        return pd.DataFrame(columns, index=pd.Index(self.offsets, name="offset"))

    def _facts(self) -> Iterator[str]:
        yield counted(self.n_events, "event")
        yield f"offsets {self.offsets[0]} to {self.offsets[-1]}" if len(self.offsets) else "no offset"
        yield f"lead {self.lead:.3g}, 95 % from {self.lead_ci[0]:.3g} to {self.lead_ci[1]:.3g}"
        yield f"p {self.p:.3g}"
        if self.reason:
            yield one_line(self.reason, 60)

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row per offset, indexed by ``offset``."""
        return self.table


def surprises(bars: Bars) -> np.ndarray:
    """Absolute move of each bar over what was expected of it at the close of the bar before, shape (n_bars, n_symbols).

    The mean is 1, whatever the volatility and the hour. NaN where either is not known.
    """
    moves = moves_after(bars, 1)
    out = np.full(bars.shape, np.nan)
    out[1:] = (moves.path / np.exp(expected_log_path(bars, moves)))[:-1]
    return out


@door
def lead_lag(
    bars: Bars,
    signals: Signals,
    reach: Duration = "48h",
    cooldown: Duration | None = None,
    n_draws: int = 999,
    seed: int = 0,
    surprise: np.ndarray | None = None,
) -> LeadLag:
    """Activity from ``reach`` before alerts to ``reach`` after them, and the estimated lead.

    The averages are of surprises, the absolute move of a bar over its expectation: once a rise in volatility is visible, the
    forecast includes it, so that its first bar stands out most. The lead is the edge in that curve: the offset at which the bars
    from there on exceed the previous bars by most, with nearer bars weighted more [1]_::

        lead = argmax_k sum_{j=0}^{7} 0.6^j (a[k + j] - a[k - 1 - j])

    The largest bar would be one bar late in half of the cases, because the largest move of a rise need not be its first.

    Parameters
    ----------
    bars : Bars
        Prices.
    signals : Signals
        Alerts on the rows and symbols of ``bars``.
    reach : str
        Time before and after an alert, at least 2 bars.
    cooldown : str, optional
        After an event, alerts of the same symbol within this time are not events.
    n_draws, seed : int
        Draws of the band and of the interval, and their seed.
    surprise : ndarray, shape (n_bars, n_symbols), optional
        ``surprises(bars)``, to save its computation.

    Raises
    ------
    ConfigError
        If ``reach`` is below 2 bars or longer than the data.
    DataError
        If signals and bars do not cover the same rows.

    References
    ----------
    .. [1] Canny (1986), A computational approach to edge detection.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> found = fs.lead_lag(bars, scores.signals(fs.Fixed(2.0)), "6h", n_draws=99)
    >>> found.n_events, found.lead, found.to_frame().index[[0, -1]].tolist()
    (13, 0.0, [-6, 6])
    """
    check_integer("n_draws", n_draws)
    check_integer("seed", seed)
    check_type("signals", signals, Signals, "make them with Scores.signals")
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if surprise is not None:
        check_shape("surprise", surprise, bars.shape)
    if not np.array_equal(bars.time, signals.time) or bars.symbols != signals.symbols:
        raise DataError("signals must be on the rows and symbols of the bars; compute them from features of the same bars")
    n_bars = bars_in(reach, bars.interval, "reach")
    if not 2 <= n_bars < bars.n_bars:
        raise ConfigError(f"reach must be at least 2 bars and shorter than the data, got {reach} = {n_bars} of {bars.n_bars} bars")
    events = signals.active if cooldown is None else thin(signals.active, bars_in(cooldown, bars.interval, "cooldown"))
    return lead_lag_curve(surprises(bars) if surprise is None else surprise, events, n_bars, n_draws, seed)


def lead_lag_curve(surprise: np.ndarray, events: np.ndarray, reach: int = 48, n_draws: int = 999, seed: int = 0) -> LeadLag:
    """``lead_lag`` for surprises and events, both (n_rows, n_symbols); ``reach`` in bars."""
    offsets = np.arange(-reach, reach + 1)
    capped = np.minimum(surprise, CAP)
    usual = np.array([np.nanmean(column) if (column > 0).any() else np.nan for column in capped.T])
    sums, n_by_row = row_profiles(capped / usual, events, offsets)
    n = n_by_row.sum(axis=0)
    n_events, clusters, n_clusters = int(events.sum()), _clusters(events, reach), count_clusters(events, reach)
    nan = float("nan")
    blank = np.full(len(offsets), nan)
    if n_clusters < 2 or n.min() < 2:
        reason = "fewer than 2 groups of events with known bars"
        activity = np.divide(sums.sum(axis=0), n, out=blank.copy(), where=n > 0)
        return LeadLag(offsets, activity, blank, blank, n, n_events, nan, nan, (nan, nan), reason)
    activity = sums.sum(axis=0) / n
    influence = np.zeros((len(surprise), len(offsets)))
    influence[np.flatnonzero(events.any(axis=1))] = (sums - n_by_row * activity) / n
    band = sup_t_band(activity - 1, influence, reach, n_clusters, n_draws, seed, floor=True)
    margin = band.critical * band.error
    low, high = activity - margin, activity + margin
    if not (low > 1).any():
        reason = "no offset stands out above 1"
        return LeadLag(offsets, activity, low, high, n, n_events, band.p, nan, (nan, nan), reason)
    lead = float(offsets[onset(activity)])
    # Complete clusters of events are drawn, so that bars shared by several events stay together.
    grouped = [np.zeros((n_clusters, len(offsets))) for _ in range(2)]
    for group, values in zip(grouped, (sums, n_by_row), strict=True):
        np.add.at(group, clusters, values)
    times = np.random.default_rng(seed).multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), n_draws)
    drawn = offsets[onset(times @ grouped[0] / np.maximum(times @ grouped[1], 1))]
    first, last = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return LeadLag(offsets, activity, low, high, n, n_events, band.p, lead, (float(first), float(last)))


def onset(activity: np.ndarray) -> np.ndarray:
    """Index of the edge in activity curves, shape (..., k): where the bars from there on exceed the previous bars by most."""
    k = activity.shape[-1]
    ahead = np.arange(k)[:, None] - np.arange(k)[None, :]
    # Column i has positive weights from bar i on and negative ones before it. Beyond the ends, activity is the median.
    weight = np.where(ahead >= 0, EDGE_DECAY ** np.clip(ahead, 0, None), -(EDGE_DECAY ** np.clip(-1 - ahead, 0, None)))
    weight[(ahead >= EDGE_BARS) | (ahead < -EDGE_BARS)] = 0.0
    return np.argmax((activity - np.median(activity, axis=-1, keepdims=True)) @ weight, axis=-1)


def row_profiles(values: np.ndarray, events: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts, over the symbols of each row with an event, of the known values at each offset.

    Both have the shape (n_event_rows, k).
    """
    rows = np.flatnonzero(events.any(axis=1))
    active = events[rows]
    sums, counts = np.zeros((len(rows), len(offsets))), np.zeros((len(rows), len(offsets)), dtype=np.int64)
    for k, offset in enumerate(offsets):
        at = rows + offset
        inside = (at >= 0) & (at < len(values))
        found = values[np.clip(at, 0, len(values) - 1)]
        known = active & inside[:, None] & ~np.isnan(found)
        counts[:, k] = known.sum(axis=1)
        sums[:, k] = np.where(known, found, 0.0).sum(axis=1)
    return sums, counts


def count_clusters(events: np.ndarray, reach: int) -> int:
    """Number of groups of events, symbols taken together, that begin at least ``reach`` rows apart."""
    return int(thin(_any_symbol(events), reach).sum())


def _any_symbol(events: np.ndarray) -> np.ndarray:
    return np.any(events, axis=1)[:, None]


def _clusters(events: np.ndarray, reach: int) -> np.ndarray:
    """Index of the group of each row with an event; a new group begins ``reach`` or more rows after the previous one began."""
    begins = thin(_any_symbol(events), reach)[:, 0]
    return np.cumsum(begins)[np.flatnonzero(_any_symbol(events))] - 1

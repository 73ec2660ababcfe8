"""Intervals and p-values that allow for overlapping horizons and for markets that move together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """An estimate and its basis; NaN means not known, and ``reason`` says why.

    Parameters
    ----------
    value : float
        The estimate.
    ci : tuple of float
        95 % interval.
    p : float
        Two-sided, unless the test says otherwise.
    n, n_events : int
        Rows (of one symbol each) and, among them, events.
    against : str
        What the events were compared with.
    null : float
        Value without an effect: 1 for a ratio, 0 for a difference.
    reason : str
        Why the estimate is NaN; empty otherwise.
    """

    value: float
    ci: tuple[float, float]
    p: float
    n: int
    n_events: int
    against: str
    null: float = 1.0
    reason: str = ""


def unknown(reason: str, n: int, n_events: int, against: str, null: float = 1.0) -> Estimate:
    nan = float("nan")
    return Estimate(nan, (nan, nan), nan, n, n_events, against, null, reason)


def from_error(value: float, error: float, n: int, n_events: int, against: str, null: float = 1.0) -> Estimate:
    """Normal interval and p of an estimate with the standard error ``error``; unknown if the error is not positive."""
    if not error > 0:
        return unknown("no variation", n, n_events, against, null)
    reach = float(stats.norm.ppf(0.975)) * error
    return Estimate(value, (value - reach, value + reach), _two_sided(value - null, error**2), n, n_events, against, null)


@dataclass(frozen=True)
class RowSums:
    """Sums over the symbols of each row. Rows are the unit of resampling: symbols of one moment stay together.

    All arrays have the shape (n_rows,): moves and counts of events, of other rows, and of matched events with the moves expected
    of them, and what the row adds, as a neighbour, to the error of those expectations (sums to 0 over all rows).
    """

    event_move: np.ndarray
    event_count: np.ndarray
    other_move: np.ndarray
    other_count: np.ndarray
    matched_event_move: np.ndarray
    matched_expected: np.ndarray
    match_error: np.ndarray

    def raw_ratio(self) -> float:
        return float(_ratio(self.event_move.sum() * self.other_count.sum(), self.event_count.sum() * self.other_move.sum()))

    def matched_ratio(self) -> float:
        return float(_ratio(self.matched_event_move.sum(), self.matched_expected.sum()))


def _ratio(top: np.ndarray | float, bottom: np.ndarray | float) -> np.ndarray:
    top, bottom = np.asarray(top, float), np.asarray(bottom, float)
    return np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom > 0)


def bootstrap_ratios(
    sums: RowSums, block: int, n_draws: int, seed: int, level: float = 0.95
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile intervals of the raw and the matched ratio by circular block bootstrap over time [1]_.

    References
    ----------
    .. [1] Politis and Romano (1992), A circular block-resampling procedure for stationary data.
    """
    columns = _drawn_columns(sums)
    n_rows = len(columns)
    block = min(block, n_rows)
    wrapped = np.vstack([columns, columns[:block]])
    totals = np.vstack([np.zeros(columns.shape[1]), np.cumsum(wrapped, axis=0)])
    starts = np.random.default_rng(seed).integers(0, n_rows, (n_draws, -(-n_rows // block)))
    drawn = np.empty((n_draws, columns.shape[1]))
    for k in range(columns.shape[1]):
        drawn[:, k] = (totals[starts + block, k] - totals[starts, k]).sum(axis=1)
    raw = _ratio(drawn[:, 0] * drawn[:, 3], drawn[:, 1] * drawn[:, 2])
    return _interval(raw, level), _interval(_ratio(drawn[:, 4], drawn[:, 5]), level)


def _drawn_columns(sums: RowSums) -> np.ndarray:
    # Events share neighbours: resampling their errors too makes the interval include the error of the expectation.
    expected = sums.matched_expected + sums.match_error
    return np.column_stack(
        [sums.event_move, sums.event_count, sums.other_move, sums.other_count, sums.matched_event_move, expected]
    )


def stationary_bootstrap(sums: RowSums, block: float, n_draws: int, seed: int) -> np.ndarray:
    """Draws of the raw and the matched ratio by the stationary bootstrap [1]_, shape (n_draws, 2).

    Blocks start anywhere, wrap around the end, and have geometric lengths with mean ``block``.

    References
    ----------
    .. [1] Politis and Romano (1994), The stationary bootstrap.
    """
    columns = _drawn_columns(sums)
    n_rows = len(columns)
    totals = np.vstack([np.zeros(columns.shape[1]), np.cumsum(np.vstack([columns, columns]), axis=0)])
    rng = np.random.default_rng(seed)
    # So many blocks that their lengths cover the data in all but one draw in millions; such a draw is slightly shorter.
    n_blocks = int(n_rows / block + 6 * np.sqrt(n_rows / block) + 12)
    stops = np.minimum(np.cumsum(rng.geometric(1 / max(block, 1.0), (n_draws, n_blocks)), axis=1), n_rows)
    lengths = np.diff(stops, axis=1, prepend=0)
    starts = rng.integers(0, n_rows, (n_draws, n_blocks))
    drawn = np.column_stack([(total[starts + lengths] - total[starts]).sum(axis=1) for total in totals.T])
    return np.column_stack([_ratio(drawn[:, 0] * drawn[:, 3], drawn[:, 1] * drawn[:, 2]), _ratio(drawn[:, 4], drawn[:, 5])])


def stationary_block(influence: np.ndarray, least: float) -> float:
    """Mean block length by the rule of Politis and White [1]_ for the mean of ``influence`` (n_rows,), at least ``least``.

    References
    ----------
    .. [1] Patton, Politis, White (2009), Correction to "Automatic block-length selection for the dependent bootstrap".
    """
    from arch.bootstrap import optimal_block_length

    if len(influence) < 10 or np.ptp(influence) == 0:
        return least
    return float(max(least, optimal_block_length(influence)["stationary"].iloc[0]))


def bootstrap_estimate(value: float, draws: np.ndarray, n: int, n_events: int, against: str) -> Estimate:
    """Percentile interval of a ratio, and p: the share of draws whose log is as far from the estimate's as that is from 0."""
    low, high = _interval(draws, 0.95)
    if np.isnan(low) or not value > 0:
        return unknown("too few events: bootstrap draws without any", n, n_events, against)
    known = draws[draws > 0]
    far = np.abs(np.log(known / value)) >= abs(np.log(value))
    return Estimate(value, (low, high), float((1 + far.sum()) / (1 + len(known))), n, n_events, against)


def _interval(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Percentile interval; unknown if more than one draw in twenty had no event."""
    if np.isnan(draws).mean() > 0.05:
        return float("nan"), float("nan")
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def hac_variance(x: np.ndarray, lags: int) -> float:
    """Newey-West variance of the sum of ``x`` (n_rows,), Bartlett weights, ``lags`` autocovariances [1]_.

    References
    ----------
    .. [1] Newey and West (1987), A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent
       covariance matrix.
    """
    width = min(lags, len(x) - 1) + 1
    # The weighted sum of autocovariances is the sum of the squared sums over all windows of lags + 1 rows, with zeros around x.
    total = np.concatenate([np.zeros(width), np.cumsum(x), np.zeros(width - 1)])
    total[width + len(x) :] = total[width + len(x) - 1]
    windows = total[width:] - total[:-width]
    return float(windows @ windows / width)


def hac_dummy_p(y: np.ndarray, event: np.ndarray, known: np.ndarray, lags: int) -> float:
    """Two-sided p of b in y = a + b * event over a panel, standard error robust across symbols and time.

    Influences are summed over the symbols of a row before the Newey-West sum [1]_, so that overlapping horizons and symbols that
    move together are not counted as independent.

    Parameters
    ----------
    y, event, known : ndarray, shape (n_rows, n_symbols)
        Only rows with ``known`` are used.

    References
    ----------
    .. [1] Driscoll and Kraay (1998), Consistent covariance matrix estimation with spatially dependent panel data.
    """
    slope = dummy_slope(y, event, known)
    return _two_sided(slope.value, hac_variance(slope.influence, lags)) if slope else float("nan")


class Slope(NamedTuple):
    """Slope b of y = a + b * event: its value, the mean of y without event, and the influence of each row on b, (n_rows,)."""

    value: float
    base: float
    influence: np.ndarray


def dummy_slope(y: np.ndarray, event: np.ndarray, known: np.ndarray) -> Slope | None:
    """Least squares of y on an event dummy over the known entries of a panel; None with fewer than two events or other rows."""
    n_known, n_event = int(known.sum()), int((event & known).sum())
    if not 1 < n_event < n_known - 1:
        return None
    share = n_event / n_known
    base = float(y[known & ~event].mean())
    slope = float(y[event & known].mean()) - base
    fitted = np.where(event, base + slope, base)
    influence = np.where(known, (event - share) * (np.where(known, y, 0.0) - fitted), 0.0).sum(axis=1)
    return Slope(slope, base, influence / (n_known * share * (1 - share)))


def hodrick_variance(steps: np.ndarray, event: np.ndarray, known: np.ndarray, horizon: int, delay: int = 1) -> float:
    """Variance 1B of Hodrick [1]_ of the slope on an event dummy, for moves that are sums of ``horizon`` successive steps.

    Without predictability, steps are martingale differences about their mean. The sum over overlapping moves is then a sum over
    steps, each times the regressors of all moves that contain it::

        var(b) = sum_s (sum_i e[s, i] sum_{t = s-delay-horizon+1}^{s-delay} known[t, i] (event[t, i] - share))^2 / spread^2

    There is no lag to choose, and the errors remain valid if the horizon is long relative to the data. For a magnitude, steps must
    be surprises: absolute returns over what was expected of them a bar before.

    Parameters
    ----------
    steps : ndarray, shape (n_rows, n_symbols)
        Outcome of each bar; NaN where not known.
    event, known : ndarray of bool, shape (n_rows, n_symbols)
        Events, and rows whose move is known; only the latter are used.

    References
    ----------
    .. [1] Hodrick (1992), Dividend yields and expected stock returns: alternative procedures for inference and measurement.
    """
    n_known, n_event = int(known.sum()), int((event & known).sum())
    share = n_event / max(n_known, 1)
    if not 1 < n_event < n_known - 1:
        return float("nan")
    error = np.nan_to_num(steps - np.nanmean(steps))
    total = np.vstack([np.zeros(steps.shape[1]), np.cumsum(np.where(known, event - share, 0.0), axis=0)])
    rows = np.arange(len(steps))
    within = total[np.clip(rows - delay + 1, 0, None)] - total[np.clip(rows - delay - horizon + 1, 0, None)]
    return float(((error * within).sum(axis=1) ** 2).sum() / (n_known * share * (1 - share)) ** 2)


def hac_mean_p(x: np.ndarray, known: np.ndarray, lags: int, error: np.ndarray | float = 0.0) -> float:
    """Two-sided p of a zero mean of the known entries of a panel, (n_rows, n_symbols), with the errors of ``hac_dummy_p``.

    ``error`` is what an entry, known or not, adds to the error of the sum beyond its own deviation.
    """
    n = int(known.sum())
    if n < 2:
        return float("nan")
    mean = float(x[known].mean())
    centred = (np.where(known, np.where(known, x, 0.0) - mean, 0.0) + error).sum(axis=1)
    return _two_sided(mean, hac_variance(centred, lags) / n**2)


def welch_p(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p of Welch's t-test: the naive test, which treats overlapping moves as independent."""
    if len(a) < 2 or len(b) < 2:
        return float("nan")
    return _two_sided(float(a.mean() - b.mean()), float(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))


def _two_sided(estimate: float, variance: float) -> float:
    return float(2 * stats.norm.sf(abs(estimate) / np.sqrt(variance))) if variance > 0 else float("nan")

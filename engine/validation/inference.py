"""Intervals and p-values that respect overlapping horizons and markets that move together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.fft import next_fast_len


@dataclass(frozen=True)
class RowSums:
    """Sums over the symbols of each row, the unit that is resampled: symbols of one moment stay together.

    All arrays have the shape (n_rows,): moves and counts of events, of other rows, of events that found a match with the moves
    expected of them, and what the row's neighbours add to the error of those expectations (sums to 0 over all rows).
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
    columns = np.column_stack(
        [
            sums.event_move,
            sums.event_count,
            sums.other_move,
            sums.other_count,
            sums.matched_event_move,
            # Events share neighbours: drawing those too lets the interval know how well the expectation is known.
            sums.matched_expected + sums.match_error,
        ]
    )
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


def _interval(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Percentile interval, unknown when one draw in twenty had no event at all."""
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
    lags = min(lags, len(x) - 1)
    # All autocovariances at once; the padding keeps the circular convolution of the FFT from wrapping around.
    size = next_fast_len(len(x) + lags, real=True)
    spectrum = np.abs(np.fft.rfft(x, size)) ** 2
    products = np.fft.irfft(spectrum, size)[: lags + 1]
    weights = 1 - np.arange(1, lags + 1) / (lags + 1)
    return float(products[0] + 2 * weights @ products[1:])


def hac_dummy_p(y: np.ndarray, event: np.ndarray, known: np.ndarray, lags: int) -> float:
    """Two-sided p of b in y = a + b * event over a panel, standard error robust across symbols and time.

    Influences are summed over the symbols of a row before the Newey-West sum [1]_, so neither overlapping horizons nor
    symbols that move together count twice.

    Parameters
    ----------
    y, event, known : ndarray, shape (n_rows, n_symbols)
        Only rows with ``known`` enter.

    References
    ----------
    .. [1] Driscoll and Kraay (1998), Consistent covariance matrix estimation with spatially dependent panel data.
    """
    n_known, n_event = int(known.sum()), int((event & known).sum())
    if not 1 < n_event < n_known - 1:
        return float("nan")
    share = n_event / n_known
    fitted = np.where(event, y[event & known].mean(), y[known & ~event].mean())
    slope = y[event & known].mean() - y[known & ~event].mean()
    influence = np.where(known, (event - share) * (np.where(known, y, 0.0) - fitted), 0.0).sum(axis=1)
    spread = n_known * share * (1 - share)
    return _two_sided(slope, hac_variance(influence, lags) / spread**2)


def hac_mean_p(x: np.ndarray, known: np.ndarray, lags: int, error: np.ndarray | float = 0.0) -> float:
    """Two-sided p of a zero mean of the known entries of a panel, shape (n_rows, n_symbols), standard error as above.

    ``error`` is what an entry adds to the error of the sum beyond its own deviation, known or not.
    """
    n = int(known.sum())
    if n < 2:
        return float("nan")
    mean = float(x[known].mean())
    centred = (np.where(known, np.where(known, x, 0.0) - mean, 0.0) + error).sum(axis=1)
    return _two_sided(mean, hac_variance(centred, lags) / n**2)


def welch_p(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p of Welch's t-test: the naive test, which takes overlapping moves for independent ones."""
    if len(a) < 2 or len(b) < 2:
        return float("nan")
    return _two_sided(float(a.mean() - b.mean()), float(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))


def _two_sided(estimate: float, variance: float) -> float:
    return float(2 * stats.norm.sf(abs(estimate) / np.sqrt(variance))) if variance > 0 else float("nan")


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """q-values of p-values; NaN stays NaN and does not count as a test."""
    p = np.asarray(p_values, float)
    q = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known], method="bh")
    return q

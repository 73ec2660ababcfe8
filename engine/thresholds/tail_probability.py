"""How rare a score is: the share of the detector's own scores that are at least as high."""

from __future__ import annotations

import numpy as np

from foreshock.data.interval import bars_in
from foreshock.engine.scores import Scores, Threshold
from foreshock.engine.statistics.pareto import MIN_PEAKS, fit_pareto
from foreshock.engine.thresholds.peaks import PeaksOverThreshold
from foreshock.engine.thresholds.volatility import VolatilityScaled, standardise_by_volatility


def tail_probability(scores: Scores, threshold: Threshold, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Probability of a score at least as high, for some rows.

    The share of the symbol's known scores in the threshold's window, up to and with the row itself, that are at least as high as
    it. A score above all the others of the window has the probability that a generalised Pareto tail implies, fitted to those
    others as in ``PeaksOverThreshold``, or an exponential tail where the fitted one would end; where they are too few to fit one,
    the share stays. A threshold without a window has all earlier scores. Scores of a ``VolatilityScaled`` threshold are compared as
    it scales them.

    Parameters
    ----------
    scores : Scores
        Out-of-sample scores.
    threshold : Threshold
        The rule, whose window is used.
    rows, cols : ndarray of int, shape (n,)
        Row and column of each score.

    Returns
    -------
    ndarray of float64, shape (n,)
        Greater than 0 and at most 1; NaN where the score is not known.

    Examples
    --------
    >>> from foreshock.engine.thresholds.quantiles import RollingQuantile
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    >>> values = np.random.default_rng(0).exponential(1.0, (400, 1))
    >>> values[399] = 20.0
    >>> scores = Scores(time, ("A",), values, np.timedelta64(1, "h"))
    >>> tail_probability(scores, RollingQuantile(0.9, "10D"), np.array([398, 399]), np.array([0, 0])).round(6).tolist()
    [0.216667, 7.7e-05]
    """
    values, rule = scores.values, threshold
    if isinstance(rule, VolatilityScaled):
        values, rule = standardise_by_volatility(scores, halflife=rule.halflife).values, rule.policy
    span = getattr(rule, "window", None)
    window = bars_in(span, scores.interval, "threshold window") if span is not None else len(values)
    init = rule.init if isinstance(rule, PeaksOverThreshold) else PeaksOverThreshold.init
    return np.array(
        [
            _one(values[max(row - window + 1, 0) : row + 1, col], init)
            for row, col in zip(np.asarray(rows).tolist(), np.asarray(cols).tolist(), strict=True)
        ],
        dtype=np.float64,
    )


def _one(window: np.ndarray, init: float) -> float:
    """The probability of the last value of a window."""
    value = float(window[-1])
    if np.isnan(value):
        return float("nan")
    others = window[:-1][~np.isnan(window[:-1])]
    n_above = int((others >= value).sum())
    share = (n_above + 1) / (len(others) + 1)
    others = others[np.isfinite(others)]
    if n_above or not np.isfinite(value) or len(others) < MIN_PEAKS / (1 - init):
        return share
    start = float(np.quantile(others, init))
    peaks = others[others > start] - start
    if len(peaks) < MIN_PEAKS:
        return share
    shape, scale = fit_pareto(peaks)
    if shape <= 0:
        # A fitted tail of negative shape ends, and a score beyond its end has just been seen: at the lightest it is exponential.
        shape, scale = 0.0, float(peaks.mean())
    far = (value - start) / scale
    # log1p keeps precision near shape 0.
    log_tail = -far if shape == 0 else -np.log1p(shape * far) / shape
    # No probability of a score that was seen is 0.
    return float(max(len(peaks) / len(others) * np.exp(log_tail), np.finfo(np.float64).tiny))

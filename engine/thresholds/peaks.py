"""Peaks over threshold: the quantile of a generalised Pareto tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshock.data.checks import check_duration, check_number, check_type
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.show.facts import Shown
from foreshock.engine.scores import Scores
from foreshock.engine.statistics.pareto import MIN_PEAKS, fit_pareto


@dataclass(frozen=True, repr=False)
class PeaksOverThreshold(Shown):
    """The q-quantile of a symbol's scores, extrapolated from the peaks over a lower quantile [1]_, [2]_.

    With u the ``init``-quantile of the n known scores of the window, and the N scores above it exceeding u by amounts that
    follow a generalised Pareto distribution with shape k and scale s,

    threshold = u + s / k ((n (1 - q) / N)^-k - 1),    u - s log(n (1 - q) / N) for k = 0.

    The tail is fitted every ``refit``, on rows whose time is a multiple of it, from the scores of the window before that row, and
    holds until the next fit. Unlike the paper, alerts stay in the window: leaving them out
    would cut the tail shorter with every fit and let the alert rate rise. It needs fewer scores than a ``RollingQuantile`` of the
    same q, and can go beyond the largest score seen. NaN after a fit that has
    fewer than 10 / (1 - init) scores or 10 peaks.

    Parameters
    ----------
    q : float
        Above ``init``, below 1.
    init : float
        Where the tail begins.
    window : str
        A duration such as ``"60D"``, at least 10 / (1 - init) bars.
    refit : str
        A duration such as ``"1D"``.

    References
    ----------
    .. [1] Siffer, Fouque, Termier and Largouet (2017), Anomaly detection in streams with extreme value theory.
    .. [2] Zhang and Stephens (2009), A new and efficient estimation method for the generalized Pareto distribution.
    """

    q: float = 0.99
    init: float = 0.95
    window: str = "60D"
    refit: str = "1D"
    needs_train_scores = False

    def __post_init__(self) -> None:
        check_number("q", self.q)
        check_number("init", self.init)
        check_duration("window", self.window)
        check_duration("refit", self.refit)
        if not 0 < self.init < self.q < 1:
            raise ConfigError(f"init must lie between 0 and q, and q below 1, such as 0.95 and 0.99, got {self.init} and {self.q}")

    @property
    def nominal_rate(self) -> float:
        return 1 - self.q

    def threshold(self, scores: Scores) -> np.ndarray:
        """Threshold for each row and symbol, shape (n_rows, n_symbols)."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        window = bars_in(self.window, scores.interval, "threshold window")
        every = bars_in(self.refit, scores.interval, "threshold refit")
        least = int(np.ceil(round(MIN_PEAKS / (1 - self.init), 9)))
        if window < least:
            raise ConfigError(
                f"threshold window must hold at least {least} bars for {MIN_PEAKS} peaks at init={self.init}, got {window} "
                f"({self.window}); lengthen the window or lower init"
            )
        # Counted from the epoch, not from the first row: a history that begins later is fitted on the same days.
        due = scores.time.astype("datetime64[us]").astype(np.int64) // int(scores.interval.astype(np.int64)) % every == 0
        out = np.full(scores.values.shape, np.nan)
        for i, x in enumerate(scores.values.T):
            level = np.nan
            for row in range(1, len(x)):
                if due[row]:
                    level = self._level(x[max(row - window, 0) : row], least)
                out[row, i] = level
        return out

    def _level(self, x: np.ndarray, least: int) -> float:
        # An infinite score is an alert whatever the threshold, and no peak that a tail could be fitted to.
        known = x[np.isfinite(x)]
        if len(known) < least:
            return float("nan")
        start = np.quantile(known, self.init)
        peaks = known[known > start] - start
        # Scores that are mostly equal have no tail to speak of.
        if len(peaks) < MIN_PEAKS:
            return float("nan")
        shape, scale = fit_pareto(peaks)
        ratio = len(known) * (1 - self.q) / len(peaks)
        # Of tied scores so few may lie above the start that it is itself far enough out.
        if ratio >= 1:
            return float(start)
        # expm1 passes smoothly through shape 0.
        growth = -np.log(ratio)
        return float(start + scale * (np.expm1(shape * growth) / shape if shape != 0 else growth))

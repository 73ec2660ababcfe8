"""Peaks over threshold: the quantile of a generalised Pareto tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshock.data.checks import check_duration, check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.show.facts import Shown
from foreshock.engine.kernels.pareto import peaks_levels_nb
from foreshock.engine.scores import Scores
from foreshock.engine.statistics.pareto import MIN_PEAKS
from foreshock.engine.thresholds.stream import ThresholdStream


@door
@dataclass(frozen=True, repr=False)
class PeaksOverThreshold(Shown):
    """The q-quantile of a symbol's scores, extrapolated from the peaks over a lower quantile [1]_, [2]_.

    Let u be the ``init``-quantile of the n known scores of the window, and let the excesses of the N scores above u follow a
    generalised Pareto distribution with shape k and scale s. Then

    threshold = u + s / k ((n (1 - q) / N)^-k - 1),    u - s log(n (1 - q) / N) for k = 0.

    The tail is fitted at rows whose time is a multiple of ``refit``, from the scores of the window before that row, and used until
    the next fit. Unlike in [1]_, alerts stay in the window: removing them would shorten the tail with every fit and raise the alert
    rate. This rule needs fewer scores than a ``RollingQuantile`` of the same q, and its threshold can exceed all scores seen. The
    threshold is NaN after a fit with fewer than 10 / (1 - init) scores or 10 peaks.

    Parameters
    ----------
    q : float
        Quantile to estimate, above ``init`` and below 1.
    init : float
        Quantile at which the tail begins.
    window : str
        Lookback, a duration such as ``"60D"``, at least 10 / (1 - init) bars.
    refit : str
        Time between fits, a duration such as ``"1D"``.

    Raises
    ------
    ConfigError
        If not 0 < init < q < 1.

    References
    ----------
    .. [1] Siffer, Fouque, Termier and Largouet (2017), Anomaly detection in streams with extreme value theory.
    .. [2] Zhang and Stephens (2009), A new and efficient estimation method for the generalized Pareto distribution.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    >>> values = np.random.default_rng(0).exponential(1.0, (400, 1))
    >>> scores = fs.Scores(time, ("A",), values, np.timedelta64(1, "h"))
    >>> fs.PeaksOverThreshold(q=0.95, init=0.8, window="10D").threshold(scores)[-1].round(2)
    array([3.1])
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
        window, every, least = self._rows(scores)
        # Fits are counted from the epoch, so that a history that begins later is fitted on the same days.
        due = scores.time.astype("datetime64[us]").astype(np.int64) // int(scores.interval.astype(np.int64)) % every == 0
        due[:1] = False
        out = np.full(scores.values.shape, np.nan)
        for row in np.flatnonzero(due):
            out[row] = self._levels(scores.values[max(row - window, 0) : row], least)
        # Every row has the level of the last fit before it; rows before the first fit have that of row 0, which is none.
        return out[np.maximum.accumulate(np.where(due, np.arange(len(out)), 0))]

    def stream(self, scores: Scores) -> ThresholdStream:
        """The rule one row at a time, for the rows after ``scores``; see ``threshold_stream``."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return _PeaksStream(self, scores, *self._rows(scores)).after(scores)

    def _rows(self, scores: Scores) -> tuple[int, int, int]:
        """Rows of the window, rows between fits, and how many rows of the window must be known."""
        window = bars_in(self.window, scores.interval, "threshold window")
        every = bars_in(self.refit, scores.interval, "threshold refit")
        least = int(np.ceil(round(MIN_PEAKS / (1 - self.init), 9)))
        if window < least:
            raise ConfigError(
                f"threshold window must hold at least {least} bars for {MIN_PEAKS} peaks at init={self.init}, got {window} "
                f"({self.window}); lengthen the window or lower init"
            )
        return window, every, least

    def _levels(self, values: np.ndarray, least: int) -> np.ndarray:
        """The threshold of each symbol from the scores of a window, (n_rows, n_symbols), in whatever order."""
        return peaks_levels_nb(values, self.q, self.init, least, MIN_PEAKS)


class _PeaksStream(ThresholdStream):
    carries = (*ThresholdStream.carries, "_ring", "_level", "_row")

    def __init__(self, rule: PeaksOverThreshold, scores: Scores, window: int, every: int, least: int) -> None:
        super().__init__(scores)
        self._rule, self._every, self._least = rule, every, least
        self._ring = np.full((window, len(scores.symbols)), np.nan)
        self._level = np.full(len(scores.symbols), np.nan)
        self._row = 0

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        window = len(self._ring)
        if self._row and time // int(self.interval.astype("timedelta64[us]").astype(np.int64)) % self._every == 0:
            self._level = self._rule._levels(self._ring[: min(self._row, window)], self._least)
        self._ring[self._row % window] = row
        self._row += 1
        return self._level.copy()

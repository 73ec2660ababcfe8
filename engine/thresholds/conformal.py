"""Adaptive conformal threshold: a quantile whose level is adjusted after each alert."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from foreshock.data.checks import check_duration, check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.show.facts import Shown
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.stream import ThresholdStream


@door
@dataclass(frozen=True, repr=False)
class AdaptiveConformal(Shown):
    """Rolling quantile whose level follows the realised alerts [1]_, symbol by symbol.

    The threshold of row t is the (1 - a_t)-quantile of the symbol's known scores in the window before it, and

    a_{t+1} = a_t + gamma (alpha - alert_t),    a at first = alpha.

    An alert lowers a_t, which raises the threshold; each row without an alert raises a_t slightly. If a_t <= 0 no score is an alert
    (the threshold is plus infinity); if a_t >= 1 every score is (minus infinity). Hence for any scores, over n decided rows,

    \\|alert rate - alpha\\| <= (max(alpha, 1 - alpha) + gamma) / (gamma n).

    An unknown score does not change a_t. A threshold is known once 1 / alpha scores of the window are known, NaN before.

    Parameters
    ----------
    alpha : float
        Alert rate to keep, a fraction in (0, 1).
    gamma : float
        Step size: larger values keep the rate over shorter times, with a more variable threshold. About alpha / gamma alerts in
        quick succession (2 by default) take the level below 0; the symbol then has no alert for about 1 / alpha rows per alert.
    window : str
        Lookback, a duration such as ``"60D"``, at least 1 / alpha bars.

    Raises
    ------
    ConfigError
        If alpha or gamma is not in (0, 1).

    References
    ----------
    .. [1] Gibbs and Candes (2021), Adaptive conformal inference under distribution shift.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    >>> values = np.random.default_rng(0).exponential(1.0, (400, 1))
    >>> scores = fs.Scores(time, ("A",), values, np.timedelta64(1, "h"))
    >>> signals = scores.signals(fs.AdaptiveConformal(alpha=0.1, window="10D"))
    >>> round(signals.alert_rate, 3), int(np.isnan(signals.threshold).sum())
    (0.108, 10)
    """

    alpha: float = 0.01
    gamma: float = 0.005
    window: str = "60D"
    needs_train_scores = False

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha)
        check_number("gamma", self.gamma)
        check_duration("window", self.window)
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha must lie between 0 and 1, such as 0.01, got {self.alpha}")
        if not 0 < self.gamma < 1:
            raise ConfigError(f"gamma must lie between 0 and 1, such as 0.005, got {self.gamma}")

    @property
    def nominal_rate(self) -> float:
        return self.alpha

    def threshold(self, scores: Scores) -> np.ndarray:
        """Threshold for each row and symbol, shape (n_rows, n_symbols)."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return _adaptive_quantile_nb(scores.values, *self._rows(scores), self.alpha, self.gamma)

    def stream(self, scores: Scores) -> ThresholdStream:
        """The rule one row at a time, for the rows after ``scores``; see ``threshold_stream``. It depends on all rows before."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return _AdaptiveStream(self, scores, *self._rows(scores)).after(scores)

    def _rows(self, scores: Scores) -> tuple[int, int]:
        """Rows of the window, and how many of them must be known."""
        window = bars_in(self.window, scores.interval, "threshold window")
        least = int(np.ceil(round(1 / self.alpha, 9)))
        if window < least:
            raise ConfigError(
                f"threshold window must hold at least {least} bars for alpha={self.alpha}, got {window} ({self.window}); "
                f"lengthen the window or raise alpha"
            )
        return window, least


class _AdaptiveStream(ThresholdStream):
    carries = (*ThresholdStream.carries, "_ring", "_ordered", "_n", "_rate", "_row")

    def __init__(self, rule: AdaptiveConformal, scores: Scores, window: int, least: int) -> None:
        super().__init__(scores)
        self._rule, self._least = rule, least
        n = len(scores.symbols)
        self._ring, self._ordered = np.full((window, n), np.nan), np.zeros((n, window))
        self._n, self._rate = np.zeros(n, dtype=np.int64), np.full(n, float(rule.alpha))
        self._row = 0

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - rows are counted
        out = np.full(len(row), np.nan)
        at, rule = self._row % len(self._ring), self._rule
        _adaptive_row(row, at, self._ring, self._ordered, self._n, self._rate, self._least, rule.alpha, rule.gamma, out)
        self._row += 1
        return out


@njit(cache=True, nogil=True)
def _adaptive_row(row, at, ring, ordered, n, level, least, alpha, gamma, out):
    """One row of ``_adaptive_quantile_nb`` for every symbol; the ring holds the window before the row."""
    for i in range(len(row)):
        if n[i] >= least:
            if level[i] <= 0.0:
                out[i] = np.inf
            elif level[i] >= 1.0:
                out[i] = -np.inf
            else:
                place = (1.0 - level[i]) * (n[i] - 1)
                below = int(np.floor(place))
                above = min(below + 1, n[i] - 1)
                out[i] = ordered[i, below] + (place - below) * (ordered[i, above] - ordered[i, below])
        new, old = row[i], ring[at, i]
        ring[at, i] = new
        if not np.isnan(new) and n[i] >= least:
            level[i] += gamma * (alpha - (1.0 if new > out[i] else 0.0))
        if not np.isnan(old):
            place_of = np.searchsorted(ordered[i, : n[i]], old)
            for k in range(place_of, n[i] - 1):
                ordered[i, k] = ordered[i, k + 1]
            n[i] -= 1
        if not np.isnan(new):
            place_of = np.searchsorted(ordered[i, : n[i]], new)
            for k in range(n[i], place_of, -1):
                ordered[i, k] = ordered[i, k - 1]
            ordered[i, place_of] = new
            n[i] += 1


@njit(cache=True, nogil=True)
def _adaptive_quantile_nb(x, window, least, alpha, gamma):
    """Thresholds, shape of x (n_rows, n_symbols); ``ordered[:n]`` holds the known scores of the window before the row, sorted."""
    n_rows, n_symbols = x.shape
    out = np.full((n_rows, n_symbols), np.nan)
    ordered = np.empty(window)
    for i in range(n_symbols):
        n = 0
        level = alpha
        for row in range(n_rows):
            if n >= least:
                if level <= 0.0:
                    out[row, i] = np.inf
                elif level >= 1.0:
                    out[row, i] = -np.inf
                else:
                    place = (1.0 - level) * (n - 1)
                    below = int(np.floor(place))
                    above = min(below + 1, n - 1)
                    out[row, i] = ordered[below] + (place - below) * (ordered[above] - ordered[below])
            new = x[row, i]
            if not np.isnan(new) and n >= least:
                level += gamma * (alpha - (1.0 if new > out[row, i] else 0.0))
            if row >= window and not np.isnan(x[row - window, i]):
                at = np.searchsorted(ordered[:n], x[row - window, i])
                for k in range(at, n - 1):
                    ordered[k] = ordered[k + 1]
                n -= 1
            if not np.isnan(new):
                at = np.searchsorted(ordered[:n], new)
                for k in range(n, at, -1):
                    ordered[k] = ordered[k - 1]
                ordered[at] = new
                n += 1
    return out

"""Scores in units of their own recent spread, so that a change of volatility does not change the alert rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from foreshock.data.checks import check_array, check_duration, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.show.facts import Shown
from foreshock.engine.kernels.recursive import EwmMomentsStream, ewm_moments_nb
from foreshock.engine.scores import Scores, Threshold, check_threshold
from foreshock.engine.thresholds.stream import ThresholdStream, threshold_stream


@door
def standardise_by_volatility(scores: Scores, volatility: np.ndarray | None = None, halflife: str = "2D") -> Scores:
    """Divide scores by their scale, so that a change of volatility does not change them.

    Without ``volatility``: (score_t - mean) / std, exponentially weighted over the symbol's scores **before** row t, so that an
    extreme row does not enlarge its own scale. With ``volatility``: score_t / volatility_{t-1}.

    Parameters
    ----------
    scores : Scores
        Scores to standardise; the training scores of their folds are standardised separately, for ``TrainQuantile``.
    volatility : ndarray, shape (n_rows, n_symbols), optional
        Volatility known at the close of each row, such as the feature ``volatility_20``; row t - 1 is used for row t.
    halflife : str
        Half-life of the weights, a duration such as ``"2D"``, at least 2 bars. Scores are NaN until as many rows are known.

    Returns
    -------
    Scores
        NaN where the score or the scale is unknown, or the scale is 0.

    Raises
    ------
    ConfigError
        If ``volatility`` has another shape than the scores, or ``halflife`` is shorter than 2 bars.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    >>> values = np.random.default_rng(0).exponential(1.0, (400, 1))
    >>> values[200:] *= 2
    >>> scores = fs.Scores(time, ("A",), values, np.timedelta64(1, "h"))
    >>> doubled = fs.Scores(time, ("A",), 2 * values, np.timedelta64(1, "h"))
    >>> before, after = (fs.standardise_by_volatility(s, halflife="1D").values for s in (scores, doubled))
    >>> np.array_equal(before, after, equal_nan=True)
    True
    """
    if volatility is not None:
        check_array("volatility", volatility)
    check_type("scores", scores, Scores, "make them with fs.walk_forward")
    if volatility is None:
        n_rows = _rows(scores, halflife)
        return _mapped(scores, lambda x, _: _standardised(x, n_rows))
    if volatility.shape != scores.values.shape:
        raise ConfigError(f"volatility must have the shape of the scores, {scores.values.shape}, got {volatility.shape}")
    lagged = np.vstack([np.full((1, volatility.shape[1]), np.nan), volatility[:-1]])
    return _mapped(scores, lambda x, rows: _divide(x, lagged[rows]))


@door
@dataclass(frozen=True, repr=False)
class VolatilityScaled(Shown):
    """Another threshold, applied to standardised scores: ``mean + std * policy.threshold(standardised)``.

    The mean and the standard deviation are those of ``standardise_by_volatility``; the threshold is in the unit of the scores.
    When volatility doubles, a ``RollingQuantile`` alone alerts several times as often until its window has passed; when scaled, it
    keeps its rate. The threshold is NaN where the standardised scores have none.

    A score that is thousands of times as large as the rest affects mean and standard deviation for many half-lives, and the alert
    rate is too high while its effect fades: take the log of such scores, or use ``RollingQuantile`` alone.

    Parameters
    ----------
    policy : Threshold
        The rule that is applied to the standardised scores.
    halflife : str
        Half-life of mean and standard deviation, a duration of at least 2 bars.

    Raises
    ------
    ConfigError
        If ``policy`` is not a threshold.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    >>> values = np.random.default_rng(0).exponential(1.0, (400, 1))
    >>> scores = fs.Scores(time, ("A",), values, np.timedelta64(1, "h"))
    >>> fs.VolatilityScaled(fs.RollingQuantile(0.9, "10D"), "1D").threshold(scores)[-1].round(2)
    array([2.81])
    """

    policy: Threshold
    halflife: str = "2D"

    def __post_init__(self) -> None:
        check_duration("halflife", self.halflife)
        check_threshold(self.policy)

    @property
    def nominal_rate(self) -> float:
        return self.policy.nominal_rate

    @property
    def needs_train_scores(self) -> bool:
        return self.policy.needs_train_scores

    def threshold(self, scores: Scores) -> np.ndarray:
        """Threshold for each row and symbol, shape (n_rows, n_symbols)."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        mean, std = _past_moments(scores.values, _rows(scores, self.halflife))
        level = self.policy.threshold(standardise_by_volatility(scores, halflife=self.halflife))
        # Constant past scores have no scale; 0 times an infinite level would be NaN with a warning.
        return mean + np.multiply(std, level, out=np.full_like(std, np.nan), where=std > 0)

    def stream(self, scores: Scores) -> ThresholdStream:
        """The rule one row at a time, for the rows after ``scores``; see ``threshold_stream``. It depends on all rows before."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return _ScaledStream(self, scores, _rows(scores, self.halflife)).after(scores)


class _ScaledStream(ThresholdStream):
    carries = (*ThresholdStream.carries, "_moments", "_mean", "_std", "_policy")

    def __init__(self, rule: VolatilityScaled, scores: Scores, halflife: int) -> None:
        super().__init__(scores)
        n = len(scores.symbols)
        self._halflife = halflife
        self._moments = EwmMomentsStream(_smoothing(halflife), halflife, n)
        self._mean, self._std = np.full(n, np.nan), np.full(n, np.nan)
        none = replace(scores, time=scores.time[:0], values=scores.values[:0], folds=())
        self._policy = threshold_stream(rule.policy, none)

    def begin_fold(self, train_values: np.ndarray | None, train: slice | None = None) -> None:
        own = None if train_values is None else _standardised(train_values, self._halflife)
        self._policy.begin_fold(own, train)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        mean, std = self._mean, self._std
        level = self._policy.update(_divide(row - mean, std), np.datetime64(time, "us"))
        self._mean, self._std = self._moments.update(row)
        return mean + np.multiply(std, level, out=np.full_like(std, np.nan), where=std > 0)


def _rows(scores: Scores, halflife: str) -> int:
    n_rows = bars_in(halflife, scores.interval, "halflife")
    if n_rows < 2:
        raise ConfigError(f"halflife must be at least 2 bars, got {n_rows} ({halflife}); lengthen it")
    return n_rows


def _mapped(scores: Scores, function: Callable[[np.ndarray, slice], np.ndarray]) -> Scores:
    """Apply ``function`` to the scores and to the training scores of each fold, together with their rows."""
    folds = tuple(
        fold if fold.train_values is None else replace(fold, train_values=function(fold.train_values, fold.train))
        for fold in scores.folds
    )
    return replace(scores, values=function(scores.values, slice(None)), folds=folds)


def _standardised(x: np.ndarray, halflife: int) -> np.ndarray:
    mean, std = _past_moments(x, halflife)
    return _divide(x - mean, std)


def _past_moments(x: np.ndarray, halflife: int) -> tuple[np.ndarray, np.ndarray]:
    """Exponentially weighted mean and standard deviation of the known rows before each row; NaN until ``halflife`` are known."""
    past = np.ascontiguousarray(x[:-1], dtype=np.float64)
    first = np.full((min(len(x), 1), x.shape[1]), np.nan)
    mean, std = (np.vstack([first, moments]) for moments in ewm_moments_nb(past, _smoothing(halflife), halflife))
    return mean, std


def _smoothing(halflife: int) -> float:
    """Weight of a row before it is shared: half of it is left after ``halflife`` rows. Rounded as pandas rounds it."""
    centre = 1 / (1 - np.exp(np.log(0.5) / halflife)) - 1
    return float(1 / (1 + centre))


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)

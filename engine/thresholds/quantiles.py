"""Thresholds from quantiles of training or past scores, and a fixed one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshock.data.checks import check_array, check_duration, check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.show.facts import Shown
from foreshock.engine.kernels.robust import QuantilesStream, rolling_quantiles_nb
from foreshock.engine.kernels.tail import UpperQuantileStream, rolling_upper_quantile_nb
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.stream import ThresholdStream

# From this quantile on, a kernel that keeps only the largest values of the window is faster.
UPPER = 0.9


@door
@dataclass(frozen=True, repr=False)
class TrainQuantile(Shown):
    """The q-quantile of the training scores of each walk-forward fold, per symbol.

    Parameters
    ----------
    q : float
        Quantile in (0, 1); the nominal alert rate is 1 - q.

    Raises
    ------
    ConfigError
        If q is not in (0, 1), or the scores have no training scores.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> detector = fs.make_detector("zscore", window=24, columns=("log_return",))
    >>> splits = fs.WalkForward(train="5D", test="2D", embargo="1D")
    >>> scores = fs.walk_forward(detector, fs.ohlcv_features(bars, ["log_return"]), splits, train_scores=True)
    >>> fs.TrainQuantile(0.9).threshold(scores)[-1].round(3)
    array([1.643])
    """

    q: float = 0.99
    needs_train_scores = True

    def __post_init__(self) -> None:
        check_number("q", self.q)
        _check_quantile(self.q)

    @property
    def nominal_rate(self) -> float:
        return 1 - self.q

    def threshold(self, scores: Scores) -> np.ndarray:
        """Threshold for each row and symbol, NaN where a symbol has too few training scores for the quantile."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        trained = [(fold.test, fold.train_values) for fold in scores.folds if fold.train_values is not None]
        if not trained or len(trained) < len(scores.folds):
            raise ConfigError(
                "TrainQuantile needs the scores of the training rows; use walk_forward(..., train_scores=True), "
                "or RollingQuantile, which does not need them"
            )
        out = np.full(scores.values.shape, np.nan)
        for test, values in trained:
            out[test] = self.level(values)
        return out

    def level(self, train_values: np.ndarray) -> np.ndarray:
        """The threshold of each symbol, (n_symbols,), by the training scores of a fold, (n_rows, n_symbols)."""
        check_array("train_values", train_values)
        train_values = np.asarray(train_values, dtype=np.float64)
        if train_values.ndim != 2:
            raise ConfigError(f"train_values must have the shape (n_rows, n_symbols), got {train_values.shape}")
        out = np.full(train_values.shape[1], np.nan)
        enough = (~np.isnan(train_values)).sum(axis=0) >= min_known(self.q)
        if enough.any():
            out[enough] = np.nanquantile(train_values[:, enough], self.q, axis=0)
        return out

    def stream(self, scores: Scores) -> ThresholdStream:
        """The rule one row at a time, for the rows after ``scores``; see ``threshold_stream``."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return _TrainStream(self, scores).after(scores)


@door
@dataclass(frozen=True, repr=False)
class RollingQuantile(Shown):
    """The q-quantile of a symbol's own scores in the window before each row, without the row itself.

    A threshold is known once 1 / (1 - q) scores of the window are (100 for q = 0.99), NaN before.

    Parameters
    ----------
    q : float
        Quantile in (0, 1); the nominal alert rate is 1 - q.
    window : str
        Lookback, a duration such as ``"60D"``, at least 1 / (1 - q) bars.

    Raises
    ------
    ConfigError
        If q is not in (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    >>> values = np.random.default_rng(0).exponential(1.0, (400, 1))
    >>> scores = fs.Scores(time, ("A",), values, np.timedelta64(1, "h"))
    >>> signals = scores.signals(fs.RollingQuantile(0.9, "10D"))
    >>> signals.threshold[-1].round(4), round(signals.alert_rate, 3)
    (array([2.5247]), 0.1)
    """

    q: float = 0.99
    window: str = "60D"
    needs_train_scores = False

    def __post_init__(self) -> None:
        check_number("q", self.q)
        check_duration("window", self.window)
        _check_quantile(self.q)

    @property
    def nominal_rate(self) -> float:
        return 1 - self.q

    def threshold(self, scores: Scores) -> np.ndarray:
        """Threshold for each row and symbol, shape (n_rows, n_symbols)."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        quantile = _rolling_quantile(scores.values, *self._rows(scores))
        out = np.full_like(quantile, np.nan)
        out[1:] = quantile[:-1]
        return out

    def stream(self, scores: Scores) -> ThresholdStream:
        """The rule one row at a time, for the rows after ``scores``; see ``threshold_stream``."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return _RollingStream(scores, *self._rows(scores)).after(scores)

    def _rows(self, scores: Scores) -> tuple[int, float, int]:
        """Rows of the window, the quantile, and how many of the rows must be known."""
        window = bars_in(self.window, scores.interval, "threshold window")
        least = min_known(self.q)
        if window < least:
            raise ConfigError(
                f"threshold window must hold at least {least} bars for q={self.q}, got {window} ({self.window}); "
                f"lengthen the window or lower q"
            )
        return window, self.q, least


@door
@dataclass(frozen=True, repr=False)
class Fixed(Shown):
    """One threshold for every row and symbol, for scores in known units.

    Parameters
    ----------
    value : float
        Threshold in the unit of the scores; a row is an alert if its score exceeds it.

    Raises
    ------
    ConfigError
        If the value is not a number or is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> scores = fs.Scores(time, ("A",), np.array([[2.0], [3.0], [4.0]]), np.timedelta64(1, "h"))
    >>> scores.signals(fs.Fixed(3.0)).active.ravel()
    array([False, False,  True])
    """

    value: float
    needs_train_scores = False

    def __post_init__(self) -> None:
        check_number("value", self.value)
        if np.isnan(self.value):
            raise ConfigError(f"value must be a number, got {self.value}; pass the score above which a row is an alert")

    @property
    def nominal_rate(self) -> float:
        return float("nan")

    def threshold(self, scores: Scores) -> np.ndarray:
        """The value, in the shape of the scores."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return np.full(scores.values.shape, float(self.value))

    def stream(self, scores: Scores) -> ThresholdStream:
        """The rule one row at a time, for the rows after ``scores``; see ``threshold_stream``."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return _FixedStream(self.value, scores).after(scores)


class _TrainStream(ThresholdStream):
    carries = (*ThresholdStream.carries, "_level")

    def __init__(self, rule: TrainQuantile, scores: Scores) -> None:
        super().__init__(scores)
        self._rule = rule
        self._level = np.full(len(scores.symbols), np.nan)

    def begin_fold(self, train_values: np.ndarray | None, train: slice | None = None) -> None:  # noqa: ARG002 - by values alone
        if train_values is None:
            raise ConfigError("TrainQuantile needs the scores of the training rows; pass them, or use RollingQuantile")
        self._level = self._rule.level(train_values)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - of the training rows alone
        return self._level.copy()


class _RollingStream(ThresholdStream):
    carries = (*ThresholdStream.carries, "_quantile", "_level")

    def __init__(self, scores: Scores, window: int, q: float, least: int) -> None:
        super().__init__(scores)
        n = len(scores.symbols)
        upper = q >= UPPER
        self._quantile = UpperQuantileStream(window, n, q, least) if upper else QuantilesStream(window, n, np.array([q]), least)
        self._level = np.full(n, np.nan)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - rows are counted
        level = self._level
        self._level = self._quantile.update(row).reshape(-1)
        return level


class _FixedStream(ThresholdStream):
    def __init__(self, value: float, scores: Scores) -> None:
        super().__init__(scores)
        self._level = np.full(len(scores.symbols), float(value))

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - one level for all
        return self._level.copy()


def _rolling_quantile(x: np.ndarray, window: int, q: float, least: int) -> np.ndarray:
    if q >= UPPER:
        return rolling_upper_quantile_nb(x, window, q, least)
    return rolling_quantiles_nb(x, window, np.array([q]), least)[0]


def min_known(q: float) -> int:
    """The smallest number of observations of which one is expected above the q-quantile."""
    return int(np.ceil(round(1 / (1 - q), 9)))


def _check_quantile(q: float) -> None:
    if not 0 < q < 1:
        raise ConfigError(f"q must lie between 0 and 1, such as 0.99, got {q}")

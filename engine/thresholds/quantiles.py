"""Causal thresholds: from scores to alerts without a look at the future."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshock.data.checks import check_duration, check_number, check_type
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.show.facts import Shown
from foreshock.engine.kernels.robust import rolling_quantiles_nb
from foreshock.engine.kernels.tail import rolling_upper_quantile_nb
from foreshock.engine.scores import Scores

# From here on the largest values of the window are worth a list of their own.
UPPER = 0.9


@dataclass(frozen=True, repr=False)
class TrainQuantile(Shown):
    """The q-quantile of the training scores of each walk-forward fold, per symbol.

    Raises
    ------
    ConfigError
        If q is not in (0, 1), or the scores carry no training scores.
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
                "or RollingQuantile, which needs none"
            )
        out = np.full(scores.values.shape, np.nan)
        for test, values in trained:
            enough = (~np.isnan(values)).sum(axis=0) >= min_known(self.q)
            if enough.any():
                out[test, enough] = np.nanquantile(values[:, enough], self.q, axis=0)
        return out


@dataclass(frozen=True, repr=False)
class RollingQuantile(Shown):
    """The q-quantile of a symbol's own scores over the window before a row, the row itself left out.

    A threshold is known once 1 / (1 - q) scores are (100 for q = 0.99).

    Parameters
    ----------
    q : float
        In (0, 1).
    window : str
        A duration such as ``"60D"``, at least 1 / (1 - q) bars.
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
        window = bars_in(self.window, scores.interval, "threshold window")
        least = min_known(self.q)
        if window < least:
            raise ConfigError(
                f"threshold window must hold at least {least} bars for q={self.q}, got {window} ({self.window}); "
                f"lengthen the window or lower q"
            )
        quantile = _rolling_quantile(scores.values, window, self.q, least)
        out = np.full_like(quantile, np.nan)
        out[1:] = quantile[:-1]
        return out


@dataclass(frozen=True, repr=False)
class Fixed(Shown):
    """One threshold for every row and symbol, for scores in known units."""

    value: float
    needs_train_scores = False

    def __post_init__(self) -> None:
        check_number("value", self.value)
        if np.isnan(self.value):
            raise ConfigError(f"value must be a number, got {self.value}; give the score above which a row is an alert")

    @property
    def nominal_rate(self) -> float:
        return float("nan")

    def threshold(self, scores: Scores) -> np.ndarray:
        """The value, in the shape of the scores."""
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        return np.full(scores.values.shape, float(self.value))


def _rolling_quantile(x: np.ndarray, window: int, q: float, least: int) -> np.ndarray:
    if q >= UPPER:
        return rolling_upper_quantile_nb(x, window, q, least)
    return rolling_quantiles_nb(x, window, np.array([q]), least)[0]


def min_known(q: float) -> int:
    """The fewest observations of which at least one is expected beyond the q-quantile."""
    return int(np.ceil(round(1 / (1 - q), 9)))


def _check_quantile(q: float) -> None:
    if not 0 < q < 1:
        raise ConfigError(f"q must lie between 0 and 1, such as 0.99, got {q}")

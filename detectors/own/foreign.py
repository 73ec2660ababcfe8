"""Models of other libraries: one may rank a row among those that are scored with it, later ones among them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.detectors.pooled import PooledDetector

TAILS = ("pyod:ECOD", "pyod:COPOD")
# Number of rows that are scored both alone and together, to test whether a model's score depends on the other rows.
N_PROBES = 16


class ForeignDetector(PooledDetector):
    """Base of the detectors around a model of another library.

    A subclass takes ``pool`` and ``max_rows`` in its ``__init__``, returns a fitted model from ``_trained`` and its scores from
    ``_asked``. ``fit`` tests whether the score of a row depends on the rows that are scored with it. If it does, each row is scored
    alone against the training rows; for ECOD and COPOD of PyOD, which ``known`` names, the formula is evaluated here instead.
    """

    tolerance = 1e-9
    pool: bool
    max_rows: int
    remedy = "choose another model"

    @property
    def known(self) -> str:
        """Name of the model in PyOD, such as ``"pyod:ECOD"``; empty for any other."""
        return ""

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        if self.max_rows < 100:
            raise ConfigError(f"max_rows of {self.name} must be at least 100, got {self.max_rows}; raise it")
        if len(rows) > self.max_rows:
            rows = rows[np.linspace(0, len(rows) - 1, self.max_rows).astype(int)]
        probes = rows[np.linspace(0, len(rows) - 1, N_PROBES).astype(int)]
        model = self._trained(rows)
        # A model that cannot score a single row may divide by zero; its result is checked below.
        with np.errstate(all="ignore"):
            together = self._asked(model, probes)
            alone, again = (self._one_by_one(model, probes) for _ in range(2))
        if not np.isfinite(alone).all():
            raise ConfigError(f"{self.name} scores a row only among others, including later ones; choose another model")
        if not np.allclose(alone, again, rtol=1e-9, atol=0):
            raise ConfigError(f"{self.name} scores the same row differently each time; {self.remedy}")
        return {"model": model, "alone": not np.allclose(together, alone, rtol=1e-9, atol=0)}

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        if not model["alone"]:
            return self._asked(model["model"], rows)
        if self.known in TAILS:
            return tails(model["model"].X_train, rows, self.known)
        return self._one_by_one(model["model"], rows)

    def _one_by_one(self, model: Any, rows: np.ndarray) -> np.ndarray:
        return np.array([self._asked(model, row[None])[0] for row in rows], dtype=np.float64)

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:  # noqa: ARG002 - the signature of the base
        """A model of another library is never read from a file; only an ensemble restores one, from the state of its member."""
        return "model" in model

    @abstractmethod
    def _trained(self, rows: np.ndarray) -> Any:
        """A model fitted on standardised rows, (n, n_features)."""

    @abstractmethod
    def _asked(self, model: Any, rows: np.ndarray) -> np.ndarray:
        """Scores of standardised rows by the model, all together, (n,); higher is stranger."""


def tails(train: np.ndarray, rows: np.ndarray, name: str) -> np.ndarray:
    """The ECOD or COPOD score of each row when it is scored alone, together with the training rows.

    L and R are minus the logarithms of the two empirical tail probabilities of a feature, counting the row itself. S is the one
    on the side to which the feature is skewed, or L + R if it is not skewed. ECOD is the sum over features of max(L, R, S),
    COPOD the sum of max((L + R) / 2, S).
    """
    n = len(train)
    ranked = np.sort(train, axis=0)
    columns = list(zip(ranked.T, rows.T, strict=True))
    left = -np.log((np.array([np.searchsorted(past, x, "right") for past, x in columns]).T + 1) / (n + 1))
    right = -np.log((n - np.array([np.searchsorted(past, x, "left") for past, x in columns]).T + 1) / (n + 1))
    centred = train - train.mean(axis=0)
    gap = rows - train.mean(axis=0)
    # Third central moment of the training rows together with the scored row (Pebay 2008).
    third = (centred**3).sum(axis=0) + gap**3 * n * (n - 1) / (n + 1) ** 2 - 3 * gap * (centred**2).sum(axis=0) / (n + 1)
    skewed = np.where(third > 0, right, np.where(third < 0, left, left + right))
    usual = np.maximum(left, right) if name == "pyod:ECOD" else (left + right) / 2
    return np.maximum(usual, skewed).sum(axis=1)

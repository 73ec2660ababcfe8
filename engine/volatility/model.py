"""The interface of volatility models, and what their fits share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import gammaln

from foreshock.data.errors import DataError
from foreshock.engine.statistics.variation import varies

MIN_RETURNS = 300
# A process with a unit root has no mean to return to, and a simulation needs one.
MAX_PERSISTENCE = 0.9995
LEAST_DF, MOST_DF = 2.1, 200.0
# A simulated variance above this multiple of the largest variance in the data lies outside the range the model was fitted on.
MAX_VARIANCE = 2.0


class VolatilityModel(Protocol):
    """What surrogate histories require of a volatility model."""

    def variance(self, returns: np.ndarray) -> np.ndarray: ...

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]: ...


class NotConvergedError(DataError):
    """The likelihood has no maximum within the limits of the model; another family may fit."""


def scale_of(returns: np.ndarray) -> float:
    known = returns[~np.isnan(returns)]
    if len(known) < MIN_RETURNS:
        raise DataError(f"a volatility model needs at least {MIN_RETURNS} known returns, got {len(known)}; give more data")
    if not varies(known, level=1.0):
        raise DataError("a volatility model needs returns that differ from each other; this price never moved")
    return float(known.std())


def student_constant(nu: float) -> float:
    """Log density at 0 of a Student-t with variance 1."""
    return float(gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(np.pi * (nu - 2)))

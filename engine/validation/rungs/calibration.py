"""Empirical calibration by negative controls, and one multiplicity over detectors, horizons and rungs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.engine.validation.rungs.effects import Effect

# Bias grows with the distance of the forecast from its mean, up to about this squared distance.
HALF_STATE = 0.1
# Prior deviation of each coefficient of the bias: it is not expected beyond about one standard error.
PRIOR = 1.0
STEPS = 3
LEAST_CONTROLS = 10
# Alerts of a detector and a control are the same if they share more than this of what either raises.
SAME = 0.5


@dataclass(frozen=True)
class Calibration:
    """What the z of negative controls says about the z of others at one horizon [1]_ [2]_.

    Parameters
    ----------
    coefficients : ndarray, shape (4,)
        Bias of z by the circumstances of the alerts; see ``circumstances``.
    covariance : ndarray, shape (4, 4)
        Uncertainty of the coefficients.
    variance : float
        Mean square of the z of the controls less their bias, at least 1.
    n : int
        Controls used.

    References
    ----------
    .. [1] Schuemie et al. (2014), Interpreting observational studies: why empirical calibration is needed to correct p-values.
    .. [2] Schuemie et al. (2018), Empirical confidence interval calibration for population-level effect estimation studies.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    variance: float
    n: int

    def at(self, effect: Effect, horizon: int) -> tuple[float, float]:
        """Bias and spread of a z without information in the circumstances of an effect; NaN with fewer than ten controls."""
        x = circumstances(effect, horizon)
        return float(x @ self.coefficients), float(np.sqrt(self.variance + x @ self.covariance @ x))


def circumstances(effect: Effect, horizon: int) -> np.ndarray:
    """How unusual the market was at the alerts, shape (4,): each is 0 for alerts that do not depend on it.

    The signed and the absolute distance of the forecast from its mean, the last bar beyond the last day, and the last hours beyond
    the last week. A forecast that is slow to learn of a jump, or slow to forget it, errs by one of these.
    """
    state = effect.state[horizon]
    bar, hours, day, week = effect.profile
    return np.array([np.tanh(state), state**2 / (state**2 + HALF_STATE), np.tanh(bar - day), np.tanh(hours - week)])


def calibrate(controls: Sequence[Effect], horizon: int) -> Calibration:
    """Fit the bias and spread of z to negative controls at one horizon, by Bayesian linear regression."""
    known = [one for one in controls if not np.isnan(one.z[horizon])]
    if len(known) < LEAST_CONTROLS:
        return Calibration(np.full(4, np.nan), np.full((4, 4), np.nan), float("nan"), len(known))
    z = np.array([one.z[horizon] for one in known])
    x = np.array([circumstances(one, horizon) for one in known])
    variance, coefficients, covariance = 1.0, np.zeros(4), np.zeros((4, 4))
    for _ in range(STEPS):
        covariance = np.linalg.inv(x.T @ x / variance + np.eye(4) / PRIOR**2)
        coefficients = covariance @ (x.T @ z) / variance
        rest = z - x @ coefficients
        variance = max(1.0, float(rest @ rest) / (len(z) - 4))
    return Calibration(coefficients, covariance, variance, len(z))


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the alerts of either that the other raises within a row, the smaller of both; arrays (n_rows, n_symbols)."""
    shares = []
    for one, other in ((first, second), (second, first)):
        near = other.copy()
        near[1:] |= other[:-1]
        near[:-1] |= other[1:]
        n = int(one.sum())
        shares.append((one & near).sum() / n if n else 0.0)
    return float(min(shares))


def chained_q(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted p of both rungs of every detector and horizon at once, by the sequentially rejective graph of Bretz et al. [1]_.

    The level is shared equally by the first rungs; what a rejected first rung leaves goes to its second rung, and from there to the
    others. The probability of any false rejection is at most q. The second rung has the larger p of both. A detector and horizon
    whose first p is NaN is left out; a second p of NaN counts as 1.

    References
    ----------
    .. [1] Bretz, Maurer, Brannath, Posch (2009), A graphical approach to sequentially rejective multiple test procedures.
    """
    shape = first.shape
    one, two = first.ravel(), np.fmax(first.ravel(), np.nan_to_num(second.ravel(), nan=1.0))
    tested = np.flatnonzero(~np.isnan(one))
    m = len(tested)
    q_one, q_two = np.full(one.shape, np.nan), np.full(one.shape, np.nan)
    if not m:
        return q_one.reshape(shape), q_two.reshape(shape)
    share = dict.fromkeys(((int(k), 0) for k in tested), 1 / m)
    share |= dict.fromkeys(((int(k), 1) for k in tested), 0.0)
    p = {(k, rung): float((one, two)[rung][k]) for k, rung in share}
    largest = 0.0
    while share:
        node = min(share, key=lambda key: p[key] / share[key] if share[key] > 0 else np.inf)
        if share[node] <= 0:
            break
        largest = min(1.0, max(largest, p[node] / share[node]))
        (q_one, q_two)[node[1]][node[0]] = largest
        left = share.pop(node)
        if node[1] == 0:
            share[node[0], 1] += left
        else:
            chains = {k for k, _ in share}
            for k in chains:
                share[(k, 0) if (k, 0) in share else (k, 1)] += left / len(chains)
    return q_one.reshape(shape), q_two.reshape(shape)

"""Empirical calibration by negative controls, and one multiplicity over detectors, horizons and rungs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.engine.validation.rungs.effects import Effect

# Bias grows with the distance of the forecast from its mean, up to about this squared distance.
HALF_STATE = 0.1
# Prior deviation of each coefficient of the bias, in logs of activity: forecasts err by about a tenth where they err.
PRIOR = 0.1
# Systematic errors, in logs of activity, that the controls are held against.
SYSTEMATIC = (0.0, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.3)
LEAST_CONTROLS = 10
# Alerts of a detector and a control are the same if they share more than this of what either raises.
SAME = 0.5


@dataclass(frozen=True)
class Calibration:
    """What negative controls say about the effects of others at one horizon [1]_ [2]_.

    The effect of a control is bias, by the circumstances of its alerts, plus a systematic error of its own, plus the sampling
    error of its regression. A detector without information is drawn from the same law.

    Parameters
    ----------
    coefficients : ndarray, shape (4,)
        Bias in logs of activity by the circumstances of the alerts; see ``circumstances``.
    covariance : ndarray, shape (4, 4)
        Uncertainty of the coefficients.
    systematic : float
        Standard deviation of the systematic error.
    excess : float
        Mean square of the errors of controls that are predicted without their own family, at least 1: what the law misses.
    n : int
        Controls used.

    References
    ----------
    .. [1] Schuemie et al. (2014), Interpreting observational studies: why empirical calibration is needed to correct p-values.
    .. [2] Schuemie et al. (2018), Empirical confidence interval calibration for population-level effect estimation studies.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    systematic: float
    excess: float
    n: int

    def at(self, effect: Effect, horizon: int) -> tuple[float, float]:
        """Bias in logs, and total error as a multiple of the sampling error; NaN with fewer than ten controls."""
        x = circumstances(effect, horizon)
        square = sampling_error(effect, horizon) ** 2
        total = (self.systematic**2 + square + x @ self.covariance @ x) * self.excess
        return float(x @ self.coefficients), float(np.sqrt(total / square)) if square > 0 else float("nan")


def circumstances(effect: Effect, horizon: int) -> np.ndarray:
    """How unusual the market was at the alerts, shape (4,): each is 0 for alerts that do not depend on it.

    The signed and the absolute distance of the forecast from its mean, the last bar beyond the last day, and the last hours beyond
    the last week. A forecast that is slow to learn of a jump, or slow to forget it, errs by one of these.
    """
    state = effect.state[horizon]
    bar, hours, day, week = effect.profile
    return np.array([np.tanh(state), state**2 / (state**2 + HALF_STATE), np.tanh(bar - day), np.tanh(hours - week)])


def sampling_error(effect: Effect, horizon: int) -> float:
    """Error that an effect has by its z, which allows for few events; that of the regression where z is 0."""
    z = effect.z[horizon]
    return float(abs(effect.effect[horizon] / z) if abs(z) > 1e-6 else effect.error[horizon])


def calibrate(controls: Sequence[tuple[str, Effect]], horizon: int) -> Calibration:
    """Fit the law of the effects of negative controls, pairs of family and effect, at one horizon."""
    known = [(family, one) for family, one in controls if not np.isnan(one.z[horizon])]
    n = len(known)
    if n < LEAST_CONTROLS:
        return Calibration(np.full(4, np.nan), np.full((4, 4), np.nan), float("nan"), float("nan"), n)
    families = np.array([family for family, _ in known])
    effect = np.array([one.effect[horizon] for _, one in known])
    error = np.array([sampling_error(one, horizon) for _, one in known])
    x = np.array([circumstances(one, horizon) for _, one in known])
    names = list(dict.fromkeys(families))
    # The last fit has all families, each of the others all but one.
    used = np.array([families != name for name in names if len(names) > 1] + [np.ones(n, bool)])
    coefficients, covariance, systematic = _fits(effect, error, x, used)
    excess = 1.0
    if len(names) > 1:
        left_out = (families[:, None] == names).argmax(axis=1)
        total = systematic[left_out] ** 2 + error**2 + np.einsum("ij,ijk,ik->i", x, covariance[left_out], x)
        excess = max(1.0, float(np.mean((effect - (x * coefficients[left_out]).sum(axis=1)) ** 2 / total)))
    return Calibration(coefficients[-1], covariance[-1], float(systematic[-1]), excess, n)


def _fits(effect: np.ndarray, error: np.ndarray, x: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, their covariance, and the systematic error under which the effects ``used``, (n_fits, n), are most likely."""
    grid = np.array(SYSTEMATIC)
    weights = used[:, None, :] / (grid[:, None] ** 2 + error**2)
    # The likelihood of effects with the covariance D + PRIOR^2 x x', by 4 by 4 matrices instead of n by n (Woodbury).
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    precision = (weights @ pairs).reshape(*weights.shape[:2], x.shape[1], x.shape[1]) + np.eye(x.shape[1]) / PRIOR**2
    pull = weights @ (x * effect[:, None])
    means = np.linalg.solve(precision, pull[..., None])[..., 0]
    surprise = weights @ effect**2 - (pull * means).sum(axis=-1) + np.linalg.slogdet(precision)[1]
    surprise += used.astype(float) @ np.log(grid[:, None] ** 2 + error**2).T
    best = np.argmin(surprise, axis=1)
    fit = np.arange(len(used))
    return means[fit, best], np.linalg.inv(precision[fit, best]), grid[best]


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

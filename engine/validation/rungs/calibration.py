"""Empirical calibration by negative controls, and one multiplicity over detectors, horizons and rungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Bias grows with the distance of the forecast from its mean, up to about this squared distance.
HALF_STATE = 0.1
LEAST_CONTROLS = 10
# Alerts of a detector and a control are the same if they share more than this of what either raises.
SAME = 0.5


@dataclass(frozen=True)
class Calibration:
    """What the negative controls say about the z of one horizon.

    Parameters
    ----------
    bias : float
        z that a detector without information has where the forecast is far from its mean.
    spread : float
        Root mean square of the z of the controls less their bias, at least 1.
    n : int
        Controls used.
    """

    bias: float
    spread: float
    n: int

    def bias_at(self, state: np.ndarray | float) -> np.ndarray | float:
        return self.bias * weight(state)


def weight(state: np.ndarray | float) -> np.ndarray | float:
    """0 where the forecast at the alerts is usual, up to 1 far from it."""
    return state**2 / (state**2 + HALF_STATE)


def calibrate(z: np.ndarray, state: np.ndarray) -> Calibration:
    """Fit bias and spread to the z of controls at one horizon; with fewer than ten controls both are NaN [1]_ [2]_.

    References
    ----------
    .. [1] Schuemie et al. (2014), Interpreting observational studies: why empirical calibration is needed to correct p-values.
    .. [2] Schuemie et al. (2018), Empirical confidence interval calibration for population-level effect estimation studies.
    """
    known = ~np.isnan(z)
    n = int(known.sum())
    if n < LEAST_CONTROLS:
        return Calibration(float("nan"), float("nan"), n)
    x, t = weight(state[known]), z[known]
    square = float(x @ x)
    bias = float(x @ t) / square if square > 0 else 0.0
    rest = t - bias * x
    return Calibration(bias, max(1.0, float(np.sqrt(rest @ rest / (n - 1)))), n)


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

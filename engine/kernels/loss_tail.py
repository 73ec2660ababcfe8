"""Rolling tails of losses, and rolling moments up to the fourth, for columns without NaN."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def rolling_loss_tail_nb(losses, window, levels):
    """Historical VaR and CVaR of every window: ``loss_tail(losses[k - window : k], level)``.

    Keeps a sorted copy of the window, with one insertion per row; the tail is summed again each row, so rounding does not build up.

    losses : (n,), levels : (n_levels,). Returns two arrays (n_levels, n - window + 1), one column for each k from window to n.
    """
    n = len(losses)
    var = np.empty((len(levels), max(n - window + 1, 0)))
    cvar = np.empty_like(var)
    if n < window:
        return var, cvar
    ordered = np.sort(losses[:window])
    for k in range(window, n + 1):
        if k > window:
            _replace(ordered, losses[k - window - 1], losses[k - 1])
        for i in range(len(levels)):
            at = min(max(int(np.ceil(window * levels[i] - 1)), 0), window - 1)
            quantile = ordered[at]
            excess = 0.0
            for j in range(at + 1, window):
                excess += ordered[j] - quantile
            var[i, k - window] = quantile
            cvar[i, k - window] = quantile + excess / (window * (1 - levels[i]))
    return var, cvar


@njit(cache=True, nogil=True)
def _replace(ordered, old, new):
    """Remove ``old`` and insert ``new``; only the values between their positions move."""
    at = np.searchsorted(ordered, old)
    while at + 1 < len(ordered) and ordered[at + 1] < new:
        ordered[at] = ordered[at + 1]
        at += 1
    while at > 0 and ordered[at - 1] > new:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = new


@njit(cache=True, nogil=True)
def rolling_four_moments_nb(x, window):
    """Mean, standard deviation (n - 1), skew and excess kurtosis (both over n) of every window ``x[k - window : k]``.

    Two passes over each window: running sums of fourth powers would lose their digits after one large value. A window of equal
    values has standard deviation 0 and NaN for skew and kurtosis.

    x : (n,). Returns (4, n - window + 1).
    """
    n = len(x)
    out = np.full((4, max(n - window + 1, 0)), np.nan)
    for k in range(window, n + 1):
        total = 0.0
        low = high = x[k - window]
        for j in range(k - window, k):
            total += x[j]
            low, high = min(low, x[j]), max(high, x[j])
        if low == high:
            out[0, k - window] = low
            out[1, k - window] = 0.0
            continue
        mean = total / window
        second = third = fourth = 0.0
        for j in range(k - window, k):
            d = x[j] - mean
            second += d * d
            third += d * d * d
            fourth += d * d * d * d
        variance = second / window
        out[0, k - window] = mean
        out[1, k - window] = np.sqrt(second / (window - 1))
        out[2, k - window] = third / window / variance**1.5
        out[3, k - window] = fourth / window / variance**2 - 3
    return out

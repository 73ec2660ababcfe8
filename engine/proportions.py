"""Intervals of shares."""

import math

Z95 = 1.959963984540054


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % score interval of k out of n [1]_.

    >>> [round(bound, 3) for bound in wilson(1, 20)]
    [0.009, 0.236]

    References
    ----------
    .. [1] Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z2 = Z95**2
    middle, half = (k + z2 / 2) / (n + z2), math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)

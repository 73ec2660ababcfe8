"""One bar of many symbols: whether it can be."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def first_impossible_nb(bar):
    """The first symbol whose bar ``Bars`` would refuse, or -1.

    Prices are positive and finite, or all NaN; a volume is zero or more, or NaN.

    bar : (5, n_symbols); open, high, low, close, volume.
    """
    for i in range(bar.shape[1]):
        known = unknown = 0
        for k in range(4):
            price = bar[k, i]
            if np.isnan(price):
                unknown += 1
            elif price > 0.0 and price < np.inf:
                known += 1
        volume = bar[4, i]
        if (known != 4 and unknown != 4) or volume < 0.0 or volume == np.inf:
            return i
    return -1

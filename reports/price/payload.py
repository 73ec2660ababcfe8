"""Prices of one symbol as bytes for a page: integers of the price's own tick, delta coded, deflated, in base64.

The script of the page reads them back; ``unpacked`` does the same in Python, for tests and for reading a page.
"""

import base64
import zlib
from collections.abc import Sequence
from math import floor, log10

import numpy as np

# Prices with more significant digits than this have no common tick and are rounded to ROUNDED digits.
MOST, ROUNDED = 9, 5
MOST_DECIMALS = 15
# Largest distance of a price from an integer number of ticks, in ticks and as a share of them: the rounding error of a double.
NEAR, NEAR_SHARE = 1e-4, 1e-9


def decimals_of(prices: np.ndarray) -> int:
    """Decimals that write every price exactly; if that takes more than nine digits, those for five digits of the lowest price.

    Parameters
    ----------
    prices : ndarray of float64
        Positive prices of any shape; NaN is not known.

    Examples
    --------
    >>> decimals_of(np.array([64123.45, 64000.1])), decimals_of(np.array([0.00001234])), decimals_of(np.array([20.0, 200 / 3]))
    (2, 8, 3)
    """
    known = prices[~np.isnan(prices)]
    if not known.size:
        return 0
    magnitude = floor(log10(float(known.min())))
    for decimals in range(min(max(MOST - 1 - magnitude, 0), MOST_DECIMALS) + 1):
        # Checking the first prices rules out nearly every wrong number of decimals quickly.
        if _whole(known[:1000], decimals) and _whole(known, decimals):
            return decimals
    return min(max(ROUNDED - 1 - magnitude, 0), MOST_DECIMALS)


def _whole(prices: np.ndarray, decimals: int) -> bool:
    scaled = prices * 10.0**decimals
    return bool((np.abs(scaled - np.rint(scaled)) <= np.minimum(NEAR, NEAR_SHARE * scaled)).all())


def candle_columns(prices: Sequence[np.ndarray], decimals: int) -> list[np.ndarray]:
    """Open, high, low and close as small integers: known or not, and four differences in ticks.

    The differences are: open minus the previous close, close minus open, high minus max(open, close), and min(open, close) minus
    low. An unknown bar has zeros; the next open is relative to the last known close.

    Parameters
    ----------
    prices : sequence of four ndarrays of float64, shape (n_bars,)
        Open, high, low, close.
    decimals : int
        A tick is ``10 ** -decimals``.

    Returns
    -------
    list of five ndarrays of int64, shape (n_bars,)

    Examples
    --------
    >>> candle_columns([np.array([1.0, 1.2]), np.array([1.3, 1.2]), np.array([0.9, 1.0]), np.array([1.1, 1.1])], 1)
    [array([1, 1]), array([10,  1]), array([ 1, -1]), array([2, 0]), array([1, 1])]
    """
    known = ~np.isnan(prices[3])
    open_, high, low, close = (np.rint(values[known] * 10.0**decimals).astype(np.int64) for values in prices)
    moves = (np.diff(close, prepend=0), close - open_, high - np.maximum(open_, close), np.minimum(open_, close) - low)
    # (close - previous close) - (close - open) = open - previous close.
    steps = (moves[0] - moves[1], *moves[1:])
    return [known.astype(np.int64), *(_spread(step, known) for step in steps)]


def _spread(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    column = np.zeros(len(known), dtype=np.int64)
    column[known] = values
    return column


def packed(columns: Sequence[np.ndarray]) -> tuple[list[int], str]:
    """Bytes per number of each column, and all columns in base64.

    The sign is the lowest bit, and the bytes of each place are stored together, the lowest first, so that small numbers compress
    well.

    Examples
    --------
    >>> widths, text = packed([np.array([1, -1, 300])])
    >>> widths, unpacked(text, 3, widths)
    ([2], [array([  1,  -1, 300])])
    """
    widths, planes = [], []
    for column in columns:
        folded = (np.abs(column) * 2 - (column < 0)).astype("<u8")
        width = max((int(folded.max(initial=0)).bit_length() + 7) // 8, 1)
        widths.append(width)
        planes.append(folded.view(np.uint8).reshape(-1, 8)[:, :width].T.tobytes())
    return widths, deflated(b"".join(planes))


def deflated(raw: bytes) -> str:
    """Bytes compressed with zlib, in base64."""
    return base64.b64encode(zlib.compress(raw, 6)).decode("ascii")


def unpacked(text: str, n: int, widths: Sequence[int]) -> list[np.ndarray]:
    """The columns of ``n`` numbers from the output of ``packed``."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(-1, n)
    columns, at = [], 0
    for width in widths:
        folded = sum(planes[at + place].astype(np.int64) << (8 * place) for place in range(width))
        columns.append(np.where(folded % 2, -(folded + 1) // 2, folded // 2))
        at += width
    return columns

"""What is known of a market before a row, by name: a symbol, the clock, a regime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown

BTC, HOUR, REGIME, SYMBOL = "btc", "hour", "regime", "market:"
N_CLOCK, N_REGIMES = 4, 4


def symbol_of(name: str, symbols: Sequence[str]) -> int | None:
    """Position of the symbol that a name means, ``"btc"`` or ``"market:SYMBOL"``; None for a name of another kind.

    Raises
    ------
    ConfigError
        If there is no such symbol.

    Examples
    --------
    >>> symbol_of("btc", ("ETH/USDT", "BTC/USDT:USDT")), symbol_of("market:ETH/USDT", ("ETH/USDT",)), symbol_of("hour", ("A",))
    (1, 0, None)
    """
    if name == BTC:
        found = [i for i, symbol in enumerate(symbols) if symbol.upper().startswith("BTC")]
    elif name.startswith(SYMBOL):
        found = [i for i, symbol in enumerate(symbols) if symbol == name.removeprefix(SYMBOL)]
    else:
        return None
    if not found:
        raise ConfigError(
            f"{shown(name)} names a symbol that is not there, got {few(symbols)}; add its history, or name one by {SYMBOL}SYMBOL"
        )
    return found[0]


def clock(time: np.ndarray) -> np.ndarray:
    """Sine and cosine of the hour of the day and of the week (UTC) of the open of each row, shape (n_rows, 4).

    >>> clock(np.array(["2024-01-01T06:00"], "M8[us]")).round(2)
    array([[1.  , 0.  , 0.22, 0.97]])
    """
    # The first of January 1970 was a Thursday: a week begins on Monday.
    days = time.astype("M8[us]").astype(np.int64) / 86_400e6 + 3
    turns = 2 * np.pi * np.stack([days, days / 7], axis=1)
    return np.stack([np.sin(turns), np.cos(turns)], axis=2).reshape(len(time), N_CLOCK)


def one_hot(labels: np.ndarray) -> np.ndarray:
    """1 for the regime of a row and 0 for the others, shape (*labels.shape, 4); NaN where it is not known.

    >>> one_hot(np.array([2, -1]))
    array([[ 0.,  0.,  1.,  0.],
           [nan, nan, nan, nan]])
    """
    return np.where(labels[..., None] < 0, np.nan, (labels[..., None] == np.arange(N_REGIMES)).astype(float))


def row_before(values: np.ndarray) -> np.ndarray:
    """The values of the previous row; NaN in the first row."""
    found = np.full_like(values, np.nan)
    found[1:] = values[:-1]
    return found

"""Checks for unusual bars that may be real: each one reports, and none changes a value.

Each check returns the size of what it found, shape (n_bars, n_symbols), NaN where it found nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.quality.set_apart import JUMP

STALE_BARS = 12
COPIES = 2
# Look-back in bars, and the least number of known bars in it.
BEFORE, LEAST_BEFORE = 168, 20
LEAST_PRINT, PRINT_RANGES, PRINT_VOLUME = 0.05, 10.0, 2.0
UNIT_RUN, UNIT_PRICE, UNIT_NEAR = 12, np.log(100.0), np.log(3.0)


def stale(bars: Bars) -> np.ndarray:
    """Runs of 12 or more flat bars at the close before them, or of two or more exact copies of the bar before.

    The flat runs come from a source that fills holes, or from an inactive market. The copies, the same five numbers with a high
    above the low, come from a feed that hangs. The size is 1.
    """
    same = (bars.high == bars.low) & ~np.isnan(bars.close)
    same[1:] &= bars.close[1:] == bars.close[:-1]
    copy = bars.high > bars.low
    for name in FIELDS:
        values = getattr(bars, name)
        copy[1:] &= values[1:] == values[:-1]
    same[0] = copy[0] = False
    out = np.full(bars.shape, np.nan)
    for mask, least in ((same, STALE_BARS), (copy, COPIES)):
        for i in range(bars.n_symbols):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], mask[:, i].astype(np.int8), [0]])))
            for start, stop in zip(edges[::2], edges[1::2], strict=True):
                if stop - start >= least:
                    out[start:stop, i] = 1.0
    return out


def zero_volume(bars: Bars) -> np.ndarray:
    """Known bars without volume; the size is 1."""
    return np.where(~np.isnan(bars.close) & (bars.volume == 0), 1.0, np.nan)


def outliers(bars: Bars) -> np.ndarray:
    """Bars with a price far beyond both neighbours, on ordinary volume.

    The high is above the highs of the bars before and after, or the low below their lows, by more than 5 % and more than 10 times
    the 90 % quantile of the range (with the step from the close before) in up to 168 bars before, on no more than twice their
    median volume. A market that goes that far and back trades many times its usual volume: 3 to 5,000 times in the crashes,
    squeezes and pumps of the real histories at hand. A bar with fewer than 20 bars before it, or with an unknown volume, is not
    judged. The size is the ratio of the prices.
    """
    out = np.full(bars.shape, np.nan)
    for i in range(bars.n_symbols):
        rows = np.flatnonzero(~np.isnan(bars.close[:, i]))
        high, low, close = (np.log(values[rows, i]) for values in (bars.high, bars.low, bars.close))
        volume = bars.volume[rows, i]
        if len(rows) < LEAST_BEFORE + 2:
            continue
        above = high[1:-1] - np.maximum(high[:-2], high[2:])
        below = np.minimum(low[:-2], low[2:]) - low[1:-1]
        beyond = np.maximum(above, below)
        reach = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
        for k in 1 + np.flatnonzero(beyond > np.log1p(LEAST_PRINT)):
            before = slice(max(k - BEFORE, 1), k)
            if k - before.start < LEAST_BEFORE:
                continue
            usual = np.quantile(reach[before.start - 1 : k - 1], 0.9)
            traded = np.nanmedian(volume[before]) if not np.isnan(volume[before]).all() else np.nan
            if beyond[k - 1] > PRINT_RANGES * usual and volume[k] <= PRINT_VOLUME * traded:
                sign = 1 if above[k - 1] >= below[k - 1] else -1
                out[rows[k], i] = np.exp(sign * beyond[k - 1])
    return out


def jumps(bars: Bars, besides: np.ndarray) -> np.ndarray:
    """Bars whose close is at least three times the last known close, or at most a third of it; the size is that ratio.

    Parameters
    ----------
    bars : Bars
        Bars to check.
    besides : ndarray of bool, shape (n_bars, n_symbols)
        Bars to skip, so that a single wrong print does not count as a jump there and back.
    """
    out = np.full(bars.shape, np.nan)
    for i in range(bars.n_symbols):
        rows = np.flatnonzero(~np.isnan(bars.close[:, i]) & ~besides[:, i])
        moves = np.diff(np.log(bars.close[rows, i]))
        moved = np.abs(moves) >= JUMP
        out[rows[1:][moved], i] = np.exp(moves[moved])
    return out


def volume_units(bars: Bars) -> np.ndarray:
    """Bars whose volume is in quote currency instead of base currency.

    With the extra ``quote_volume``: the mean price quote_volume / volume lies outside low / 2 to 2 high. Without it: volume changes
    by about the price for 12 bars or more. That is, each bar is nearer to price times the median of up to 168 bars before the
    change than to that median, and half of them are within a factor of 3 of it. If the price lies between 1/100 and 100, markets
    make such changes too, and the check is skipped; a series that is in quote currency from its first bar on is not found without
    ``quote_volume``. The size is the factor.
    """
    out = np.full(bars.shape, np.nan)
    quote = bars.extras.get("quote_volume")
    if quote is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            price = quote / bars.volume
            wrong = (bars.volume > 0) & (quote > 0) & ((price < bars.low / 2) | (price > 2 * bars.high))
            out[wrong] = (bars.close / price)[wrong]
        return out
    for i in range(bars.n_symbols):
        rows = np.flatnonzero((bars.volume[:, i] > 0) & ~np.isnan(bars.close[:, i]))
        volume, price = np.log(bars.volume[rows, i]), np.log(bars.close[rows, i])
        steps = np.diff(volume) * np.sign(price[1:]) > np.abs(price[1:]) / 2
        starts = 1 + np.flatnonzero(steps & (np.abs(price[1:]) >= UNIT_PRICE))
        starts = starts[(starts >= LEAST_BEFORE) & (starts + UNIT_RUN <= len(rows))]
        if not len(starts):
            continue
        usual = pd.Series(volume).rolling(BEFORE, min_periods=1).median().to_numpy()[starts - 1]
        # Most steps last only a bar or two; these are ruled out before the loop.
        first = starts[:, None] + np.arange(UNIT_RUN)
        lasting = _nearer(volume[first] - usual[:, None], price[first]).all(axis=1)
        stop = 0
        for k, level in zip(starts[lasting], usual[lasting], strict=True):
            if k < stop:
                continue
            stop = k + _run_length(_nearer(volume[k:] - level, price[k:]))
            if abs(np.median(volume[k:stop] - level - price[k:stop])) < UNIT_NEAR:
                out[rows[k:stop], i] = np.exp(price[k:stop])
    return out


def _nearer(excess: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Whether the excess of log volume is nearer to the log price than to 0."""
    return excess * np.sign(price) > np.abs(price) / 2


def _run_length(mask: np.ndarray) -> int:
    """Number of leading values that are true."""
    return int(np.argmin(mask)) if not mask.all() else len(mask)

"""Simulated trades inside given bars."""

from __future__ import annotations

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_integer, check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import shown
from foreshock.data.trades.trades import Trades

# Share of trades that print in the same instant as the one before: a market order that meets several resting ones.
SAME_INSTANT = 0.2
# Increase of a taker's probability to buy after a rise of the price, and to sell after a fall.
SIDE_ON_MOVE = 0.3
SIZE_SPREAD = 1.2
FEWEST, MOST = 4, 1_000_000


@door(trades_per_bar=ANYTHING)
def bar_trades(bars: Bars, symbol: str | None = None, trades_per_bar: int = 500, seed: int = 7) -> Trades:
    """Simulated trades inside bars: windows of them have exactly the bars' prices, and their volume up to rounding.

    Within a bar the log price is a Brownian bridge from the open over the high and the low, in either order, to the close, kept
    within its range; times are uniform, sizes log-normal, and takers buy more often when the price has risen. A bar that is not
    known, or in which nothing was traded, has no trades.

    Parameters
    ----------
    bars : Bars
        Bars to fill with trades.
    symbol : str, optional
        Symbol of the bars; by default the first.
    trades_per_bar : int
        Mean number of trades in a bar, from 4 to 1,000,000. The number is Poisson, but at least 4.
    seed : int
        Seed of all random numbers.

    Raises
    ------
    ConfigError
        If ``trades_per_bar`` is out of range.
    DataError
        If the bars lack the symbol, or none of them has a volume.

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> minutes, ohlcv = np.arange(2).astype("M8[m]"), np.array([[1, 3, 1, 2, 10], [2, 2, 1, 1.5, 20]])
    >>> bars = fs.Bars(minutes, ("A",), *ohlcv.T[:, :, None], np.timedelta64(1, "m"))
    >>> windows = fs.trade_windows(fs.bar_trades(bars), seconds=60)
    >>> windows.open, windows.high, windows.low, windows.close, windows.volume.round(9)
    (array([1., 2.]), array([3., 2.]), array([1., 1.]), array([2. , 1.5]), array([10., 20.]))
    """
    check_integer("seed", seed)
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if not isinstance(trades_per_bar, int | np.integer) or not FEWEST <= trades_per_bar <= MOST:
        raise ConfigError(f"trades_per_bar must be a whole number from {FEWEST} to {MOST}, got {shown(trades_per_bar)}; pass one")
    one = bars.select(bars.symbols[0] if symbol is None else symbol)
    traded = np.flatnonzero(np.nan_to_num(one.volume[:, 0]) > 0)
    if not traded.size:
        raise DataError(f"no bar of {one.symbols[0]} has a volume, so there are no trades; pass other bars")
    rng = np.random.default_rng(seed)
    n_trades = np.maximum(rng.poisson(trades_per_bar, len(traded)), FEWEST)
    stop = np.cumsum(n_trades)
    first = stop - n_trades
    bar = np.repeat(np.arange(len(traded)), n_trades)
    n = int(stop[-1])

    # Open, the two extremes and close are at four positions of each bar, in this order.
    inner = np.sort(rng.random((len(traded), 2)), axis=1)
    second = first + 1 + (inner[:, 0] * (n_trades - 3)).astype(np.int64)
    third = np.minimum(second + 1 + (inner[:, 1] * (stop - second - 2)).astype(np.int64), stop - 2)
    places = np.column_stack([first, second, third, stop - 1])
    open_, high, low, close = (getattr(one, name)[traded, 0] for name in ("open", "high", "low", "close"))
    up_first = rng.random(len(traded)) < 0.5
    known = np.column_stack([open_, np.where(up_first, high, low), np.where(up_first, low, high), close])
    anchors, logs = places.ravel(), np.log(known).ravel()
    segment = np.clip(np.searchsorted(anchors, np.arange(n), side="right") - 1, 0, len(anchors) - 2)
    a, b = anchors[segment], anchors[segment + 1]
    share = (np.arange(n) - a) / (b - a)
    # A bar's range is about 1.6 standard deviations of its move. The path over the extremes has most of that already; with half of
    # it in the bridges, a twelfth of a bar is about as volatile as it should be.
    walk = np.cumsum(rng.standard_normal(n) * (np.log(high / low) / 3.2 / np.sqrt(n_trades))[bar])
    bridge = walk - walk[a] - share * (walk[b] - walk[a])
    price = np.exp(logs[segment] + share * (logs[segment + 1] - logs[segment]) + bridge)
    price = np.clip(price, low[bar], high[bar])
    price[places] = known

    instant = rng.random(n)
    instant = instant[np.lexsort((instant, bar))]
    same = rng.random(n) < SAME_INSTANT
    same[first] = False
    instant = instant[np.maximum.accumulate(np.where(same, 0, np.arange(n)))]
    interval = int(bars.interval.astype(np.int64))
    time = one.time[traded][bar] + (instant * interval).astype(np.int64)
    size = np.exp(SIZE_SPREAD * rng.standard_normal(n))
    size *= (one.volume[traded, 0] / np.add.reduceat(size, first))[bar]
    rise = np.sign(np.diff(price, prepend=price[0]))
    is_buy = rng.random(n) < 0.5 + SIDE_ON_MOVE * rise
    return Trades(time, price, size, price * size, is_buy, np.arange(n))

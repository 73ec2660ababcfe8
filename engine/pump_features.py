"""The published features of pump-and-dumps, for the supervised reference."""

from __future__ import annotations

import numpy as np

from data.trades import Trades
from data.windows import trade_windows
from engine.features import Features
from engine.kernels.rolling import rolling_mean_nb, rolling_moments_nb

PUMP_FEATURES = (
    "std_rush_order",
    "avg_rush_order",
    "std_trades",
    "std_volume",
    "avg_volume",
    "std_price",
    "avg_price",
    "avg_price_max",
    "hour_sin",
    "hour_cos",
    "minute_sin",
    "minute_cos",
)
# Kept chunks: two hours of 5 s chunks would be 1440; the published code takes 700 there and 900 at 15 and 25 s.
LOOKBACKS = {5: 700, 15: 900, 25: 900}
PRICE_LOOKBACK = 10


def published_pump_features(trades: Trades, seconds: int = 25, symbol: str = "asset") -> Features:
    """The twelve features of La Morgia et al. [1]_ on the chunks in which somebody bought.

    Buys only, in chunks of exchange time; chunks without a buy are dropped, so that rows are not evenly spaced. ``std_x`` and
    ``avg_x`` are the relative change, from the kept chunk before, of the rolling standard deviation and mean over the last 900 kept
    chunks (700 at 5 s), 10 for ``avg_price`` and ``avg_price_max``. NaN until those are full, and where the change is from zero.
    Row t is the start of the chunk and is known at its end.

    Parameters
    ----------
    trades : Trades
        Of one series.
    seconds : {5, 15, 25}
    symbol : str

    Returns
    -------
    Features
        values of shape (n_kept_chunks, 1, 12).

    References
    ----------
    .. [1] La Morgia, Mei, Sassi and Stefa (2020), Pump and dumps in the Bitcoin era: real time detection of cryptocurrency market
       manipulations.
    """
    chunks = trade_windows(trades.rows(trades.is_buy), seconds)
    chunks = chunks.rows(chunks.trade_count > 0)
    lookback = LOOKBACKS[seconds]

    def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, std = rolling_mean_nb(x[:, None], lookback), rolling_moments_nb(x[:, None], lookback, 2)[1]
        return _change(mean[:, 0]), _change(std[:, 0])

    def price(x: np.ndarray) -> np.ndarray:
        return _change(rolling_mean_nb(x[:, None], PRICE_LOOKBACK)[:, 0])

    avg_rush, std_rush = moments(chunks.rush_orders)
    _, std_trades = moments(chunks.trade_count)
    avg_volume, std_volume = moments(chunks.quote_volume)
    _, std_price = moments(chunks.mean_price)
    minutes = chunks.time.astype("datetime64[m]").astype(np.int64)
    hour, minute = 2 * np.pi * (minutes // 60 % 24) / 23, 2 * np.pi * (minutes % 60) / 59
    columns = (std_rush, avg_rush, std_trades, std_volume, avg_volume, std_price, price(chunks.mean_price), price(chunks.high))
    values = np.column_stack([*columns, np.sin(hour), np.cos(hour), np.sin(minute), np.cos(minute)])
    return Features(chunks.time, (symbol,), PUMP_FEATURES, values[:, None, :], chunks.interval)


def _change(x: np.ndarray) -> np.ndarray:
    change = np.full_like(x, np.nan)
    np.divide(x[1:], x[:-1], out=change[1:], where=x[:-1] > 0)
    return change - 1

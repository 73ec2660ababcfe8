"""The simulated market without its events: factor, volatility, seasons, volume and the inside of each bar."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from foreshock.data.interval import UNITS_US, bars_per_year

# Symbol, first price, volatility relative to the market's usual one, quote volume of an ordinary hour.
LISTED = (
    ("BTC/USDT", 6e4, 0.70, 6e7),
    ("ETH/USDT", 3e3, 0.85, 3e7),
    ("BNB/USDT", 4e2, 0.80, 6e6),
    ("SOL/USDT", 1e2, 1.20, 1e7),
    ("LINK/USDT", 15.0, 1.15, 2e6),
    ("ADA/USDT", 1.0, 1.05, 2e6),
    ("XRP/USDT", 0.6, 1.00, 5e6),
    ("DOGE/USDT", 0.1, 1.25, 3e6),
)
ARCH, LEVERAGE = 0.045, 0.05
VOLUME_PERSISTENCE, VOLUME_SPREAD = 0.95, 0.4
# Log volume per unit of log volatility, and per standard deviation of the bar's own move.
VOLUME_ON_VOLATILITY, VOLUME_ON_MOVE = 0.6, 0.35
GAP = 0.02
# Swing of the log profile about its peak at 15 h UTC, and the weekend's level, for variance and for volume.
VARIANCE_SEASON, VOLUME_SEASON = (0.5, 0.6), (0.4, 0.65)
HOUR_US, WEEK_HOURS = UNITS_US["h"], 168


@dataclass(frozen=True)
class NullPath:
    """Everything random about the market without events; arrays are (n_bars, n_symbols) unless said otherwise.

    ``volatility`` is the standard deviation of a bar's log return given the bars before it; ``bar_variance`` is the
    variance with which the price moved inside that bar, known only afterwards. ``tails`` (2, n_bars, n_symbols) are
    the exponential draws behind the high and the low.
    """

    symbols: tuple[str, ...]
    first_price: np.ndarray
    returns: np.ndarray
    volatility: np.ndarray
    bar_variance: np.ndarray
    gap: np.ndarray
    tails: np.ndarray
    log_volume: np.ndarray


def null_path(
    seed: int,
    n_symbols: int,
    time: np.ndarray,
    interval: np.timedelta64,
    *,
    annual_volatility: float,
    correlation: float,
    persistence: float,
    degrees_of_freedom: float,
) -> NullPath:
    """The market's path before any event is planted.

    With unit-variance GJR-GARCH-t series F (market) and E[i] (symbol i), season s[t] and correlation c::

        r[t, i] = s[t] sigma[i] (sqrt(c) F[t] + sqrt(1 - c) E[t, i]) - volatility[t, i]**2 / 2

    so that every pair of symbols has correlation c and a symbol's beta is sqrt(c) sigma[i] over the market's volatility.
    The last term removes the drift that buy-and-hold would earn. Each symbol and purpose draws from its own stream: neither
    a further symbol nor a further bar changes what was there before.
    """
    n_bars = len(time)
    quotes = [LISTED[i] if i < len(LISTED) else _generic_symbol(seed, i) for i in range(n_symbols)]
    first_price, relative, quote_volume = (np.array([quote[k] for quote in quotes]) for k in (1, 2, 3))
    sigma = annual_volatility * relative / np.sqrt(bars_per_year(interval))

    # A Student-t shock is a normal one on a random clock; the same clock later drives the bar's high and low.
    streams = [("market", 0)] + [("symbol", i) for i in range(n_symbols)]
    normal = np.column_stack([stream(seed, *key, "shock").standard_normal(n_bars) for key in streams])
    chi2 = np.column_stack([stream(seed, *key, "clock").chisquare(degrees_of_freedom, n_bars) for key in streams])
    clock = (degrees_of_freedom - 2) / chi2
    shock = normal * np.sqrt(clock)
    variance = gjr_garch_nb(shock, persistence, ARCH, LEVERAGE)

    season = weekly_season(time, interval, *VARIANCE_SEASON)[:, None] * sigma**2
    own, common = (1 - correlation) * season, correlation * season
    volatility = np.sqrt(common * variance[:, :1] + own * variance[:, 1:])
    bar_variance = common * (variance * clock)[:, :1] + own * (variance * clock)[:, 1:]
    residual = np.sqrt(variance) * shock
    moves = np.sqrt(common) * residual[:, :1] + np.sqrt(own) * residual[:, 1:]

    level = np.sqrt(correlation * variance[:, :1] + (1 - correlation) * variance[:, 1:])
    noise = np.column_stack([stream(seed, "symbol", i, "volume").standard_normal(n_bars) for i in range(n_symbols)])
    log_volume = (
        np.log(quote_volume * (interval / np.timedelta64(HOUR_US, "us")) / first_price)
        + np.log(weekly_season(time, interval, *VOLUME_SEASON))[:, None]
        + VOLUME_SPREAD * ar1_nb(noise, VOLUME_PERSISTENCE)
        + VOLUME_ON_VOLATILITY * np.log(level)
        + VOLUME_ON_MOVE * np.abs(moves / volatility)
    )
    gaps = np.column_stack([stream(seed, "symbol", i, "gap").standard_normal(n_bars) for i in range(n_symbols)])
    tails = np.stack(
        [
            np.column_stack([stream(seed, "symbol", i, side).standard_exponential(n_bars) for i in range(n_symbols)])
            for side in ("high", "low")
        ]
    )
    return NullPath(
        symbols=tuple(quote[0] for quote in quotes),
        first_price=first_price,
        returns=moves - volatility**2 / 2,
        volatility=volatility,
        bar_variance=bar_variance,
        gap=GAP * volatility * gaps,
        tails=tails,
        log_volume=log_volume,
    )


def stream(seed: int, owner: str, number: int, purpose: str) -> np.random.Generator:
    """The random stream of one owner and purpose, independent of every other stream of the seed."""
    names = (owner.encode(), purpose.encode())
    key = (int.from_bytes(names[0], "little"), number, int.from_bytes(names[1], "little"))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _generic_symbol(seed: int, number: int) -> tuple[str, float, float, float]:
    price, relative, quote_volume = stream(seed, "symbol", number, "listing").random(3)
    return f"COIN{number + 1}/USDT", 10 ** (4 * price - 2), 0.9 + 0.5 * relative, 10 ** (5 + 2 * quote_volume)


def weekly_season(time: np.ndarray, interval: np.timedelta64, swing: float, weekend: float) -> np.ndarray:
    """Mean of the weekly profile over each bar, shape (n_bars,); its mean over a week is 1.

    The profile is constant within an hour: exp(swing cos(2 pi (hour - 15) / 24)), times ``weekend`` on Saturday and
    Sunday. Daily bars therefore keep the weekday and lose the hour.
    """
    hour = np.arange(WEEK_HOURS)
    profile = np.exp(swing * np.cos(2 * np.pi * (hour % 24 - 15) / 24)) * np.where(hour >= 120, weekend, 1.0)
    area = np.concatenate([[0.0], np.cumsum(profile / profile.mean())])
    # The epoch was a Thursday: three days after the Monday on which the profile begins.
    first = (time.astype(np.int64) / HOUR_US + 72) % WEEK_HOURS
    hours = interval.astype(np.int64) / HOUR_US
    weeks, last = np.divmod(first + hours, WEEK_HOURS)
    knots = np.arange(WEEK_HOURS + 1)
    return (weeks * WEEK_HOURS + np.interp(last, knots, area) - np.interp(first, knots, area)) / hours


@njit(cache=True)
def gjr_garch_nb(shock: np.ndarray, persistence: float, arch: float, leverage: float) -> np.ndarray:
    """Conditional variance h of mean 1, shape (n_bars, n_series), given shocks z of mean 0 and variance 1.

    h[0] = 1 and, with p the persistence,
    h[t] = 1 - p + h[t-1] (p - arch - leverage / 2 + (arch + leverage * (z[t-1] < 0)) z[t-1]**2).
    """
    n_bars, n_series = shock.shape
    variance = np.ones((n_bars, n_series))
    for row in range(1, n_bars):
        for col in range(n_series):
            z = shock[row - 1, col]
            news = arch + leverage if z < 0 else arch
            factor = persistence - arch - leverage / 2 + news * z * z
            variance[row, col] = 1 - persistence + variance[row - 1, col] * factor
    return variance


@njit(cache=True)
def ar1_nb(noise: np.ndarray, persistence: float) -> np.ndarray:
    """Stationary AR(1) of unit variance: x[0] = e[0], x[t] = persistence x[t-1] + sqrt(1 - persistence**2) e[t]."""
    n_bars, n_series = noise.shape
    values = noise.copy()
    spread = np.sqrt(1 - persistence * persistence)
    for row in range(1, n_bars):
        for col in range(n_series):
            values[row, col] = persistence * values[row - 1, col] + spread * noise[row, col]
    return values

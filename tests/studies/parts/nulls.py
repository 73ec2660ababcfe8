"""Simulated histories in which alerts made from past prices and volumes know nothing beyond them, and effects planted in them.

Each null is a law of log volatility. Bars are made of twelve Student-t steps each, so that range and return agree; volume follows
volatility with noise of its own, unless the null says otherwise. Time starts on a Friday, in UTC.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from foreshock.data.bars import Bars

STEPS = 12
LEVEL = 0.006
HOUR = np.timedelta64(3_600_000_000, "us")
START = np.datetime64("2021-01-01", "us")
Law = Callable[[int, np.random.Generator], np.ndarray]


def ar(n: int, halved_in: float, spread: float, rng: np.random.Generator) -> np.ndarray:
    """An Ornstein-Uhlenbeck path of n hours, with this half-life and stationary deviation."""
    decay = 0.5 ** (1 / halved_in)
    steps = rng.standard_normal(n) * spread * np.sqrt(1 - decay**2)
    steps[0] = rng.standard_normal() * spread
    return lfilter([1.0], [1.0, -decay], steps)


def garch(n: int, rng: np.random.Generator) -> np.ndarray:
    """GJR-GARCH: volatility by its own daily news; the shocks are independent of those of the price."""
    out, variance = np.empty(n), 1.0
    for t in range(n):
        out[t] = 0.5 * np.log(variance)
        shock = rng.standard_t(5) / np.sqrt(5 / 3)
        variance = 0.02 + (0.05 + 0.06 * (shock < 0)) * variance * shock**2 + 0.9 * variance
    return out


def rough(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rough volatility: increments of a fractional path with exponent .1, pulled back to the mean."""
    weights = (np.arange(500) + 0.5) ** (0.1 - 0.5)
    noise = np.convolve(rng.standard_normal(n + 500), weights)[500 : 500 + n]
    slow = lfilter([1.0], [1.0, -0.999], np.diff(noise, prepend=0.0))
    return 0.5 * (slow - slow.mean()) / slow.std()


def long_memory(n: int, rng: np.random.Generator) -> np.ndarray:
    """Nine paths with half-lives from one hour to two months."""
    return np.sum([ar(n, life, 0.2, rng) for life in np.geomspace(1, 1_500, 9)], axis=0)


def hour_spikes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Markets that open: three loud hours of the day, quiet weekends."""
    hour = np.arange(n)
    loud = np.isin(hour % 24, (8, 13, 14)) * np.array([0.7])
    return ar(n, 40, 0.4, rng) + loud - 0.4 * np.isin((hour // 24 + 4) % 7, (5, 6))


def hawkes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Self-exciting jumps of volatility."""
    out, excited = np.empty(n), 0.0
    for t in range(n):
        jumps = rng.poisson(0.01 + 0.6 * (1 - np.exp(-1 / 8)) * excited)
        excited = excited * np.exp(-1 / 8) + jumps
        out[t] = 0.5 * min(excited, 4.0)
    return out + ar(n, 100, 0.3, rng)


def shots(n: int, rng: np.random.Generator, rate: float = 1 / 60, life: float = 6.0) -> np.ndarray:
    """Jumps of exponential size that decay within hours."""
    sizes = np.where(rng.random(n) < rate, rng.exponential(1.0, n), 0.0)
    return lfilter([1.0], [1.0, -np.exp(-1 / life)], sizes)


def shots_on_long_memory(n: int, rng: np.random.Generator) -> np.ndarray:
    return long_memory(n, rng) + 0.7 * shots(n, rng)


def news(n: int, rng: np.random.Generator) -> np.ndarray:
    """News: the level jumps and decays within five hours, on a slow path."""
    return ar(n, 140, 0.4, rng) + shots(n, rng, 1 / 60, 5.0)


def markov(n: int, rng: np.random.Generator) -> np.ndarray:
    """Three levels that last 150, 80 and 15 hours."""
    levels, lasting = np.array([-0.6, 0.2, 1.2]), np.array([150, 80, 15])
    out, state = np.empty(n), int(rng.integers(2))
    for t in range(n):
        if rng.random() < 1 / lasting[state]:
            state = int(rng.choice([k for k in range(3) if k != state]))
        out[t] = levels[state]
    return out


def breaks(n: int, rng: np.random.Generator) -> np.ndarray:
    """The level breaks about every 400 hours."""
    at = np.cumsum(rng.random(n) < 1 / 400)
    return ar(n, 25, 0.4, rng) + rng.normal(0, 0.7, n)[at]


def multifractal(n: int, rng: np.random.Generator) -> np.ndarray:
    """Nine multipliers, renewed the more often the finer they are."""
    out = np.zeros(n)
    for k in range(9):
        renewed = rng.random(n) < 1 - (1 - 0.5 ** (1 / 2)) ** (1 / 2.0**k) if k == 0 else rng.random(n) < 1 / 2.0**k
        values = np.where(rng.random(n) < 0.5, 1.35, 0.65)
        at = np.maximum.accumulate(np.where(renewed, np.arange(n), 0))
        out += 0.5 * np.log(values[at])
    return out


# Largest log price.
LARGEST = 300.0
LAWS: dict[str, Law] = {
    "gjr": garch,
    "rough": rough,
    "rough volume": rough,
    "long memory": long_memory,
    "hour spikes": hour_spikes,
    "hawkes": hawkes,
    "tails": lambda n, rng: ar(n, 40, 0.4, rng),
    "volume leads": lambda n, rng: ar(n, 40, 0.4, rng),
    "shots": shots_on_long_memory,
    "markov": markov,
    "news": news,
    "multifractal": multifractal,
    "bounce": lambda n, rng: ar(n, 40, 0.4, rng),
    "breaks": breaks,
}
# Nulls that are also drawn with four symbols, of which three are listed late.
FOUR_SYMBOLS = ("long memory", "hour spikes", "markov", "news")


def history(null: str, n: int, seed: int, n_symbols: int = 1, extra: np.ndarray | None = None) -> Bars:
    """Bars of a null; ``extra`` multiplies the volatility of each hour, shape (n, n_symbols) or (n,)."""
    rng = np.random.default_rng([seed, list(LAWS).index(null)])
    market = LAWS[null](n, rng)
    columns = []
    for i in range(n_symbols):
        own = market if n_symbols == 1 else 0.7 * market + 0.7 * LAWS[null](n, rng)
        times = 1.0 if extra is None else np.asarray(extra).reshape(n, -1)[:, min(i, np.asarray(extra).reshape(n, -1).shape[1] - 1)]
        columns.append(_symbol(null, own, times, rng))
    opened, high, low, close, volume = (np.column_stack(parts) for parts in zip(*columns, strict=True))
    if n_symbols > 1:
        for i in range(1, n_symbols):
            unlisted = slice(0, int(n * 0.15 * i))
            for values in (opened, high, low, close, volume):
                values[unlisted, i] = np.nan
    symbols = tuple("ABCDEFGH"[:n_symbols])
    return Bars(START + np.arange(n) * HOUR, symbols, opened, high, low, close, volume, HOUR)


def _symbol(null: str, law: np.ndarray, times: np.ndarray | float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    n = len(law)
    freedom = np.where(np.sin(2 * np.pi * np.arange(n) / 700) > 0, 3.0, 12.0) if null == "tails" else np.full(n, 5.0)
    shocks = rng.standard_normal((n, STEPS)) / np.sqrt(rng.chisquare(freedom[:, None], (n, STEPS)) / freedom[:, None])
    shocks *= np.sqrt((freedom - 2) / freedom)[:, None]
    deviation = LEVEL * np.exp(law) * times
    path = np.cumsum((shocks * deviation[:, None] / np.sqrt(STEPS)).ravel()).reshape(n, STEPS)
    # A storm may be so large that no float holds the price: all moves of such a history are smaller by one factor.
    path *= min(1.0, LARGEST / np.abs(path).max())
    quiet = None
    if null == "bounce":
        # The spread of bid and ask, ticks of a coin of low price, and hours without a trade, which keep the last price.
        path = path + rng.choice([-1.0, 1.0], path.shape) * 0.002
        path = np.log(np.maximum(np.round(np.exp(path) * 400) / 400, 1 / 400))
        quiet = rng.random(n) < 0.1
        last = np.maximum.accumulate(np.where(quiet, 0, np.arange(n)))
        path[quiet] = path[last[quiet], -1:]
    opened = np.concatenate([[path[0, 0]], path[:-1, -1]])
    close, high, low = path[:, -1], np.maximum(path.max(axis=1), opened), np.minimum(path.min(axis=1), opened)
    if null == "rough volume":
        volume = rough(n, rng)
    elif null == "volume leads":
        volume = 0.7 * np.roll(law, -3) + 0.7 * ar(n, 20, 0.5, rng)
    else:
        volume = law
    amount = 1_000 * np.exp(volume + 0.5 * rng.standard_normal(n))
    if quiet is not None:
        amount[quiet] = 0.0
    return (*(np.exp(part) * 100 for part in (opened, high, low, close)), amount)

"""Surrogate histories with the volatility, shocks and volume of the data, and no further information.

A volatility model is fitted to each symbol. The rest of each bar, in units of the volatility forecast for it (the return, the gap
at the open, the reach of high and low, the surprise in volume), is redrawn from the bars of the data, in an order without memory
and from the same moment for all symbols. Symbols therefore move together, and large moves come with large ranges and volumes, as in
the data. Volatility then follows from the drawn shocks by the model. A detector can find in such a history that volatility is high,
but nothing that says more about later moves than the volatility model does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from foreshock.data.bars import Bars
from foreshock.data.checks import check_integer, check_text, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, one_line, shown
from foreshock.engine.kernels.rolling import rolling_mean_nb
from foreshock.engine.volatility import Garch, Har, NotConvergedError, StochasticVolatility, VolatilityModel

FAMILIES: dict[str, Callable[[np.ndarray], VolatilityModel]] = {
    "gjr": Garch.fit,
    "garch": lambda returns: Garch.fit(returns, leverage=False),
    "har": Har.fit,
    "sv": StochasticVolatility.fit,
}
# Families tried in turn where the requested family does not converge.
FALLBACK = ("gjr", "har", "garch", "sv")
BEST = "best"
MIN_DONORS = 100
# Width of the kernel that smooths the slow level of volatility; histories shorter than LEAST_DAYS have a constant level.
LEVEL_DAYS, LEAST_DAYS = 60.0, 365
VOLUME_WINDOWS = (1, 24, 168)
MAX_MEMORY = 0.99


@door
@dataclass(frozen=True, repr=False)
class Surrogates(Shown):
    """Fitted volatility models of some bars, and the residual shocks of each bar.

    Parameters
    ----------
    bars : Bars
        The data that were fitted.
    family : tuple of str
        Family of each symbol's model.
    models : tuple of VolatilityModel or None
        None for a symbol to which no model could be fitted: it is unknown in every surrogate.
    season : ndarray, shape (n_bars, n_symbols)
        Standard deviation by hour of the week and slow level, relative to its mean.
    quote_level : ndarray, shape (n_bars, n_symbols)
        Slow level of log volume in quote currency, relative to its mean.
    typical : ndarray, shape (n_symbols,)
        Mean log of the standard deviation in the fitted model.
    shocks : ndarray, shape (n_bars, n_symbols, 5)
        Return, gap at the open, reach above and below the body, in standard deviations, and the surprise in log volume; NaN where
        a bar or the previous one is unknown.
    volume : ndarray, shape (n_symbols, n_coefficients)
        Coefficients of the regression of log volume in quote currency; see ``_volume_regressors``.
    pools : tuple of (ndarray, ndarray)
        Rows that know the same symbols, and the bars that know at least these symbols, from which the shocks of the rows are drawn.
    notes : tuple of str
        Families that did not converge, and those used in their place.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=500).bars
    >>> surrogates = fs.fit_surrogates(bars, "garch")
    >>> surrogates.draw(seed=0)
    Bars(BTC/USDT, 500 bars of 1h, 2022-01-01 to 2022-01-21)
    """

    bars: Bars
    family: tuple[str, ...]
    models: tuple[VolatilityModel | None, ...]
    season: np.ndarray
    quote_level: np.ndarray
    typical: np.ndarray
    shocks: np.ndarray
    volume: np.ndarray
    pools: tuple[tuple[np.ndarray, np.ndarray], ...]
    notes: tuple[str, ...]

    def draw(self, seed: int) -> Bars:
        """A surrogate history on the rows and symbols of the data, unknown where the data are unknown."""
        check_integer("seed", seed)
        rng = np.random.default_rng(seed)
        bars = self.bars
        donors = np.zeros(bars.n_bars, dtype=np.int64)
        for rows, able in self.pools:
            donors[rows] = rng.choice(able, len(rows))
        start = int(rng.integers(0, bars.n_bars))
        fields = np.full((5, *bars.shape), np.nan)
        for i, model in enumerate(self.models):
            if model is None:
                continue
            at = np.flatnonzero(~np.isnan(bars.close[:, i]))
            z, gap, up, down, surprise = self.shocks[donors[at], i].T
            returns, deviation = model.simulate(z, int(at[start % len(at)]), rng)
            # With fat tails the variance of a sample is a poor measure of its level; the mean log is a good one.
            level = self.season[at, i] * np.exp(self.typical[i] - np.log(deviation).mean())
            returns, level = returns * level, deviation * level
            close = np.log(bars.close[at[0], i]) + np.cumsum(returns) - returns[0]
            before = np.concatenate([close[:1], close[:-1]])
            opened = before + gap * level
            high, low = np.maximum(opened, close) + up * level, np.minimum(opened, close) - down * level
            fixed, lags = self._volume_terms(i, at, level, z)
            quote = _recursion_nb(fixed + surprise, lags, np.array(VOLUME_WINDOWS), fixed.mean() / (1 - lags.sum()))
            volume = quote + self.quote_level[at, i] - close
            fields[:, at, i] = np.exp(np.stack([opened, high, low, close, volume]))
        return Bars(bars.time, bars.symbols, *fields, interval=bars.interval)

    def forecast(self, bars: Bars) -> np.ndarray:
        """Standard deviation that the fitted models expect of the next bar, for any history on the rows of the data.

        Known at the close of the row, except for the season and the slow level of the data; shape (n_bars, n_symbols).
        """
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        out = np.full(bars.shape, np.nan)
        returns = bars.returns() / self.season
        for i, model in enumerate(self.models):
            if model is None:
                continue
            ahead = np.concatenate([self.season[1:, i], self.season[-1:, i]])
            out[:, i] = np.sqrt(model.variance(returns[:, i])[1:]) * ahead
        return out

    def _volume_terms(self, i: int, at: np.ndarray, level: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fixed, lags = np.split(self.volume[i], [-len(VOLUME_WINDOWS)])
        return _volume_regressors(level, z, self.season[at, i]) @ fixed, lags

    def _facts(self) -> Iterator[str]:
        yield from self.bars._facts()
        yield f"volatility by {few(dict.fromkeys(self.family))}"


@door
def fit_surrogates(bars: Bars, family: str = BEST) -> Surrogates:
    """Fit the volatility and volume of every symbol.

    Parameters
    ----------
    bars : Bars
        The data.
    family : str
        ``gjr``, ``garch``, ``har``, ``sv``, or ``best``: GJR-GARCH or HAR, whichever has the larger likelihood for the symbol. A
        family that does not converge is replaced by the next one, and ``notes`` says so.

    Raises
    ------
    ConfigError
        If the family is unknown.
    DataError
        If no model can be fitted to any symbol, or fewer than 100 bars know all the symbols that some row knows. A single symbol
        with fewer than 300 known returns, or with a price that never moved, is left out, and ``notes`` says so.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=500).bars
    >>> surrogates = fs.fit_surrogates(bars, "garch")
    >>> surrogates.family, surrogates.shocks.shape
    (('garch',), (500, 1, 5))
    """
    check_text("family", family)
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if family not in (*FAMILIES, BEST):
        raise ConfigError(f"unknown family {shown(family)}; expected one of {', '.join((*FAMILIES, BEST))}")
    returns = bars.returns()
    with np.errstate(divide="ignore", invalid="ignore"):
        season = variance_season(bars) * np.exp(slow_level(bars, np.log(np.abs(returns))))
        quote = np.log(bars.close * bars.volume)
    quote_level = slow_level(bars, quote)
    typical = np.zeros(bars.n_symbols)
    models: list[VolatilityModel | None] = []
    names: list[str] = []
    notes: list[str] = []
    shocks = np.full((*bars.shape, 5), np.nan)
    volume = np.zeros((bars.n_symbols, 4 + len(VOLUME_WINDOWS)))
    for i, symbol in enumerate(bars.symbols):
        try:
            name, model, note = _fit_model(returns[:, i] / season[:, i], family, symbol)
        except DataError as error:
            name, model, note = "none", None, [f"{symbol} is left out of the surrogates: {error}"]
        models.append(model)
        names.append(name)
        notes += note
        if model is None:
            continue
        deviation = np.sqrt(_fitted_variance(model, returns[:, i] / season[:, i]))
        typical[i] = np.log(deviation[~np.isnan(returns[:, i])]).mean()
        level = deviation * season[:, i]
        shocks[:, i, :4] = _bar_shocks(bars, i, returns[:, i], level)
        above = quote[:, i] - quote_level[:, i]
        volume[i], shocks[:, i, 4] = _fit_volume(above, level, shocks[:, i, 0], season[:, i])
    if all(model is None for model in models):
        raise DataError(f"no surrogate histories without a volatility model: {one_line('; '.join(notes), 300)}")
    known = ~np.isnan(bars.close) & np.array([model is not None for model in models])
    pools = _pools(known, shocks, bars.symbols)
    return Surrogates(bars, tuple(names), tuple(models), season, quote_level, typical, shocks, volume, pools, tuple(notes))


def _pools(known: np.ndarray, shocks: np.ndarray, symbols: tuple[str, ...]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    complete: np.ndarray = ~np.any(np.isnan(shocks), axis=2)
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    pools = []
    for k, pattern in enumerate(patterns):
        columns = [i for i in range(len(symbols)) if pattern[i]]
        if not columns:
            continue
        able = np.flatnonzero(complete[:, columns].all(axis=1))
        if len(able) < MIN_DONORS:
            names = ", ".join(symbols[i] for i in columns)
            raise DataError(
                f"only {len(able)} bars know all of {names} at once, and a surrogate history needs {MIN_DONORS} to draw from; "
                f"leave out the symbols that hardly overlap"
            )
        pools.append((np.flatnonzero(which.reshape(-1) == k), able))
    return tuple(pools)


def _fit_model(returns: np.ndarray, family: str, symbol: str) -> tuple[str, VolatilityModel, list[str]]:
    wanted = ("gjr", "har") if family == BEST else (family,)
    fitted: list[tuple[float, str, VolatilityModel]] = []
    notes = []
    for name in (*wanted, *(other for other in FALLBACK if other not in wanted)):
        if fitted and name not in wanted:
            break
        try:
            model = FAMILIES[name](returns)
            fitted.append((getattr(model, "log_likelihood"), name, model))  # noqa: B009 - not of the protocol
        except NotConvergedError as error:
            notes.append(f"{symbol}: {name}: {error}")
    if not fitted:
        raise DataError(f"no volatility model converges on {one_line(symbol, 40)}: {one_line('; '.join(notes), 300)}")
    _, name, model = max(fitted, key=lambda entry: entry[0])
    if notes:
        notes.append(f"{symbol}: {name} was used")
    return name, model, notes


def _fitted_variance(model: VolatilityModel, returns: np.ndarray) -> np.ndarray:
    """The variance that scales the shocks; stochastic volatility is smoothed, because it is only known from both sides."""
    return model.smoothed if isinstance(model, StochasticVolatility) else model.variance(returns)[:-1]


def _bar_shocks(bars: Bars, i: int, returns: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return, gap, reach above and below in units of ``level``, (n_bars, 4); returns have mean 0 and variance 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        opened, high, low, close = (np.log(getattr(bars, name)[:, i]) for name in ("open", "high", "low", "close"))
    before = np.concatenate([[np.nan], close[:-1]])
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    z = returns / level
    z = (z - np.nanmean(z)) / np.nanstd(z)
    return np.column_stack([z, (opened - before) / level, (high - top) / level, (bottom - low) / level])


def variance_season(bars: Bars) -> np.ndarray:
    """Standard deviation by hour of the week over its average, shape (n_bars, n_symbols).

    It is the exp of a regression of the log absolute return on two harmonics of the hour of day (for bars shorter than a day) and a
    weekend dummy; 1 where a symbol has fewer than four weeks or 300 returns.
    """
    hour = bars.time.astype("datetime64[s]").astype(np.int64) / 3600
    weekend = ((hour // 24 + 3) % 7 >= 5).astype(float)
    columns = [np.ones(len(hour)), weekend]
    if bars.interval < np.timedelta64(12, "h"):
        angle = 2 * np.pi * (hour % 24) / 24
        columns += [function(k * angle) for k in (1, 2) for function in (np.cos, np.sin)]
    x = np.column_stack(columns)
    returns = np.abs(bars.returns())
    out = np.ones(bars.shape)
    span = (bars.time[-1] - bars.time[0]) / np.timedelta64(28, "D")
    for i in range(bars.n_symbols):
        known = returns[:, i] > 0
        if known.sum() < 300 or span < 1:
            continue
        b, *_ = np.linalg.lstsq(x[known], np.log(returns[known, i]), rcond=None)
        season = np.exp(x @ b)
        out[:, i] = season / np.sqrt(np.mean(season**2))
    return out


def slow_level(bars: Bars, logs: np.ndarray) -> np.ndarray:
    """Slowly varying level of a log quantity from year to year, shape (n_bars, n_symbols); 0 with less than a year of data.

    Daily means smoothed by a normal kernel of 60 days on either side, less their own mean. The level varies far more slowly than
    any forecast horizon, so it says nothing about the moves after an alert. Without it, a model would fit calm and wild years as
    its own memory.
    """
    day = (bars.time - bars.time[0]) // np.timedelta64(1, "D")
    n_days = int(day[-1]) + 1
    out = np.zeros(bars.shape)
    if n_days < LEAST_DAYS:
        return out
    away = np.arange(n_days)[:, None] - np.arange(n_days)
    kernel = np.exp(-0.5 * (away / LEVEL_DAYS) ** 2)
    for i in range(bars.n_symbols):
        known = np.isfinite(logs[:, i])
        if not known.any():
            continue
        total = np.bincount(day[known], logs[known, i], n_days)
        count = np.bincount(day[known], minlength=n_days)
        level = ((kernel @ total) / np.maximum(kernel @ count, 1e-300))[day]
        out[:, i] = level - level[known].mean()
    return out


def _volume_regressors(level: np.ndarray, z: np.ndarray, season: np.ndarray) -> np.ndarray:
    """Constant, log volatility forecast, size of the bar's own shock, and log season."""
    return np.column_stack([np.ones(len(level)), np.log(level), np.abs(z), np.log(season)])


def _fit_volume(quote: np.ndarray, level: np.ndarray, z: np.ndarray, season: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log quote volume on ``_volume_regressors`` and its own means over the last 1, 24 and 168 bars: coefficients and residuals."""
    traded = np.isfinite(quote)
    residual = np.full(len(quote), np.nan)
    coefficients = np.zeros(4 + len(VOLUME_WINDOWS))
    if traded.any():
        filled = np.where(traded, quote, quote[traded].mean())
        lags = [np.concatenate([[np.nan], rolling_mean_nb(filled[:, None], window, 0)[:-1, 0]]) for window in VOLUME_WINDOWS]
        x = np.column_stack([_volume_regressors(level, z, season), *lags])
        known = ~np.isnan(x).any(axis=1) & traded
        if known.sum() >= MIN_DONORS:
            coefficients, *_ = np.linalg.lstsq(x[known], quote[known], rcond=None)
            # Coefficients are limited so that volume returns to its level.
            memory = coefficients[-len(VOLUME_WINDOWS) :]
            memory *= min(1.0, MAX_MEMORY / max(memory.sum(), 1e-12))
            residual[known] = (quote - x @ coefficients)[known]
            residual -= np.nanmean(residual)
    # Bars without trades, and the first bars, get a volume shock of 0 where their price shock is known.
    residual[np.isnan(residual) & ~np.isnan(z)] = 0.0
    return coefficients, residual


@njit(cache=True, nogil=True)
def _recursion_nb(x, weights, windows, first):
    """out[t] = x[t] + sum_k weights[k] mean(out over the last windows[k]); before the first bar out was ``first``."""
    out = np.empty(len(x))
    means = np.full(len(windows), first)
    for t in range(len(x)):
        out[t] = x[t]
        for k in range(len(windows)):
            out[t] += weights[k] * means[k]
        for k in range(len(windows)):
            old = out[t - windows[k]] if t >= windows[k] else first
            means[k] += (out[t] - old) / windows[k]
    return out

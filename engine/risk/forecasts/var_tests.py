"""Tests of VaR and CVaR forecasts: coverage, independence of hits, and size of the losses beyond VaR."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from foreshock.data.checks import check_array, check_level, check_most, check_whole
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few
from foreshock.engine.risk.estimators.student_excess import StudentExcess
from foreshock.engine.risk.estimators.value_at_risk import known_returns
from foreshock.engine.risk.forecasts.forecasts import RiskForecast
from foreshock.engine.risk.forecasts.hit_tests import DQ_LAGS, dynamic_quantile_nb, independence_nb, kupiec_nb
from foreshock.engine.risk.labels import check_same_index

MIN_ROWS = 2 * DQ_LAGS + 2
MAX_SIMULATIONS = 100_000
YELLOW, RED = 0.95, 0.9999
# Hits that are drawn at a time.
MOST_DRAWN = 2_000_000
Forecasts = np.ndarray | pd.Series | Mapping[float, np.ndarray]


@door(var=ANYTHING, es=ANYTHING)
def var_backtest(
    returns: np.ndarray | pd.Series,
    var: Forecasts | RiskForecast,
    level: float = 0.99,
    es: Forecasts | RiskForecast | None = None,
    n_simulations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Test forecasts of VaR, and of CVaR if passed, against the realised returns.

    A hit is a bar whose loss -r exceeds its VaR. Hits on correct forecasts have the rate a = 1 - level and are independent of
    everything known before.

    ===============================  ==============================================================================
    kupiec                           2 log [(x / n)^x (1 - x / n)^(n - x) / (a^x (1 - a)^(n - x))], x hits of n [1]_
    christoffersen_independence      likelihood ratio of hits that depend on the previous bar to independent hits [2]_
    christoffersen_conditional       the sum of both [2]_
    dynamic_quantile                 hit - a regressed on a constant, the previous four hits and VaR [3]_:
                                     d' X (X' X)^-1 X' d / (a (1 - a))
    traffic_light                    number of hits; p is P(X >= x) of the binomial; the note is the zone: green below
                                     95 % of its distribution function, red from 99.99 % on [4]_
    acerbi_szekely_z1                1 - mean of L / CVaR over the hits [5]_
    acerbi_szekely_z2                1 - sum of L / CVaR over the hits, over n a [5]_
    ===============================  ==============================================================================

    Z1 and Z2 are 0 on average if the forecasts are correct, and negative where losses are larger than forecast; their p-values are
    one-sided against that.

    At 99 % and a thousand rows there are ten hits, and the chi-squared approximations (``p_asymptotic``) are poor. ``p`` comes from
    a Monte Carlo test [6]_: the rank of the statistic among ``n_simulations`` under the null, with ties in random order. It rejects
    a true null in exactly 5 % of samples at 5 %. The order of ties depends on the seed and on the hits, so another seed can change
    the p of statistics with few distinct values, above all of the independence test, whose statistic is the same in all samples
    without two hits in a row.

    On 500 histories of 1,000 bars with correct GARCH-t forecasts, ``p`` rejected 4 to 6 % of them at 5 % in every test, at 95 % and
    at 99 %; ``p_asymptotic`` rejected from 1 % (independence) to 11 % (dynamic quantile) at 99 %
    (``tests.studies.var_calibration``).

    The simulations draw independent hits of rate a for ``kupiec``, ``christoffersen_conditional`` and ``dynamic_quantile``, with
    the VaR forecasts fixed; the observed number of hits in random order for ``christoffersen_independence``, so that a wrong rate
    does not count against independence; the losses of the observed hits for Z1; and hits and losses for Z2. Losses beyond VaR are
    drawn from the Student-t around zero that has the forecast VaR and CVaR: the test knows nothing else about the forecast
    distribution, and where tails are heavier than that, its p is too small.

    Parameters
    ----------
    returns : ndarray, shape (n_rows,)
        Simple returns, fractions.
    var, es : ndarray, shape (n_rows,), RiskForecast or dict of float to ndarray
        Forecasts of VaR and CVaR, losses positive, each known before its row's return. Rows where a return or a forecast is NaN are
        left out, and the rows around them count as neighbours. Series must have the index of the returns. A ``RiskForecast``
        supplies its forecasts of the level, and those of CVaR too if ``es`` is not passed (rows without CVaR are then left out of
        every test); a dict, such as ``RiskForecast.var``, supplies its entry for the level.
    level : float
        Level of the forecasts, between 0 and 1.
    n_simulations : int
        Simulations behind each p, from 19 to 100,000.
    seed : int
        Seed of the simulations.

    Returns
    -------
    DataFrame
        One row per test: ``test``, ``statistic``, ``p``, ``p_asymptotic`` (NaN if the test has none), ``n`` and ``n_missing`` (rows
        used and left out), ``n_hits`` and ``note``: the zone of the traffic light, or why there is no p.

    Raises
    ------
    ConfigError
        If shapes or indexes differ, returns are infinite or below -1, a forecast is infinite or lacks the level, fewer than 10 rows
        are known, or the level or a whole number is out of its range.

    References
    ----------
    .. [1] Kupiec (1995), Techniques for verifying the accuracy of risk measurement models.
    .. [2] Christoffersen (1998), Evaluating interval forecasts.
    .. [3] Engle and Manganelli (2004), CAViaR: conditional autoregressive value at risk by regression quantiles.
    .. [4] Basel Committee (1996), Supervisory framework for the use of backtesting.
    .. [5] Acerbi and Szekely (2014), Back-testing expected shortfall.
    .. [6] Dufour (2006), Monte Carlo tests with nuisance parameters; Christoffersen and Pelletier (2004), Backtesting
       value-at-risk: a duration-based approach.

    Examples
    --------
    A VaR of 1.5 % at 95 %, exceeded on every twelfth of 252 days:

    >>> import numpy as np
    >>> import foreshock as fs
    >>> returns = np.where(np.arange(252) % 12 == 5, -0.02, 0.01)
    >>> found = fs.var_backtest(returns, np.full(252, 0.015), 0.95).set_index("test")
    >>> found.loc[["kupiec", "traffic_light"], ["statistic", "n_hits", "note"]].round(2)
                   statistic  n_hits    note
    test
    kupiec              4.95      21
    traffic_light      21.00      21  yellow
    """
    check_array("returns", returns)
    check_level(level)
    if isinstance(var, RiskForecast):
        var, es = var.var, var.cvar if es is None else es
    if isinstance(es, RiskForecast):
        es = es.cvar
    returns, var, es = _checked(returns, _at(level, "var", var), level, None if es is None else _at(level, "es", es))
    check_whole("n_simulations", n_simulations, 19)
    check_most("n_simulations", n_simulations, MAX_SIMULATIONS, "999 are usual")
    check_whole("seed", seed, 0)
    keep = ~np.isnan(returns) & ~np.isnan(var) & (True if es is None else ~np.isnan(es))
    if keep.sum() < MIN_ROWS:
        raise ConfigError(f"a backtest needs at least {MIN_ROWS} rows with a return and a forecast, got {keep.sum()}; pass more")
    loss, var = -returns[keep], var[keep]
    n, rate = len(loss), 1 - level
    hits = np.flatnonzero(loss > var)
    # Different samples draw different random numbers, even with the same seed.
    rng = np.random.default_rng([seed, zlib.crc32(hits.tobytes()), n])
    rows = _hit_rows(hits, n, rate, var, n_simulations, rng)
    if es is not None:
        rows += _shortfall_rows(hits, loss, var, es[keep], level, n_simulations, rng)
    table = pd.DataFrame(rows, columns=["test", "statistic", "p", "p_asymptotic", "note"])
    table[["n", "n_missing", "n_hits"]] = n, len(keep) - n, len(hits)
    return table[["test", "statistic", "p", "p_asymptotic", "n", "n_missing", "n_hits", "note"]]


Row = tuple[str, float, float, float, str]


def _at(level: float, name: str, forecast: Forecasts) -> np.ndarray | pd.Series:
    if not isinstance(forecast, Mapping):
        check_array(name, forecast, "repeat a constant with np.full, or pass a RiskForecast")
        return forecast
    if level not in forecast:
        raise ConfigError(f"{name} has no forecast of the level {level}, only of {few(forecast)}; pass level=, or forecast it")
    return forecast[level]


def _checked(
    returns: np.ndarray | pd.Series, var: np.ndarray | pd.Series, level: float, es: np.ndarray | pd.Series | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    given = {"var": var} if es is None else {"var": var, "es": es}
    check_same_index({"returns": returns, **given})
    returns = np.asarray(returns, dtype=np.float64)
    known_returns(returns, level)
    found: dict[str, np.ndarray] = {}
    for name, forecast in given.items():
        found[name] = np.asarray(forecast, dtype=np.float64)
        if found[name].shape != returns.shape:
            shapes = f"{found[name].shape} and {returns.shape}"
            raise ConfigError(f"{name} must have one forecast per return, got the shapes {shapes}; repeat a constant with np.full")
        if np.isinf(found[name]).any():
            raise ConfigError(f"{name} must be finite or NaN, got an infinite one; leave such rows out as NaN")
    return returns, found["var"], found.get("es")


def _hit_rows(hits: np.ndarray, n: int, rate: float, var: np.ndarray, n_simulations: int, rng: np.random.Generator) -> list[Row]:
    def coverage(at: np.ndarray) -> tuple[float, float, float]:
        kupiec = kupiec_nb(len(at), n, rate)
        return kupiec, kupiec + independence_nb(at, n), dynamic_quantile_nb(at, n, rate, var, DQ_LAGS)[0]

    x = len(hits)
    kupiec, conditional, dynamic = coverage(hits)
    rank = dynamic_quantile_nb(hits, n, rate, var, DQ_LAGS)[1]
    parts = (np.split(at, ends) for at, ends in _independent(n, rate, n_simulations, rng))
    drawn = np.array([coverage(at) for part in parts for at in part]).T
    p = [monte_carlo_p(found, draws, rng) for found, draws in zip((kupiec, conditional, dynamic), drawn, strict=True)]
    asymptotic = [stats.chi2.sf(found, df) for found, df in ((kupiec, 1), (conditional, 2), (dynamic, rank))]
    below = float(stats.binom.cdf(x, n, rate))
    zone = "green" if below < YELLOW else "yellow" if below < RED else "red"
    light: Row = ("traffic_light", float(x), float(stats.binom.sf(x - 1, n, rate)), math.nan, zone)
    if 0 < x < n:
        found = independence_nb(hits, n)
        shuffled = np.array([independence_nb(_rows(x, n, rng), n) for _ in range(n_simulations)])
        independence: Row = (
            "christoffersen_independence",
            found,
            monte_carlo_p(found, shuffled, rng),
            float(stats.chi2.sf(found, 1)),
            "",
        )
    else:
        independence = ("christoffersen_independence", math.nan, math.nan, math.nan, "no hits" if x == 0 else "hits only")
    return [
        ("kupiec", kupiec, p[0], float(asymptotic[0]), ""),
        independence,
        ("christoffersen_conditional", conditional, p[1], float(asymptotic[1]), ""),
        ("dynamic_quantile", dynamic, p[2], float(asymptotic[2]), ""),
        light,
    ]


def _shortfall_rows(
    hits: np.ndarray, loss: np.ndarray, var: np.ndarray, es: np.ndarray, level: float, n_simulations: int, rng: np.random.Generator
) -> list[Row]:
    expected = len(loss) * (1 - level)
    # A forecast of no loss at all, as of an account that held nothing, has no ratio.
    ratios = np.divide(loss[hits], es[hits], out=np.full(len(hits), np.nan), where=es[hits] > 0)
    z2 = 1 - float(ratios.sum()) / expected
    z1 = 1 - float(ratios.mean()) if len(hits) else math.nan
    if level <= 0.5 or not ((var > 0) & (es > var)).all():
        note = "needs a level above 0.5, and 0 < VaR < CVaR in every row"
        return [("acerbi_szekely_z1", z1, math.nan, math.nan, note), ("acerbi_szekely_z2", z2, math.nan, math.nan, note)]
    excess = StudentExcess.of(var, es, level)
    base, reach = var / es, 1 - var / es

    def drawn_ratios(at: np.ndarray) -> np.ndarray:
        return base[at] + reach[at] * excess.draw(at, rng)

    def one_sided(found: float, drawn: np.ndarray) -> float:
        # monte_carlo_p counts larger draws, so both signs are reversed: small Z speaks against the null.
        return monte_carlo_p(-found, -drawn, rng)

    sums = []
    for at, ends in _independent(len(loss), 1 - level, n_simulations, rng):
        whole = np.concatenate([[0.0], np.cumsum(drawn_ratios(at))])
        sums.append(np.diff(whole[np.concatenate([[0], ends, [len(at)]])]))
    p2 = one_sided(z2, 1 - np.concatenate(sums) / expected)
    p1 = math.nan
    if len(hits):
        some = min(MOST_DRAWN // len(hits) + 1, n_simulations)
        sizes = [min(some, n_simulations - start) for start in range(0, n_simulations, some)]
        means = [drawn_ratios(np.tile(hits, size)).reshape(size, -1).mean(axis=1) for size in sizes]
        p1 = one_sided(z1, 1 - np.concatenate(means))
    return [
        ("acerbi_szekely_z1", z1, p1, math.nan, "" if len(hits) else "no hits"),
        ("acerbi_szekely_z2", z2, p2, math.nan, ""),
    ]


def monte_carlo_p(found: float, drawn: np.ndarray, rng: np.random.Generator) -> float:
    """(1 + number of draws that are larger, or tied and ahead in a random order) / (1 + number of draws).

    >>> monte_carlo_p(2.5, np.arange(9.0), np.random.default_rng(0))
    0.7
    """
    order = rng.random(len(drawn) + 1)
    larger = (drawn > found) | ((drawn == found) & (order[1:] >= order[0]))
    return float((1 + larger.sum()) / (1 + len(drawn)))


def _independent(n: int, rate: float, n_simulations: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Independent hits of a rate among n rows, in many simulations, some at a time.

    Each part has the rows of all hits, simulation by simulation and ascending in each, and the place after the last hit of every
    simulation but the last, as ``np.split`` takes both.
    """
    most = max(int(MOST_DRAWN / (n * rate)), 1)
    for start in range(0, n_simulations, most):
        some = min(most, n_simulations - start)
        # One run of all simulations' rows: from hit to hit, the number of rows is geometric.
        whole = n * some
        at = np.cumsum(rng.geometric(rate, int(whole * rate + 10 * math.sqrt(whole * rate) + 10))) - 1
        while at[-1] < whole:
            at = np.concatenate([at, at[-1] + np.cumsum(rng.geometric(rate, len(at) // 4 + 1))])
        at = at[at < whole]
        yield at % n, np.searchsorted(at, n * np.arange(1, some))


def _rows(n_hits: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n_hits`` of n rows at random, ascending."""
    return np.sort(rng.choice(n, n_hits, replace=False, shuffle=False))

"""Every strategy on one history, net of costs: out of sample by walk-forward, and one year in sample as in published tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.interval import format_duration
from foreshock.data.quality.clean import clean
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.detectors.clusters.labels import Regimes
from foreshock.detectors.clusters.setting import RegimeSetting
from foreshock.detectors.neural.latent.factors import LatentFactors, latent_factors
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from foreshock.engine.risk.performance import performance
from foreshock.engine.scores import Signals
from foreshock.engine.thresholds.quantiles import Fixed, RollingQuantile
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.assess.comparison import compare_avoidance, paired_difference
from foreshock.strategies.assess.cost_sweep import break_even_cost
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.base import carried
from foreshock.strategies.baselines import BuyAndHold, EqualWeight
from foreshock.strategies.event import EventTrade
from foreshock.strategies.factor_portfolio import FactorPortfolio
from foreshock.strategies.identity import Identity
from foreshock.strategies.momentum import TimeSeriesMomentum
from foreshock.strategies.regime_exposure import RegimeExposure
from foreshock.strategies.volatility_target import VolatilityTarget

DETECTORS = ("zscore", "isolation_forest", "pca")
SPLITS = WalkForward(train="365D", test="90D", embargo="2D")
QUANTILE, THRESHOLD_WINDOW = 0.95, "60D"
SHORTS = Account(shorts=True)
# Returns of 2024 as published in a book: hourly bars of eight assets, models and thresholds fitted on the same rows.
PUBLISHED_YEAR = 2024
PUBLISHED = {"anomaly_avoidance": 0.448, "buy_and_hold": 0.381, "factor_portfolio": 0.312}
BLOCK = 168


@dataclass(frozen=True)
class _Knowledge:
    """Inputs of the strategies: alerts by detector, regimes, latent factors, and factor weights if they are known."""

    signals: Mapping[str, Signals]
    regimes: Regimes
    latent: LatentFactors | None = None
    factor_weights: np.ndarray | None = None


@with_one_blas_thread
def strategy_comparison(
    bars: Bars,
    detectors: Sequence[str] = DETECTORS,
    splits: WalkForward = SPLITS,
    costs: Costs = DEFAULT_COSTS,
    year: int = PUBLISHED_YEAR,
    n_draws: int = 1_000,
    n_bootstrap: int = 999,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """One row for each strategy and sample.

    *Out-of-sample*: detectors, regimes and latent factors are refitted by walk-forward, thresholds are quantiles of the
    previous 60 days, and all accounts run from the first test block on. *In-sample*: models, thresholds and factor weights are
    fitted on the rows of ``year`` and applied to the same rows. These results only serve to compare with published tables, which do
    the same.

    Parameters
    ----------
    bars : Bars
    detectors : sequence of str
        Names. ``AnomalyAvoidance`` acts on each of them, ``EventTrade`` only on the first.
    splits : WalkForward
    costs : Costs
    year : int
        Calendar year (UTC) of the in-sample rows, which are left out if the bars do not reach into it.
    n_draws : int
        Random timings of ``RandomAvoidance`` for each detector.
    n_bootstrap, seed : int
        Bootstrap draws of the intervals, and the seed of all random numbers.
    on_step : callable
        Called with the name of each step when it is done.

    Returns
    -------
    DataFrame
        ``strategy``, ``sample``; ``total_return``; ``sharpe`` per year, ``sharpe_low``, ``sharpe_high`` (95 %);
        ``beyond_equal``, mean return per year beyond ``equal_weight``'s, with ``beyond_equal_low`` and ``_high`` (paired circular
        block bootstrap, blocks of a week of hours); for avoidance out of sample ``percentile`` among random timings, and
        ``beyond_target`` with its bounds, against ``VolatilityTarget`` at equal mean exposure; ``max_drawdown``, ``var_95``,
        ``cvar_95`` per bar; ``turnover`` per year; ``costs`` in units of the starting equity; ``exposure``, its mean;
        ``break_even``, the cost of a fill at which the total return is zero; and ``return_YEAR`` for each calendar year.

    Raises
    ------
    ConfigError
        If the bars are too few for a test block.
    """
    bars, _ = clean(bars)
    features = ohlcv_features(bars)
    signals = {}
    for name in detectors:
        signals[name] = walk_forward(make_detector(name), features, splits).signals(RollingQuantile(QUANTILE, THRESHOLD_WINDOW))
        on_step(f"walk-forward {name}")
    regimes = RegimeSetting().walk_forward(bars, splits, seed)
    # With as many factors as symbols, the code would be the returns themselves.
    latent = latent_factors(bars, "autoencoder", min(3, bars.n_symbols - 1), splits, seed=seed) if bars.n_symbols > 1 else None
    on_step("regimes and latent factors")
    first = splits.folds(bars.n_bars, bars.interval, 0, bars.start_row)[0].test.start
    told, sampling = _Knowledge(signals, regimes, latent), _Sampling(n_draws, n_bootstrap, seed)
    rows = _rows(bars, told, slice(first, bars.n_bars), costs, "out-of-sample", sampling, on_step)
    of_year = np.flatnonzero(bars.time.astype("datetime64[Y]") == np.datetime64(str(year), "Y"))
    if of_year.size:
        within = slice(int(of_year[0]), int(of_year[-1]) + 1)
        told = _in_sample(bars, features, within, detectors, seed)
        # In-sample results are not compared with chance.
        rows += _rows(bars, told, within, costs, f"in-sample {year}", sampling._replace(n_timings=0), on_step)
    return pd.DataFrame(rows)


def published() -> pd.DataFrame:
    """The published returns, as rows of the same table."""
    sample = f"published, in-sample {PUBLISHED_YEAR}"
    return pd.DataFrame([{"strategy": name, "sample": sample, "total_return": value} for name, value in PUBLISHED.items()])


def _in_sample(bars: Bars, features: Features, within: slice, detectors: Sequence[str], seed: int) -> _Knowledge:
    rows, own = features.rows(within), bars.rows(within)
    signals = {}
    for name in detectors:
        scores = make_detector(name).fit(rows).score(features)
        signals[name] = scores.signals(Fixed(float(np.nanquantile(scores.values[within], QUANTILE))))
    setting = RegimeSetting()
    grouped = setting.features_of(bars)
    regimes = setting.detector(seed).fit(grouped.rows(within)).regimes(grouped)
    # Weights that the last row of the year would choose from the returns of the full year.
    whole = FactorPortfolio(window=format_duration((own.n_bars - 1) * own.interval), rebalance=format_duration(own.interval))
    return _Knowledge(signals, regimes, factor_weights=whole.weights(own)[-1])


class _Sampling(NamedTuple):
    """Random timings of an avoidance strategy (0 for none), bootstrap draws of an interval, and the seed of both."""

    n_timings: int
    n_bootstrap: int
    seed: int


class _Book(NamedTuple):
    """One portfolio: target weights over all bars, its account, and the alerts that anomaly avoidance acts on."""

    weights: np.ndarray
    account: Account = Account()
    avoided: Signals | None = None


def _books(bars: Bars, told: _Knowledge) -> dict[str, _Book]:
    """The portfolio of every strategy, by displayed name."""
    books = {
        Identity(AnomalyAvoidance.name, name).name: _Book(AnomalyAvoidance().weights(bars, found), avoided=found)
        for name, found in told.signals.items()
    }
    name, alerts = next(iter(told.signals.items()))
    for mode in ("follow", "fade"):
        books[f"event_trade[{name}, {mode}]"] = _Book(EventTrade(mode).weights(bars, alerts), SHORTS)
    books["regime_exposure"] = _Book(RegimeExposure(told.regimes).weights(bars))
    if told.factor_weights is None:
        books["factor_portfolio"] = _Book(FactorPortfolio().weights(bars), SHORTS)
        books["factor_portfolio[long only]"] = _Book(FactorPortfolio(long_only=True).weights(bars))
    else:
        held = np.where(np.isnan(EqualWeight("7d").weights(bars)), np.nan, np.nan_to_num(told.factor_weights))
        books["factor_portfolio"] = _Book(held, SHORTS)
    if told.latent is not None:
        books["factor_portfolio[autoencoder]"] = _Book(
            FactorPortfolio(told.latent.n_factors, factors=told.latent).weights(bars), SHORTS
        )
    books["time_series_momentum"] = _Book(TimeSeriesMomentum().weights(bars))
    books["volatility_target"] = _Book(VolatilityTarget().weights(bars))
    books["equal_weight"] = _Book(EqualWeight().weights(bars))
    return books


def _rows(
    bars: Bars,
    told: _Knowledge,
    within: slice,
    costs: Costs,
    sample: str,
    sampling: _Sampling,
    on_step: Callable[[str], None],
) -> list[dict[str, Any]]:
    n_timings, n_bootstrap, seed = sampling
    own = bars.rows(within)
    books = {}
    for name, book in _books(bars, told).items():
        # The account starts with the targets that are in force at its first bar.
        book.weights[within.start] = carried(book.weights[: within.start + 1])[-1]
        books[name] = book._replace(weights=book.weights[within])
    books[BuyAndHold.name] = _Book(BuyAndHold().weights(own))
    results = {name: backtest(own, book.weights, costs, name, book.account) for name, book in books.items()}
    rows = []
    for name, result in results.items():
        row = {"strategy": name, "sample": sample, **_figures(result)}
        book = books[name]
        row["break_even"] = break_even_cost(own, book.weights, costs=costs, account=book.account)
        if name != EqualWeight.name:
            gap = paired_difference(result, results[EqualWeight.name], BLOCK, n_bootstrap, seed)
            row |= {"beyond_equal": gap.mean, "beyond_equal_low": gap.mean_interval[0], "beyond_equal_high": gap.mean_interval[1]}
        if n_timings and book.avoided is not None:
            found = compare_avoidance(
                own, book.avoided.rows(within), costs=costs, n_draws=n_timings, n_bootstrap=n_bootstrap, seed=seed
            )
            low, high = found.difference.mean_interval
            row |= {"percentile": found.percentile, "beyond_target": found.difference.mean}
            row |= {"beyond_target_low": low, "beyond_target_high": high}
        rows.append(row)
        on_step(f"{sample} {name}")
    return rows


def _figures(result: BacktestResult) -> dict[str, Any]:
    found = performance(result.returns, format_duration(result.interval))
    years = len(result.time) * (result.interval / np.timedelta64(365, "D"))
    calendar = result.time.astype("datetime64[Y]").astype(int) + 1970
    return {
        "total_return": found.total_return,
        "sharpe": found.sharpe,
        "sharpe_low": found.sharpe_ci[0],
        "sharpe_high": found.sharpe_ci[1],
        "max_drawdown": found.max_drawdown,
        "var_95": found.var_95,
        "cvar_95": found.cvar_95,
        "turnover": float(result.turnover.sum() / years),
        "costs": result.costs,
        "exposure": float(result.exposure.mean()),
        **{f"return_{year}": float(np.prod(1 + result.returns[calendar == year]) - 1) for year in np.unique(calendar)},
    }

"""One small object of every public class, and the arrays that they are made of."""

from __future__ import annotations

import functools
import inspect
import tempfile
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import foreshock as fs
from foreshock.detectors.neural.latent.factors import LatentFactors
from foreshock.engine.detection.report import Metric
from foreshock.engine.out_of_sample.causality import AuditResult


def public_classes() -> dict[str, type]:
    """The classes of ``foreshock.__all__`` but its errors and abstract classes."""
    found = {name: getattr(fs, name) for name in fs.__all__ if inspect.isclass(getattr(fs, name))}
    return {
        name: kind
        for name, kind in found.items()
        if not issubclass(kind, Exception) and kind not in (fs.Detector, fs.Source, fs.Stream)
    }


@functools.cache
def samples() -> dict[str, Any]:
    """By name of the class."""
    folder = Path(tempfile.mkdtemp())
    market = fs.simulate_market(seed=1, n_symbols=2, n_bars=600)
    bars = market.bars
    clean, quality = fs.clean(bars)
    features = fs.ohlcv_features(bars, ["log_return", "volatility_20"])
    scores = fs.Scores(bars.time, bars.symbols, np.abs(bars.returns()) * 100, bars.interval)
    splits = fs.WalkForward("10D", "5D")
    signals = scores.signals(fs.RollingQuantile(0.95, "5D"))
    simulated = fs.simulate_book(seed=1, n_rows=400)
    trades = market.trades
    weights = fs.EqualWeight().weights(bars)
    result = fs.backtest(bars, weights, name="equal_weight")
    grid = fs.backtest_grid(bars, {"a": weights, "b": weights / 2})
    returns = bars.returns()[1:, 0]
    thresholds = {q: fs.RollingQuantile(q, "5D") for q in (0.9, 0.95)}
    stability = fs.stability_grid(bars, scores, thresholds, ["6h", "12h"])
    ledger = fs.Ledger(folder / "ledger.jsonl", clock=lambda: datetime(2024, 5, 6, tzinfo=UTC))
    table = pa.table({"time": [0], "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [1.0]})
    moves = fs.forward_moves(bars, signals, ["1h", "6h"], n_bootstrap=199)
    regimes = fs.Regimes(bars.time, bars.symbols, np.zeros(bars.shape, np.int8), ("calm", "wild"))
    verdict = fs.Verdict("echoes volatility", "6h", "a sentence " * 30)
    generator = np.random.default_rng(1)
    paths = generator.normal(0, 0.01, (120, 8, 2))
    card = fs.RealismCard(pd.DataFrame({"distance": [0.1], "passed": [True]}, index=["variance"]), 0.5, 120, 120, 20, 0.95, 0)
    scenarios = fs.Scenarios(paths, bars.symbols, bars.interval, "vae", 1.0, 0.0, 1.0, None, 0)
    difference = fs.paired_difference(result, result, n_bootstrap=19)
    one = np.zeros((1, 2))
    pipeline = fs.Pipeline(fs.Study(bars, ["zscore"], splits, thresholds[0.9], horizons=["1h"]), ["zscore"])
    expected = fs.ActivityForecast(["1h"]).fit(bars)
    factors = pd.DataFrame({"share": [0.5], "cumulative": [0.5]}, index=pd.Index(["factor_1"], name="factor"))
    found: list[Any] = [
        market, bars, features, scores, splits, signals, simulated, trades, result, grid, stability, ledger, moves, regimes,
        verdict, card, scenarios, difference, quality, simulated.book, thresholds[0.9], fs.Costs(), fs.Account(),
        fs.MarketLimits({"A": 5.0}, {"A": 0.1}), fs.merge_exchanges({"binance": table}),
        fs.volume_bars(trades, float(trades.size.sum() / 5)),
        fs.trade_windows(trades, 600), fs.SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1m"),
        fs.Archive(folder), fs.Store(folder),
        fs.BarSource(bars, ["log_return"]), fs.WindowSource(trades, "10m"), fs.BookSource(simulated.book),
        fs.FeatureSource(features, bars),
        fs.BookStream(), fs.OhlcvStream(2), fs.WindowStream(), fs.CombinatorialSplits(6, 2), fs.AdaptiveConformal(),
        fs.PeaksOverThreshold(), fs.VolatilityScaled(thresholds[0.9]), fs.Fixed(3.0), fs.TrainQuantile(0.9), fs.AnomalyAvoidance(),
        fs.BuyAndHold(), fs.EqualWeight(), fs.RandomAvoidance(), fs.EventTrade(), fs.FactorPortfolio(), fs.TimeSeriesMomentum(),
        fs.RegimeExposure(regimes, {"calm": 1.0, "wild": 0.0}), fs.VolatilityTarget(), fs.VAEScenarios(), fs.GANScenarios(),
        fs.ConditionalVAEScenarios(), fs.make_detector("zscore"),
        fs.PrecomputedScores(pd.DataFrame(scores.values, pd.DatetimeIndex(scores.time), list(scores.symbols))),
        fs.Audit((AuditResult("zscore", 20, 0.0, 0.0, None),)),
        fs.Events(np.array([0]), np.array([3]), np.array([5]), bars.shape),
        fs.HoldOut.reserve(bars, 0.2, ledger),
        fs.annual_sharpe(returns, "1h"),
        fs.drawdown_risk(returns, n_draws=19),
        fs.factor_exposures(returns, {"market": returns**2}),
        fs.risk_forecast(returns, "historical", window=200),
        fs.event_study(bars, signals, "6h", n_draws=99),
        fs.lead_lag(bars, signals, "6h", n_draws=99),
        fs.compare_ranks(generator.normal(size=(20, 3)), ["a", "b", "c"]),
        fs.Rescorer(lambda rows: scores, thresholds[0.9]),
        fs.SurrogateTest(("zscore",), ("1h", "6h"), one, one, np.array([7]), one[None], one[None], one + 0.5,
                         one + 0.5, ("gjr",) * 2, ()),
        fs.Surrogates(bars, ("gjr", "har"), (None, None), one, one, one[0], one, one, (), ()),
        fs.Validation("no information", "6h", "a sentence", 0.5, pd.DataFrame({"q": [0.5]}),
                      pd.DataFrame({"p": [0.5]}, index=["naive"]), pd.DataFrame(), 1.0),
        fs.Recorded(fs.SeriesKey("binance", "spot", "BTC/USDT", "book", "10s"), 10, 1),
        fs.Exploration("a title", {"returns": {s: _MOMENTS for s in bars.symbols}}, bars, quality),
        fs.ScenarioStudy(fs.VAEScenarios(), scenarios, {"vae": card}, {}, pd.DataFrame({"var": [0.1]}), 9, {"A": 1.0}, 0, {}, {}),
        fs.Study(bars, ["zscore"]),
        fs.LiveWindows(20), fs.RegimeStream(fs.make_detector("kmeans_regime"), splits, features.rows(slice(0, 0))),
        expected, fs.ActivityStream(expected),
        fs.SignalStream(thresholds[0.9], scores, "6h"), pipeline, pipeline.update(bars.rows(slice(0, 1)))[0],
        _study_result(bars, quality, regimes, scores, signals, moves, verdict, result),
        market.labels,
        fs.SavedResult(folder, {"config": {"title": "a title"}, "detectors": {}}),
        fs.PriceHistory(bars, {"zscore": (signals.active, scores.values)}),
        fs.StudyConfig(detectors=["zscore"]),
        fs.DetectionReport(3, 2, 1, 25.0, {"recall": Metric(0.7, 0.5, 0.9, 0.1)}, None, ()),  # pyright: ignore[reportArgumentType]
        fs.AvoidanceComparison(result, result, 0.5, np.zeros(5), 0.5, difference, pd.DataFrame({"gain": [0.1]})),
        fs.Universe(2, window="5D"),
        fs.WalkForwardChoice(pd.DataFrame({"chosen": ["a"]}), weights, result),
        LatentFactors(
            bars.time, bars.symbols, "pca", np.zeros((600, 1)), np.zeros((600, 1, 2)), np.zeros((600, 1)), np.zeros((600, 2, 1)),
            factors, factors, factors, pd.Series({"n": 1.0}),
        ),
    ]  # fmt: skip
    assert clean.n_bars == bars.n_bars
    return {type(value).__name__: value for value in found}


_MOMENTS = dict.fromkeys(("mean", "std", "skew", "kurtosis", "far", "min", "max"), 0.0)


def _study_result(bars: fs.Bars, quality: Any, regimes: Any, scores: Any, signals: Any, moves: Any, verdict: Any, run: Any) -> Any:
    forward = {
        "n_events": 9,
        "abs_move_ratio": 1.1,
        "matched_ratio": 1.0,
        "ci": [0.9, 1.1],
        "q": 0.4,
        "expected_ratio": 1.02,
        "expected_ci": [0.9, 1.2],
    }
    rungs = {rung: {"6h": {"ratio": 1.02, "detectable": 1.2}} for rung in ("volatility", "volume")}
    results = {
        "data": {"hash": "a"},
        "detectors": {
            "zscore": {
                "role": "detector",
                "verdict": "echoes volatility",
                "verdict_horizon": "6h",
                "forward": {"6h": forward},
                "rungs": rungs,
                "alert_rate": {"realised": 0.01},
            }
        },
        "random_draws": {"anomaly_avoidance[zscore]": {"percentile": 0.5, "detector": "zscore"}},
        "backtests": {
            "anomaly_avoidance[zscore]": {
                "total_return": 0.1,
                "detector": "zscore",
                "strategy": "anomaly_avoidance",
                "role": "strategy",
            }
        },
    }
    by = "zscore"
    return fs.StudyResult(
        "a title", results, bars, regimes, {by: scores}, {by: signals}, {by: moves}, {by: verdict}, {"hold": run}, {}, quality
    )


def rebuilt(value: Any, **changes: Any) -> Any:
    """The object made anew by its constructor, with some of its fields changed."""
    return type(value)(**{field.name: getattr(value, field.name) for field in fields(value)} | changes)

"""A call of every public door that is right: functions, constructors and methods that take arguments."""

from __future__ import annotations

import functools
import inspect
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import foreshock as fs
from foreshock.detectors.own.scores import PrecomputedScores
from tests.house.test_doors import MADE_BY_CALLERS, valid
from tests.samples import public_classes, samples

NAMES = ["relative_spread", "log_bids_notional_0"]
TINY = {"n_steps": 8, "epochs": 8, "batch_size": 64, "hidden": 32, "max_windows": 600}
PACKAGES = ("data", "detectors", "engine", "foreshock", "reports", "strategies")
HOUR = 3_600_000
START = 1_704_067_200_000


@dataclass(frozen=True)
class Door:
    """One public name that takes arguments, and arguments that are right."""

    name: str
    function: Callable[..., Any]
    given: dict[str, Any]
    parameters: tuple[str, ...]


@functools.cache
def doors(slow: bool = True) -> dict[str, Door]:
    """By name; without ``slow`` those that need no network that was trained and no study that was run."""
    return {name: _door(name, function, slow) for name, function in _functions(slow)}


def _door(name: str, function: Callable[..., Any], slow: bool) -> Door:
    every = list(inspect.signature(function).parameters.values())
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = [p for p in every if p.kind in kinds]
    own = given(slow).get(name, {})
    needed = {p.name: own[p.name] if p.name in own else valid()[p.name] for p in named if p.default is p.empty}
    rare = [key for p in every if p.kind is p.VAR_KEYWORD for key in _options(function, p)]
    return Door(name, function, needed | own, tuple([p.name for p in named] + rare))


def _options(function: Callable[..., Any], parameter: inspect.Parameter) -> Iterator[str]:
    """The names of ``**options: Unpack[SomeTypedDict]``."""
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else repr(annotation)
    if "Unpack[" in text:
        plain = inspect.unwrap(getattr(function, "__func__", function))
        yield from plain.__globals__[text.split("[")[1].rstrip("]")].__annotations__


def _functions(slow: bool) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in fs.__all__:
        value = getattr(fs, name)
        if name in MADE_BY_CALLERS or (inspect.isroutine(value) and not inspect.isclass(value)):
            yield name, value
    objects = {name: samples()[name] for name in public_classes()} | extra_objects(slow)
    for name, one in objects.items():
        for method, static in inspect.getmembers_static(type(one)):
            home = getattr(getattr(static, "__func__", static), "__module__", "") or ""
            callable_ = inspect.isfunction(static) or isinstance(static, classmethod | staticmethod)
            if callable_ and not method.startswith("_") and home.split(".")[0] in PACKAGES:
                bound = getattr(one, method)
                # Figures are drawn by a browser, which takes longer than a call may here.
                if name != "Network" and inspect.signature(bound).parameters and method != "save_figures":
                    yield f"{name}.{method}", bound


@functools.cache
def extra_objects(slow: bool) -> dict[str, Any]:
    """Objects of classes that have no public constructor of their own, and such as a study or a training makes."""
    found = samples()
    scores, bars = found["Scores"], found["Bars"]
    quick = {
        "Detector": fs.make_detector("kmeans_regime", volatility="volatility_20", trend="log_return").fit(found["Features"]),
        "PrecomputedScores": fs.PrecomputedScores(pd.DataFrame(scores.values, pd.DatetimeIndex(scores.time), list(scores.symbols))),
    }
    if not slow:
        return quick
    study_result().save(folder() / "ran")
    models = {kind.__name__: kind(**TINY).fit(bars) for kind in (fs.VAEScenarios, fs.ConditionalVAEScenarios, fs.GANScenarios)}
    return (
        quick
        | models
        | {
            "Study": small_study(),
            "StudyResult": study_result(),
            "SavedResult": fs.load_result(folder() / "ran"),
            "Exploration": fs.explore(bars),
            "Network": fs.make_detector("autoencoder", epochs=8, hidden=(16,), max_windows=1_000).fit(
                fs.book_features(found["Book"], NAMES)
            ),
        }
    )


@functools.cache
def folder() -> Path:
    return Path(tempfile.mkdtemp())


@functools.cache
def store() -> fs.Store:
    """A store that has two days of bars, trades and a book, and knows that the rest of January is empty."""
    store = fs.Store(folder() / "store")
    time = START + HOUR * np.arange(48)
    price = {name: np.full(48, 100.0) for name in ("open", "high", "low", "close")}
    bars = pa.table({"time": time, **price, "volume": np.ones(48)})
    store.write(fs.SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1h"), bars, START, START + 31 * 24 * HOUR)
    trades = pa.table({"time": time, "id": np.arange(48), "price": np.full(48, 100.0), "amount": np.ones(48), "side": ["buy"] * 48})
    store.write(fs.SeriesKey("binance", "spot", "BTC/USDT", "trades"), trades, START, START + 31 * 24 * HOUR)
    return store


@functools.cache
def small_study() -> fs.Study:
    bars = samples()["Bars"]
    return fs.Study(
        bars, ["zscore"], splits=fs.WalkForward("10D", "5D"), horizons=["1h"], n_surrogates=0, n_bootstrap=99, random_draws=1,
        threshold=fs.RollingQuantile(0.95, "5D"),
    )  # fmt: skip


@functools.cache
def study_result() -> fs.StudyResult:
    return small_study().run()


@functools.cache
def given(slow: bool) -> dict[str, dict[str, Any]]:
    """Arguments of single doors, where the name of the parameter does not say enough."""
    found, home = samples(), folder()
    bars, features, scores, signals = found["Bars"], found["Features"], found["Scores"], found["Signals"]
    result, book, trades, windows = found["BacktestResult"], found["Book"], found["Trades"], found["TradeWindows"]
    rng, ones = np.random.default_rng(1), np.ones(bars.shape)
    key = fs.SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1h")
    grid = pa.table({"time": [START], "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [1.0]})
    long = bars.to_frame().reset_index()
    long.to_csv(home / "bars.csv", index=False)
    trade_table = pd.DataFrame(
        {"time": trades.time, "price": trades.price, "size": trades.size, "side": np.where(trades.is_buy, "buy", "sell")}
    )
    trade_table.iloc[:200].to_csv(home / "trades.csv", index=False)
    labels = pd.DataFrame({"symbol": ["BTC/USDT"], "start": [bars.time[5]], "stop": [bars.time[9]]})
    labels.to_csv(home / "labels.csv", index=False)
    book_frame = book.to_frame().reset_index()
    book_frame.to_csv(home / "book.csv", index=False)
    (home / "study.toml").write_text('detectors = ["zscore"]\n[data]\npath = "bars.csv"\n')
    fs.make_detector("zscore").fit(features).save(home / "detector.json")
    zscore, quick = fs.make_detector("zscore"), fs.make_detector("zscore", window=6, columns=["log_return"])
    regimes = fs.make_detector("kmeans_regime", volatility="volatility_20", trend="log_return")
    panel = dict(bars=bars, signals=signals)
    span = dict(start=bars.time[3], stop=bars.time[8])
    cut = dict(cut=300, rng=rng)
    two = rng.normal(size=(200, 2))
    events = fs.Events([0, 1], [400, 300], [405, 306], bars.shape)
    report = fs.detection_report(scores, signals, events, n_draws=9, n_shifts=9)
    paths = rng.normal(0, 0.01, (60, 4, 1))
    ready = samples() | extra_objects(slow)
    ran, tiny, network = ready["StudyResult"], ready["VAEScenarios"], ready.get("Network")
    train_scores = fs.walk_forward(zscore, features, fs.WalkForward("10D", "5D"), train_scores=True)
    ledger = fs.Ledger(home / "sealed.jsonl")
    fs.HoldOut.reserve(bars, 0.2, ledger)
    january = dict(start="2024-01-01", end="2024-01-03", store=store())
    found_detector = ready["Detector"]
    calls: dict[str, dict[str, Any]] = {
        "AnomalyAvoidance.weights_outside": dict(outside=signals.active),
        "Archive": dict(source=str(home)),
        "Archive.check": dict(key=key),
        "Archive.files": dict(key=key, start=START, stop=START + 24 * HOUR),
        "Archive.pages": dict(key=key, start=START, stop=START + 24 * HOUR),
        "Archive.fill": dict(store=store(), key=key, start=START, stop=START + 24 * HOUR),
        "Book": {field.name: getattr(book, field.name) for field in fields(book)},
        "Book.column": dict(name="midpoint"),
        "Book.from_frame": dict(frame=book_frame),
        "Book.join": dict(books=[book.rows(slice(0, 100)), book.rows(slice(100, 200))]),
        "BookStream.update": dict(snapshot=book.rows(slice(0, 1))),
        "CombinatorialSplits.folds": dict(n_rows=600),
        "CombinatorialSplits.path_values": dict(tested=[np.ones(600)] * 15, n_rows=600),
        "Costs.impact_of_capital": dict(capital=1e6),
        "Detector.explain": dict(features=features, row=100, symbol="BTC/USDT"),
        "Detector.explain_rows": dict(features=features, rows=[100, 200], symbols=[0, 1]),
        "Detector.matched_to": dict(previous=found_detector),
        "Detector.restore": dict(state=found_detector.state()),
        "Detector.save": dict(path=home / "saved.json"),
        "Events": dict(col=[0, 1], start=[5, 6], stop=[9, 9], shape=(600, 2)),
        "Events.from_frame": dict(frame=labels),
        "Events.take": dict(kept=np.array([True])),
        "Exploration.report": dict(path=home / "page.html"),
        "Exploration.save": dict(folder=home / "exploration"),
        "Exploration.to_json": dict(path=home / "exploration.json"),
        "Features": dict(values=features.values),
        "Features.column": dict(name="log_return"),
        "Features.index": dict(name="log_return"),
        "Features.select": dict(names=["log_return"]),
        "FeatureSource": dict(features=features),
        "HoldOut.reserve": dict(bars=bars, share=0.2),
        "HoldOut.open": dict(configuration={"a": 1}),
        "Labels.check_fit": dict(start=bars.time[0], end=bars.time[-1] + bars.interval),
        "Ledger": dict(path=home / "ledger.jsonl"),
        "Ledger.append": dict(configuration={"a": 1}, result={"b": 1.0}),
        "MarketLimits": dict(min_notional={"BTC/USDT": 5.0, "ETH/USDT": 5.0}, lot={"BTC/USDT": 0.1, "ETH/USDT": 0.1}),
        "MarketLimits.check": dict(symbols=("A",)),
        "MarketLimits.from_markets": dict(
            markets={s: {"limits": {"cost": {"min": 5.0}}, "precision": {"amount": 0.1}, "precisionMode": 4} for s in bars.symbols}
        ),
        "OhlcvStream": dict(n_symbols=2),
        "OhlcvStream.update": dict(bar=[x[0] for x in (bars.open, bars.high, bars.low, bars.close, bars.volume)]),
        "PrecomputedScores": dict(scores=pd.DataFrame(scores.values, pd.DatetimeIndex(scores.time), list(scores.symbols))),
        "PrecomputedScores.explain": dict(row=100, symbol="BTC/USDT"),
        "PrecomputedScores.explain_rows": dict(rows=[100], symbols=[0]),
        "PrecomputedScores.restore": dict(state={}),
        "PrecomputedScores.save": dict(path=home / "scores.json"),
        "PriceHistory": dict(alerts={"zscore": (signals.active, scores.values)}),
        "PriceHistory.chart": dict(name="prices"),
        "PriceHistory.save": dict(path=home / "chart.html"),
        "QualityReport.count": dict(kind="missing"),
        "RegimeExposure": dict(exposures={"calm": 1.0, "wild": 0.0}),
        "Rescorer": dict(score=lambda rows: scores, threshold=fs.RollingQuantile(0.9, "5D")),
        "SavedResult.report": dict(path=home / "saved.html"),
        "Scenarios.portfolio_returns": dict(weights=[0.5, 0.5]),
        "Scores.signals": dict(threshold=fs.Fixed(3.0)),
        "Scores.where": dict(mask=signals.active),
        "SeriesKey": dict(exchange="binance", market="spot", symbol="BTC/USDT", kind="ohlcv", timeframe="1h"),
        "SeriesKey.from_folder": dict(folder=key.folder),
        "SeriesKey.partitions": dict(start=START, stop=START + HOUR),
        "Signals.where": dict(mask=signals.active),
        "Signals": dict(active=signals.active, threshold=signals.threshold),
        "Source": {},
        "Store": dict(folder=home / "other"),
        "Store.missing": dict(key=key, start=START, stop=START + HOUR),
        "Store.write": dict(key=key, table=grid, start=START, stop=START + HOUR),
        "Store.writer": dict(key=key),
        "Study": dict(splits=fs.WalkForward("10D", "5D")),
        "StudyResult.report": dict(path=home / "study.html"),
        "StudyResult.save": dict(folder=home / "study"),
        "StudyResult.save_figures": dict(folder=home / "figures"),
        "StudyResult.save_verdicts": dict(folder=home / "verdicts"),
        "SurrogateTest.by_horizon": dict(detector="zscore", values=np.zeros((1, 2))),
        "Trades": {name: getattr(trades, name)[:100] for name in ("time", "price", "size", "quote", "is_buy")},
        "Trades.from_frame": dict(frame=trade_table.iloc[:200]),
        "threshold_stream": dict(rule=fs.Fixed(3.0)),
        "LiveWindows.close": dict(until=trades.time[-1]),
        "ActivityForecast": dict(horizons=["1h"]),
        "ActivityStream.update": dict(bar=bars.rows(slice(0, 1))),
        "ActivityForecast.restore": dict(state=ready["ActivityForecast"].state()),
        "ActivityStream.refitted": dict(forecast=ready["ActivityForecast"]),
        "Pipeline.replay": dict(source=fs.BarSource(bars)),
        "Pipeline.update": dict(row=bars.rows(slice(1, 2))),
        "RegimeStream.update": dict(row=features.values[0], time=features.time[0]),
        "SignalStream.begin_fold": dict(train_values=scores.values[:50]),
        "Store.add_notes": dict(key=key, notes=[]),
        "TrainQuantile.level": dict(train_values=scores.values[:50]),
        "TrainQuantile.threshold": dict(scores=train_scores),
        "Universe": dict(top=1, window="5D"),
        "VolatilityScaled": dict(policy=fs.RollingQuantile(0.9, "5D")),
        "WalkForward": dict(train="10D", test="5D"),
        "WalkForward.folds": dict(n_rows=600),
        "WindowStream.update": dict(window=windows.rows(slice(0, 1))),
        "as_detector": dict(entry="zscore"),
        "auc_pr": dict(scores=rng.normal(size=50), labels=np.arange(50) % 2),
        "vus_pr": dict(scores=rng.normal(size=50), labels=np.arange(50) % 2, window=5),
        "audit": dict(compute=lambda b: b.returns(), n_cuts=2),
        "avoided_moves": panel,
        "backtest_grid": dict(weights={"a": result.weights}),
        "bar_trades": dict(bars=bars.head(50)),
        "benjamini_hochberg": dict(p_values=np.array([0.01, 0.5])),
        "benjamini_yekutieli": dict(p_values=np.array([0.01, 0.5])),
        "book_flows": dict(book=book.rows(slice(0, 50))),
        "book_from_ccxt": dict(
            order_book={"symbol": "A", "bids": [[9.0, 1.0]] * 15, "asks": [[10.0, 1.0]] * 15, "timestamp": START}, interval="10s"
        ),
        "check_detector": dict(detector=zscore),
        "check_strategy": dict(strategy=fs.BuyAndHold()),
        "check_threshold_rule": dict(rule=fs.Fixed(3.0)),
        "choose_walk_forward": dict(weights={"a": result.weights, "b": result.weights / 2}, splits=fs.WalkForward("10D", "5D")),
        "closed_trades": dict(result=result),
        "combinatorial_scores": dict(detector=quick, splits=fs.CombinatorialSplits(6, 2, embargo="1h")),
        "compare_avoidance": panel | dict(n_draws=5, n_bootstrap=19),
        "compare_detections": dict(reports={"a": report, "b": report}),
        "compare_ranks": dict(figures=rng.normal(size=(20, 3)), names=["a", "b", "c"]),
        "conditional_risk": dict(returns=bars.returns(), signals=signals, horizons=("6h",), levels=(0.9,), n_bootstrap=19),
        "cost_sweep": dict(weights={"a": result.weights}),
        "denoise_book": dict(book=book.rows(slice(0, 50)), model=network),
        "deflate_study": dict(result=ran),
        "record_study": dict(result=ran, ledger=fs.Ledger(home / "trials.jsonl")),
        "detection_report": dict(events=events, n_draws=9, n_shifts=9),
        "deflated_sharpe": dict(returns=result.returns),
        "event_study": panel | dict(n_draws=19),
        "evidence": panel | dict(n_bootstrap=19, n_shifts=19),
        "fit_surrogates": dict(bars=bars.head(400), family="garch"),
        "forward_moves": panel | dict(horizons=["1h"], n_bootstrap=19),
        "generate_scenarios": dict(model=tiny),
        "latent_factors": dict(n_factors=1, splits=fs.WalkForward("22D", "2D")),
        "lead_lag": panel | dict(n_draws=19),
        "load_bars": dict(symbols="BTC/USDT", exchange="binance", **january),
        "load_trades": dict(symbol="BTC/USDT", **january),
        "stream_trades": dict(symbol="BTC/USDT", **january),
        "load_book": dict(symbol="BTC/USDT", **january),
        "load_detector": dict(path=home / "detector.json"),
        "load_result": dict(folder=home / "ran"),
        "load_scenario_model": {},
        "load_study": dict(path=home / "study.toml"),
        "make_detector": dict(name="zscore"),
        "make_strategy": dict(name="buy_and_hold"),
        "make_threshold": dict(kind="rolling_quantile", q=0.9, window="5D"),
        "market_factors": dict(returns=bars.returns()),
        "match_events": dict(active=signals.active, events=events),
        "merge_exchanges": dict(tables={"binance": grid, "kraken": grid}),
        "merge_trades": dict(trades={"binance": trades}),
        "min_track_record": dict(returns=result.returns),
        "model_confidence_set": dict(losses=rng.normal(size=(60, 3)), names=["a", "b", "c"], n_draws=99),
        "open_sealed": dict(study=ready["Study"], result=ran),
        "overfitting_probability": dict(returns=rng.normal(size=(200, 3)), n_blocks=4),
        "paired_difference": dict(n_bootstrap=19),
        "read_bars": dict(path=home / "bars.csv"),
        "read_book": dict(path=home / "book.csv"),
        "read_labels": dict(path=home / "labels.csv"),
        "read_trades": dict(path=home / "trades.csv"),
        "scan_trades": dict(path=home / "trades.csv"),
        "realism": dict(real=paths, generated=paths[::-1] * 1.1, n_splits=20, n_permutations=19),
        "record_book": dict(symbols="BTC/USDT", duration="1s", every="1s", store=store(), base_url="http://127.0.0.1:9"),
        "register_detector": dict(name="mine", cls=PrecomputedScores),
        "register_strategy": dict(name="my_hold", cls=fs.BuyAndHold),
        "register_threshold": dict(name="my_rule", cls=fs.Fixed),
        "risk_contributions": dict(parts={"a": two[:, 0] / 100, "b": two[:, 1] / 100}),
        "romano_wolf": dict(statistics=np.array([1.0, 2.0]), draws=two),
        "scenario_risk": dict(sources={"a": two[:, 0] / 100}, n_bootstrap=19),
        "scenario_study": dict(bars=bars, params={"epochs": 1, "hidden": 4, "max_windows": 200}, horizon="8h", n=100, later=False),
        "simulate_book": dict(n_rows=200),
        "simulate_market": dict(n_symbols=1, n_bars=300),
        "stability_grid": dict(thresholds={0.9: fs.RollingQuantile(0.9, "5D")}, holds=["6h"]),
        "superior_models": dict(benchmark=rng.normal(size=200), models=two, n_draws=99),
        "superior_predictive_ability": dict(benchmark=rng.normal(size=200), models=two, n_draws=99),
        "standardise_by_volatility": dict(scores=scores, volatility=ones),
        "surrogate_test": dict(
            signals={"zscore": signals}, cooldown="6h", n_surrogates=19, make_features=fs.ohlcv_features,
            rescorers={"zscore": fs.Rescorer(lambda rows: scores, fs.RollingQuantile(0.9, "5D"))},
        ),
        "validate": dict(splits=fs.WalkForward("10D", "5D"), threshold=fs.RollingQuantile(0.95, "5D"), horizon="1h"),
        "var_backtest": dict(returns=two[:, 0] / 100, var=np.full(200, 0.01), n_simulations=19),
        "volume_bars": dict(volume=float(trades.size.sum() / 20)),
        "dollar_bars": dict(trades=trades, value=float(trades.quote.sum() / 20)),
        "trade_windows": dict(trades=trades, seconds=3600),
        "walk_forward": dict(detector=zscore),
        "walk_forward_regimes": dict(
            detector=regimes, splits=fs.WalkForward("10D", "5D")
        ),
        "window_size_study": dict(trades=trades, seconds=[3600, 7200]),
    }  # fmt: skip
    for kind in ("BarSource", "BookSource", "FeatureSource", "WindowSource"):
        calls[f"{kind}.disturbed"] = cut | ({} if kind in ("BarSource", "FeatureSource") else {"cut": 40})
        calls[f"{kind}.raw_rows"] = dict(symbol=found[kind].bars.symbols[0], **span)
    for kind, one in samples().items():
        if isinstance(one, fs.Stream):
            one.save(home / f"{kind}.stream")
            calls |= {f"{kind}.{method}": dict(path=home / f"{kind}.stream") for method in ("save", "load")}
            calls[f"{kind}.restore"] = dict(state=one.state())
    for kind in ("VAEScenarios", "GANScenarios", "ConditionalVAEScenarios"):
        calls[f"{kind}.fit_returns"] = dict(returns=bars.returns()[1:])
        calls[f"{kind}.save"] = dict(path=home / f"{kind}.safetensors")
    return calls

"""Every public door refuses what it does not take: in one short sentence, by an error of foreshock, before any work."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from tests.samples import public_classes, samples

# Classes that callers make; the others are made by functions.
MADE_BY_CALLERS = (
    "Account",
    "AdaptiveConformal",
    "AnomalyAvoidance",
    "Archive",
    "Bars",
    "Book",
    "BookStream",
    "CombinatorialSplits",
    "Costs",
    "EqualWeight",
    "EventTrade",
    "Events",
    "FactorPortfolio",
    "Features",
    "Fixed",
    "Ledger",
    "MarketLimits",
    "OhlcvStream",
    "PeaksOverThreshold",
    "PriceHistory",
    "RandomAvoidance",
    "RegimeExposure",
    "RollingQuantile",
    "Scores",
    "SeriesKey",
    "Signals",
    "Store",
    "Study",
    "TimeSeriesMomentum",
    "TrainQuantile",
    "Trades",
    "Universe",
    "VolatilityScaled",
    "VolatilityTarget",
    "WalkForward",
    "WindowStream",
)
# What an annotation lets in, by a word of it.
ACCEPTED: dict[str, tuple[str, ...]] = {
    "Bars": ("bars",),
    "TradeWindows": ("windows",),
    "Book": ("book",),
    "Features": ("features",),
    "ndarray": ("array", "frame"),
    "DataFrame": ("frame",),
    "Series": ("array",),
    "Mapping": ("dict",),
    "dict": ("dict",),
    "str": ("text",),
    "Hashable": ("text", "none", "number"),
    "Path": ("text",),
    "Duration": ("text",),
    "Instant": ("text",),
    "int": ("number",),
    "float": ("number",),
    "Iterable": ("array", "frame", "dict", "text", "names"),
    "Sequence": ("array", "frame", "dict", "names"),
    "Collection": ("array", "frame", "dict", "names"),
    "list": ("names",),
    "tuple": ("names",),
    "None": ("none",),
    "datetime64": ("text", "number"),
    "bool": ("number",),
    "Optional": ("none",),
}
# Of a type that is right, but with a content that is not; the other kinds are not passed where they are right.
HOSTILE = ("array", "frame", "text", "names", "dict")
# Parameters of an interface that these do not use.
UNUSED = {
    f"{name}.weights": "signals"
    for name in ("BuyAndHold", "EqualWeight", "FactorPortfolio", "RegimeExposure", "TimeSeriesMomentum", "VolatilityTarget")
}


@functools.cache
def wrong_values() -> dict[str, Any]:
    found = samples()
    return {
        "features": found["Features"],
        "windows": found["TradeWindows"],
        "book": found["Book"],
        "bars": found["Bars"],
        "array": np.arange(12.0).reshape(3, 4),
        "frame": pd.DataFrame({"a": [1.0, 2.0]}),
        "none": None,
        "text": "x" * 100_000,
        "names": [f"name {at}" for at in range(5_000)],
        "dict": {"a": 1},
        "number": 7,
    }


@functools.cache
def valid() -> dict[str, Any]:
    """Arguments that are right, by the name of the parameter."""
    found = samples()
    bars, result = found["Bars"], found["BacktestResult"]
    by_class = {
        "bars": "Bars",
        "book": "Book",
        "trades": "Trades",
        "windows": "TradeWindows",
        "features": "Features",
        "scores": "Scores",
        "signals": "Signals",
        "policy": "RollingQuantile",
        "splits": "WalkForward",
        "surrogates": "Surrogates",
        "key": "SeriesKey",
        "frame": "",
        "result": "StudyResult",
        "ledger": "Ledger",
        "model": "VAEScenarios",
        "config": "StudyConfig",
        "events": "Events",
    }
    return {name: found[kind] for name, kind in by_class.items() if kind} | {
        "frame": bars.to_frame(),
        "time": bars.time,
        "symbols": bars.symbols,
        "open": bars.open,
        "high": bars.high,
        "low": bars.low,
        "close": bars.close,
        "volume": bars.volume,
        "interval": bars.interval,
        "values": found["Scores"].values,
        "names": found["Features"].names,
        "weights": result.weights,
        "detector": "zscore",
        "detectors": ["zscore"],
        "horizon": "6h",
        "horizons": ["1h"],
        "thresholds": {0.9: fs.Fixed(3.0)},
        "holds": ["6h"],
        "returns": result.returns,
        "seconds": 20,
        "value": 5.0,
        "interval_": "1h",
        "factors": {"market": result.returns},
        "parts": {"a": result.returns},
        "active": found["Signals"].active,
        "threshold": found["Signals"].threshold,
        "decided": found["Signals"].decided,
        "losses": np.ones((50, 2)),
        "n": 10,
        "n_trials": 5,
        "trial_variance": 1.0,
        "strategy": result,
        "baseline": result,
        "labels": np.ones((600, 2), bool),
        "window": 5,
        "entries": found["Signals"].active,
        "seed": 1,
        "rows": slice(0, 5),
        "regimes": found["Regimes"],
        "exposures": {"calm": 1.0},
        "configuration": {},
        "data_hash": "a",
        "start": 0,
        "stop": 10,
        "compute": lambda bars: bars.returns(),
        "make_features": fs.ohlcv_features,
        "policy": None,
        "rescorers": {},
        "real": np.ones((120, 8, 2)),
        "generated": np.ones((120, 8, 2)),
        "var": result.returns,
        "figures": np.ones((5, 3)),
    }


def doors_by_name() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, the constructors that callers use, and the methods of every public class."""
    for name in fs.__all__:
        value = getattr(fs, name)
        if name in MADE_BY_CALLERS or (inspect.isroutine(value) and not inspect.isclass(value)):
            yield name, value
    for name, kind in public_classes().items():
        for method, function in inspect.getmembers_static(kind, _is_method):
            home = getattr(function, "__func__", function).__module__ or ""
            if not method.startswith("_") and home.split(".")[0] in PACKAGES:
                yield f"{name}.{method}", function


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)


PACKAGES = ("data", "detectors", "engine", "foreshock", "reports", "strategies")


def parameters(door: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in inspect.signature(door).parameters.values() if p.kind in kinds]


def accepted_kinds(parameter: inspect.Parameter) -> set[str]:
    """Kinds of values that the annotation lets in; all of them where it lets in any object."""
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    words = {word.rsplit(".", 1)[-1] for word in re.findall(r"[\w.]+", text)}
    if words & {"Any", "object", "_empty"}:
        return set(wrong_values())
    found = {kind for word in words for kind in ACCEPTED.get(word, ())}
    return found | {"text"} if "Literal" in words else found


def complaint(door: Callable[..., Any], arguments: dict[str, Any]) -> str:
    """What is wrong with how the door answers; empty if nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = door(**arguments)
            if inspect.isgenerator(out):
                next(out, None)
    except fs.ForeshockError as error:
        return "" if len(str(error)) < 500 else f"a message of {len(str(error)):,} characters: {str(error)[:80]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:90]}"
    return "taken"


def complaints(door: Callable[..., Any]) -> Iterator[str]:
    every = parameters(door)
    needed = {p.name: valid().get(p.name) for p in every if p.default is p.empty}
    if door.__name__ == "signals":
        # It has two names.
        needed, every = {"threshold": fs.Fixed(3.0)}, [p for p in every if p.name == "cooldown"]
    for parameter in every:
        allowed = accepted_kinds(parameter)
        for kind, value in wrong_values().items():
            if kind in allowed and kind not in HOSTILE:
                continue
            said = complaint(door, needed | {parameter.name: value})
            if said and not (said == "taken" and kind in allowed):
                yield f"{parameter.name} as {kind}: {said}"


ALL_DOORS = dict(doors_by_name())


@pytest.mark.parametrize("name", sorted(ALL_DOORS))
def test_a_wrong_type_is_refused_in_one_short_sentence(name):
    method = name.split(".")
    door = getattr(samples()[method[0]], method[1]) if len(method) > 1 else ALL_DOORS[name]
    assert [said for said in complaints(door) if not said.startswith(f"{UNUSED.get(name)} ")] == []


def test_a_study_of_features_is_refused_by_the_name_of_their_type():
    with pytest.raises(fs.ConfigError, match="bars must be Bars or a source, got a Features; read a file with") as error:
        fs.Study(samples()["Features"], ["zscore"])
    assert len(str(error.value)) < 100


LONG = "<b>\n" + "x" * 10_000


def test_the_message_on_a_long_list_or_a_long_name_is_short():
    many = tuple(f"symbol {at} of a long list" for at in range(500))
    bars = samples()["Bars"]
    wide = {name: np.ones((300, 500)) for name in ("open", "high", "low", "close", "volume")}
    market = fs.Bars(time=bars.time[:300], symbols=many, interval=bars.interval, **wide)
    odd = fs.Bars(time=bars.time[:300], symbols=(LONG,), interval=bars.interval, **{k: v[:, :1] for k, v in wide.items()})
    table = pd.DataFrame(np.ones((3, 500)), columns=list(many))
    features = fs.Features(bars.time[:3], many, many, np.ones((3, 500, 500)), bars.interval)
    weights = pd.DataFrame(np.ones((300, 500)) / 500, columns=[f"other {name}" for name in many])
    calls = [
        lambda: market.select("none"),
        lambda: odd.select("none"),
        lambda: market.select(LONG),
        lambda: fs.Bars.from_frame(table),
        lambda: fs.Bars.from_frame(table.rename(columns={many[0]: LONG})),
        lambda: fs.Book.from_frame(table),
        lambda: fs.Trades.from_frame(table),
        lambda: features.column(LONG),
        lambda: fs.backtest(market, weights),
        lambda: fs.backtest(odd, weights),
        lambda: fs.backtest(market, weights.iloc[:, :2]),
        lambda: fs.Study(market, ["zscore"], horizons=list(many)),
        lambda: fs.Study(market, ["zscore"], horizons=[LONG]),
        lambda: fs.make_detector(LONG),
        lambda: fs.make_detector("zscore", **{name: 1 for name in many}),
        lambda: fs.make_detector("zscore", window=LONG),
        lambda: fs.make_strategy(LONG),
        lambda: fs.make_threshold(LONG),
        lambda: fs.make_threshold("fixed", **{LONG: 1}),
        lambda: fs.register_detector(LONG, LONG),
        lambda: fs.ohlcv_features(market, [LONG]),
        lambda: fs.ohlcv_features(market, list(many)),
        lambda: fs.make_detector("pca").fit(samples()["Features"]).score(features),
        lambda: fs.MarketLimits(dict.fromkeys(many, 5.0), {}).check(("A",)),
        lambda: fs.Events.from_frame(table, bars.time, many, bars.interval),
        lambda: fs.model_confidence_set(np.ones((50, 3)), names=many),
        lambda: fs.read_bars(LONG),
        lambda: fs.SeriesKey(LONG, "spot", "BTC/USDT", "ohlcv", "1m"),
    ]
    wrong = {}
    for at, call in enumerate(calls):
        said = complaint(call, {})
        if said:
            wrong[at] = said
    assert wrong == {}

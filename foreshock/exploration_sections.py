"""The parts of eda.json. Bars are cleaned; arrays are (n_bars, n_symbols)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from data.bars import Bars
from data.errors import DataError
from data.interval import bars_per_year
from detectors.pca import principal_components
from detectors.regimes import KMeansRegime
from detectors.scaling import CLIP, RobustScaler
from engine.description import autocorrelation, correlation, histogram, rank_within, summarise
from engine.features import Features
from engine.ohlcv import ohlcv_features

# Drawn against each other; those in LOG_AXIS on a log scale.
PAIRED = ("log_return", "volatility_20", "range", "volume_change", "volume_ratio_20", "return_24")
FEATURES = (*PAIRED, "parkinson_20", "amihud_20", "drawdown_168", "skew_168")
LOG_AXIS = ("volatility_20", "range", "volume_ratio_20")
REGIME_FEATURES = ("volatility_20", "return_24")
N_CELLS = 36
N_LAGS = 168
LEAST_ROWS = 100
N_POINTS = 1_500
N_PROJECTED = 2_500
N_FITTED = 30_000
# Periods that boxes and tables are cut into: the first of which there are no more than so many.
PERIODS = (("month", "M"), ("quarter", "Q"), ("year", "Y"))
MAX_PERIODS = 30


def listed(bars: Bars, col: int) -> dict[str, Any]:
    """First and last known bar of a symbol, and how many there are."""
    rows = np.flatnonzero(~np.isnan(bars.close[:, col]))
    return {"n_bars": len(rows), "start": bars.time[rows[0]], "end": bars.time[rows[-1]]}


def returns_section(bars: Bars) -> dict[str, Any]:
    """Moments, quantiles and histogram of the log returns of each symbol."""
    moves = bars.returns()
    found = {}
    for i, symbol in enumerate(bars.symbols):
        drawn = histogram(moves[:, i])
        found[symbol] = {**asdict(summarise(moves[:, i])), "histogram": None if drawn is None else asdict(drawn)}
    return found


def periods(bars: Bars) -> tuple[str, pd.Series]:
    """How time is cut, and the label of the period of each bar."""
    time = pd.DatetimeIndex(bars.time)
    for name, unit in PERIODS:
        labels = pd.Series(time.to_period(unit).astype(str))
        if name == "year" or labels.nunique() <= MAX_PERIODS:
            return name, labels
    raise AssertionError


def boxes_section(bars: Bars) -> dict[str, Any]:
    """Quantiles of the log returns by symbol; of all symbols together by hour of the day and by period."""
    moves = bars.returns()
    unit, period = periods(bars)
    found: dict[str, Any] = {"symbol": [{"name": s, **asdict(summarise(moves[:, i]))} for i, s in enumerate(bars.symbols)]}
    hours = pd.Series(pd.DatetimeIndex(bars.time).hour)
    # A bar's return is told from its close, and belongs to the hour in which the bar opens.
    by_hour = hours.nunique() > 1 and bars.interval < np.timedelta64(1, "D")
    found["hour"] = _boxes(moves, hours.map("{:02d}".format)) if by_hour else []
    found["period"] = _boxes(moves, period)
    return {**found, "unit": unit}


def _boxes(moves: np.ndarray, labels: pd.Series) -> list[dict[str, Any]]:
    values = labels.to_numpy()
    return [{"name": str(name), **asdict(summarise(moves[values == name].ravel()))} for name in sorted(labels.unique())]


def features_section(bars: Bars, omitted: list[dict[str, str]]) -> dict[str, Any]:
    """Correlations of the features, and counts of every two of them in a grid of cells."""
    features = ohlcv_features(bars, FEATURES)
    known = [int((~np.isnan(features.values[:, :, i])).sum()) for i in range(len(FEATURES))]
    names = [name for name, n in zip(FEATURES, known, strict=True) if n >= LEAST_ROWS]
    for name, n in zip(FEATURES, known, strict=True):
        if n < LEAST_ROWS:
            omitted.append({"what": f"feature {name}", "why": f"{n} rows have it, {LEAST_ROWS} are needed"})
    chosen = features.select(names)
    mask = ~np.isnan(chosen.values).any(axis=2)
    rows, groups = chosen.values[mask], np.nonzero(mask)[1]
    if len(rows) < LEAST_ROWS or len(names) < 2:
        why = f"{len(rows)} rows have all features, {LEAST_ROWS} are needed"
        omitted.append({"what": "correlation and scatter matrix of the features", "why": why})
        return {"features": None, "scatter": None}
    found = {"names": names, "n": len(rows), "pearson": correlation(rows), "spearman": correlation(rank_within(rows, groups))}
    paired = [name for name in PAIRED if name in names]
    return {"features": found, "scatter": _scatter(rows[:, [names.index(name) for name in paired]], paired)}


def _scatter(rows: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Rows in each cell of each pair of features; the axes hold all but one in a thousand at each end."""
    edges, cells = {}, {}
    for j, name in enumerate(names):
        column = rows[:, j]
        column = column[column > 0] if name in LOG_AXIS else column
        low, high = np.quantile(column, [0.001, 0.999])
        if not low < high:
            low, high = (low / 2, high * 2) if name in LOG_AXIS else (low - 1, high + 1)
        edges[name] = np.geomspace(low, high, N_CELLS + 1) if name in LOG_AXIS else np.linspace(low, high, N_CELLS + 1)
    for i, below in enumerate(names):
        for j in range(i):
            counts = np.histogram2d(rows[:, j], rows[:, i], [edges[names[j]], edges[below]])[0].astype(int)
            x, y = np.nonzero(counts)
            cells[f"{names[j]} {below}"] = np.column_stack([x, y, counts[x, y]])
    counts = {name: np.histogram(rows[:, j], edges[name])[0] for j, name in enumerate(names)}
    return {
        "names": names,
        "log": [n for n in names if n in LOG_AXIS],
        "n": len(rows),
        "edges": edges,
        "counts": counts,
        "cells": cells,
    }


def correlation_section(bars: Bars) -> dict[str, Any] | None:
    """Correlation of the log returns of every two symbols, over the bars in which both are known; None for one symbol."""
    moves = bars.returns()
    if bars.n_symbols < 2:
        return None
    known = (~np.isnan(moves)).astype(float)
    return {"symbols": list(bars.symbols), "pearson": correlation(moves), "n": (known.T @ known).astype(int)}


def autocorrelation_section(bars: Bars, omitted: list[dict[str, str]]) -> dict[str, Any]:
    """Autocorrelation of log returns and of their absolute values; ``bound`` is 1.96 / sqrt(n), that of white noise."""
    moves = bars.returns()
    found = {}
    for i, symbol in enumerate(bars.symbols):
        known = np.flatnonzero(~np.isnan(moves[:, i]))
        n_lags = min(N_LAGS, len(known) // 4)
        if n_lags < 1 or np.ptp(moves[known, i]) == 0:
            omitted.append({"what": f"autocorrelation of {symbol}", "why": f"{len(known)} returns, or none that differ"})
            continue
        own = moves[known[0] : known[-1] + 1, i]
        found[symbol] = {
            "returns": autocorrelation(own, n_lags),
            "absolute": autocorrelation(np.abs(own), n_lags),
            "bound": 1.96 / np.sqrt(len(known)),
            "n": len(known),
        }
    return found


def paths_section(bars: Bars, seed: int, omitted: list[dict[str, str]]) -> dict[str, Any]:
    """Rolling volatility, prices and regimes through time in stretches of bars, and the projection of the feature rows."""
    features = ohlcv_features(bars, PAIRED)
    per_point = -(-bars.n_bars // N_POINTS)
    starts = np.arange(0, bars.n_bars, per_point)
    volatility = features.column("volatility_20") * np.sqrt(bars_per_year(bars.interval))
    found: dict[str, Any] = {
        "volatility": {
            "window": 20,
            "bars_per_point": per_point,
            "time": _minutes(bars.time[starts]),
            "annual": {symbol: _mean(volatility[:, i], starts) for i, symbol in enumerate(bars.symbols)},
        },
        "periods": _periods(bars, volatility),
        "prices": {
            "bars_per_point": per_point,
            "time": _minutes(bars.time[starts]),
            "close": {symbol: _last(bars.close[:, i], starts) for i, symbol in enumerate(bars.symbols)},
        },
    }
    try:
        labels, regimes, model = _regimes(features, seed)
    except DataError as error:
        omitted.append({"what": "regimes and projection", "why": str(error)})
        return {**found, "regimes": None, "projection": None}
    found["prices"]["regime"] = {
        symbol: _mode(labels[:, i], starts, len(regimes["names"])) for i, symbol in enumerate(bars.symbols)
    }
    _period_shares(found["periods"], bars, labels, regimes["names"])
    return {**found, "regimes": {**regimes, **_regime_means(features, labels, regimes["names"], bars.symbols)}, "projection": model}


def _minutes(time: np.ndarray) -> list[str]:
    return [str(stamp)[:16].replace("T", " ") for stamp in time]


def _mean(x: np.ndarray, starts: np.ndarray) -> np.ndarray:
    known = np.add.reduceat(~np.isnan(x), starts)
    with np.errstate(invalid="ignore"):
        return np.where(known > 0, np.add.reduceat(np.nan_to_num(x), starts) / known, np.nan)


def _last(x: np.ndarray, starts: np.ndarray) -> np.ndarray:
    rows = np.where(np.isnan(x), -1, np.arange(len(x)))
    last = np.maximum.reduceat(rows, starts)
    return np.where(last >= 0, x[last], np.nan)


def _mode(labels: np.ndarray, starts: np.ndarray, n: int) -> list[int | None]:
    """The most frequent of the known labels of each stretch, the first of equals; None where none is known."""
    counts = np.stack([np.add.reduceat(labels == k, starts) for k in range(n)])
    return [int(k) if total else None for k, total in zip(counts.argmax(axis=0), counts.sum(axis=0), strict=True)]


def _periods(bars: Bars, volatility: np.ndarray) -> dict[str, Any]:
    """Per period and symbol: bars, last close, log return since the last close before, mean volatility."""
    unit, labels = periods(bars)
    names = sorted(labels.unique())
    rows = []
    for i, symbol in enumerate(bars.symbols):
        before = np.nan
        for name in names:
            inside = (labels == name).to_numpy()
            close = bars.close[inside, i]
            close = close[~np.isnan(close)]
            if not len(close):
                continue
            mean = volatility[inside, i]
            mean = float(np.nanmean(mean)) if not np.isnan(mean).all() else np.nan
            move = np.log(close[-1] / (before if before > 0 else close[0]))
            rows.append({"symbol": symbol, "period": name, "n": len(close), "close": close[-1], "move": move, "volatility": mean})
            before = close[-1]
    return {"unit": unit, "rows": rows}


def _period_shares(found: dict[str, Any], bars: Bars, labels: np.ndarray, names: list[str]) -> None:
    period = periods(bars)[1].to_numpy()
    for row in found["rows"]:
        own = labels[period == row["period"], bars.symbols.index(row["symbol"])]
        own = own[own >= 0]
        row["regimes"] = [float((own == k).mean()) if len(own) else None for k in range(len(names))]


def _regimes(features: Features, seed: int) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
    """Labels (n_rows, n_symbols), the regimes, and the projection of all features on two principal components."""
    thin = -(-features.values[:, :, 0].size // N_FITTED)
    detector = KMeansRegime(volatility=REGIME_FEATURES[0], trend=REGIME_FEATURES[1], seed=seed)
    own = features.select(REGIME_FEATURES)
    found = detector.fit(own.rows(slice(None, None, thin))).regimes(own)
    scaler = RobustScaler.learn(features)
    rows, mask = scaler.complete(features)
    clipped = np.clip(rows, -CLIP, CLIP)
    mean = clipped.mean(axis=0)
    axes = principal_components(clipped - mean, 2)
    points = (clipped - mean) @ axes.T
    labels = found.labels[mask]
    explained = points.var(axis=0) / clipped.var(axis=0).sum()
    drawn = np.random.default_rng(seed).permutation(len(points))[:N_PROJECTED]
    regimes = {"names": list(found.names), "features": list(REGIME_FEATURES), "every": thin, "share": found.share()}
    projection = {
        "features": list(features.names),
        "axes": axes,
        "explained": explained,
        "n": len(points),
        "points": points[drawn],
        "regime": labels[drawn],
    }
    return found.labels, regimes, projection


def _regime_means(features: Features, labels: np.ndarray, names: list[str], symbols: tuple[str, ...]) -> dict[str, Any]:
    """Rows, mean of each feature and mean stay (in bars) of each regime, and the share of each in each symbol."""
    rows = {}
    for k, name in enumerate(names):
        mine = labels == k
        starts = int((mine[1:] & ~mine[:-1]).sum() + mine[0].sum())
        means = {f: float(np.nanmean(features.column(f)[mine])) if mine.any() else None for f in features.names}
        rows[name] = {"n": int(mine.sum()), "stay": mine.sum() / starts if starts else None, "means": means}
    known = {symbol: labels[labels[:, i] >= 0, i] for i, symbol in enumerate(symbols)}
    by_symbol = {s: [float((own == k).mean()) if len(own) else None for k in range(len(names))] for s, own in known.items()}
    return {"rows": rows, "by_symbol": by_symbol}

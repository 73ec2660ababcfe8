"""The parts of eda.json. Bars are cleaned; arrays are (n_bars, n_symbols)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.errors import DataError
from foreshock.data.interval import bars_per_year
from foreshock.detectors.clusters.labels import N, Regimes
from foreshock.detectors.clusters.setting import RegimeSetting
from foreshock.detectors.reconstruction.pca import principal_components
from foreshock.detectors.scaling import CLIP, RobustScaler
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.statistics.description import autocorrelation, correlation, histogram, rank_within, summarise

# Features of the scatter matrix; those in LOG_AXIS are drawn on a log scale.
PAIRED = ("log_return", "volatility_20", "range", "volume_change", "volume_ratio_20", "return_24")
FEATURES = (*PAIRED, "parkinson_20", "amihud_20", "drawdown_168", "skew_168")
LOG_AXIS = ("volatility_20", "range", "volume_ratio_20")
REGIME_FEATURES = RegimeSetting().columns
N_CELLS = 36
N_LAGS = 168
LEAST_ROWS = 100
N_POINTS = 1_200
N_PROJECTED = 2_500
N_FITTED = 30_000
# Periods of boxes and tables: the shortest that gives at most MAX_PERIODS groups is used.
PERIODS = (("month", "M"), ("quarter", "Q"), ("year", "Y"))
MAX_PERIODS = 30


def listed(bars: Bars, col: int) -> dict[str, Any]:
    """First and last known bar of a symbol, and the number of known bars."""
    rows = np.flatnonzero(~np.isnan(bars.close[:, col]))
    first, last = (bars.time[rows[0]], bars.time[rows[-1]]) if len(rows) else (None, None)
    return {"n_bars": len(rows), "start": first, "end": last}


def returns_section(bars: Bars, omitted: list[dict[str, str]]) -> dict[str, Any]:
    """Moments, quantiles and histogram of the log returns of each symbol."""
    moves = bars.returns()
    found = {}
    for i, symbol in enumerate(bars.symbols):
        drawn = histogram(moves[:, i])
        if drawn is None:
            n = int((~np.isnan(moves[:, i])).sum())
            omitted.append({"what": f"histogram of {symbol}", "why": f"{n} returns are known, two that differ are needed"})
        found[symbol] = {**asdict(summarise(moves[:, i])), "histogram": None if drawn is None else asdict(drawn)}
    return found


def periods(bars: Bars) -> tuple[str, pd.Series]:
    """Name of the period (month, quarter or year), and the label of the period of each bar."""
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
    # The return of a bar counts towards the hour in which the bar opens.
    by_hour = hours.nunique() > 1 and bars.interval < np.timedelta64(1, "D")
    found["hour"] = _boxes(moves, hours.map("{:02d}".format)) if by_hour else []
    found["period"] = _boxes(moves, period)
    return {**found, "unit": unit}


def _boxes(moves: np.ndarray, labels: pd.Series) -> list[dict[str, Any]]:
    values = labels.to_numpy()
    return [{"name": str(name), **asdict(summarise(moves[values == name].ravel()))} for name in sorted(labels.unique())]


def features_section(bars: Bars, omitted: list[dict[str, str]]) -> dict[str, Any]:
    """Correlations of the features, and for every pair of them the counts of rows in a grid of cells."""
    features = ohlcv_features(bars, FEATURES)
    columns = {name: features.column(name) for name in FEATURES}
    columns = {name: column[~np.isnan(column)] for name, column in columns.items()}
    few = [name for name, known in columns.items() if len(known) < LEAST_ROWS]
    flat = [name for name, known in columns.items() if name not in few and np.ptp(known) == 0]
    for names, why in ((few, f"fewer than {LEAST_ROWS} rows have them"), (flat, "they never change")):
        if names:
            omitted.append({"what": "features " + ", ".join(names), "why": why})
    names = [name for name in FEATURES if name not in (*few, *flat)]
    chosen = features.select(names)
    mask = ~np.isnan(chosen.values).any(axis=2)
    rows, groups = chosen.values[mask], np.nonzero(mask)[1]
    if len(rows) < LEAST_ROWS or len(names) < 2:
        why = f"{len(rows)} rows have all of them, {LEAST_ROWS} are needed" if len(names) > 1 else "fewer than two are left"
        omitted.append({"what": "correlation and scatter matrix of the features", "why": why})
        return {"features": None, "scatter": None}
    found = {"names": names, "n": len(rows), "pearson": correlation(rows), "spearman": correlation(rank_within(rows, groups))}
    paired = [name for name in PAIRED if name in names]
    return {"features": found, "scatter": _scatter(rows[:, [names.index(name) for name in paired]], paired)}


def _scatter(rows: np.ndarray, names: list[str]) -> dict[str, Any] | None:
    """Number of rows in each cell of each pair of features; the axes span the quantiles 0.001 to 0.999."""
    edges = {}
    for j, name in enumerate(names):
        log = name in LOG_AXIS
        column = rows[rows[:, j] > 0, j] if log else rows[:, j]
        low, high = np.quantile(column, [0.001, 0.999]) if len(column) else (0.0, 0.0)
        if low < high:
            edges[name] = (np.geomspace if log else np.linspace)(low, high, N_CELLS + 1)
    if len(edges) < 2:
        return None
    columns = {name: rows[:, names.index(name)] for name in edges}
    cells = {}
    for i, below in enumerate(edges):
        for beside in list(edges)[:i]:
            counts = np.histogram2d(columns[beside], columns[below], [edges[beside], edges[below]])[0].astype(int)
            x, y = np.nonzero(counts)
            cells[f"{beside} {below}"] = np.column_stack([x, y, counts[x, y]])
    return {
        "names": list(edges),
        "log": [name for name in edges if name in LOG_AXIS],
        "n": len(rows),
        "edges": edges,
        "counts": {name: np.histogram(columns[name], edges[name])[0] for name in edges},
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
    """Autocorrelation of log returns and of their absolute values; ``bound`` is 1.96 / sqrt(n), the 95 % bound of white noise."""
    moves = bars.returns()
    found = {}
    for i, symbol in enumerate(bars.symbols):
        known = np.flatnonzero(~np.isnan(moves[:, i]))
        n_lags = min(N_LAGS, len(known) // 4)
        if len(known) < 5 or np.ptp(moves[known, i]) == 0:
            omitted.append(
                {
                    "what": f"autocorrelation of {symbol}",
                    "why": f"{len(known)} returns are known, five are needed, and two that differ",
                }
            )
            continue
        own = moves[known[0] : known[-1] + 1, i]
        found[symbol] = {
            "returns": autocorrelation(own, n_lags),
            "absolute": autocorrelation(np.abs(own), n_lags),
            "bound": 1.96 / np.sqrt(len(known)),
            "n": len(known),
        }
    return found


def paths_section(
    bars: Bars, seed: int, omitted: list[dict[str, str]], n_regimes: int = N
) -> tuple[dict[str, Any], Regimes | None]:
    """Rolling volatility, prices and regimes over time, one point for a run of bars, and the projection of the feature rows.

    The regimes themselves come second; None if there are too few rows.
    """
    features = ohlcv_features(bars, PAIRED)
    per_point = -(-bars.n_bars // N_POINTS)
    starts = np.arange(0, bars.n_bars, per_point)
    seconds = per_point * float(bars.interval / np.timedelta64(1, "s"))
    grid = {"bars_per_point": per_point, "start": bars.time[0], "seconds_per_point": seconds, "n_points": len(starts)}
    volatility = features.column("volatility_20") * np.sqrt(bars_per_year(bars.interval))
    found: dict[str, Any] = {
        "volatility": {
            "window": 20,
            **grid,
            "annual": {symbol: _mean(volatility[:, i], starts) for i, symbol in enumerate(bars.symbols)},
        },
        "periods": _periods(bars, volatility),
        "prices": {
            **grid,
            "close": {symbol: _last(bars.close[:, i], starts) for i, symbol in enumerate(bars.symbols)},
        },
    }
    n_complete = int((~np.isnan(features.select(REGIME_FEATURES).values).any(axis=2)).sum(axis=0).max())
    if n_complete < LEAST_ROWS:
        why = f"no symbol has {LEAST_ROWS} bars with a 20-bar volatility and a 24-bar return, at most {n_complete}"
        omitted.append({"what": "regimes and projection", "why": why})
        return {**found, "regimes": None, "projection": None}, None
    grouped, regimes = _regimes(features, seed, n_regimes)
    labels = grouped.labels
    found["prices"]["regime"] = {
        symbol: _mode(labels[:, i], starts, len(regimes["names"])) for i, symbol in enumerate(bars.symbols)
    }
    _period_shares(found["periods"], bars, labels, regimes["names"])
    regimes |= _regime_means(features, labels, regimes["names"], bars.symbols)
    return {**found, "regimes": regimes, "projection": projection(features, labels, seed, omitted)}, grouped


def _known_mean(x: np.ndarray) -> float:
    known = x[~np.isnan(x)]
    return float(known.mean()) if len(known) else np.nan


def _mean(x: np.ndarray, starts: np.ndarray) -> np.ndarray:
    known = np.add.reduceat(~np.isnan(x), starts)
    with np.errstate(invalid="ignore"):
        return np.where(known > 0, np.add.reduceat(np.nan_to_num(x), starts) / known, np.nan)


def _last(x: np.ndarray, starts: np.ndarray) -> np.ndarray:
    rows = np.where(np.isnan(x), -1, np.arange(len(x)))
    last = np.maximum.reduceat(rows, starts)
    return np.where(last >= 0, x[last], np.nan)


def _mode(labels: np.ndarray, starts: np.ndarray, n: int) -> list[int | None]:
    """The most frequent known label of each run of rows (the lowest in a tie); None where no label is known."""
    counts = np.stack([np.add.reduceat(labels == k, starts) for k in range(n)])
    return [int(k) if total else None for k, total in zip(counts.argmax(axis=0), counts.sum(axis=0), strict=True)]


def _periods(bars: Bars, volatility: np.ndarray) -> dict[str, Any]:
    """For each period and symbol: number of bars, last close, log return since the previous period, mean volatility."""
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
            mean = _known_mean(volatility[inside, i])
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


def _regimes(features: Features, seed: int, n_regimes: int) -> tuple[Regimes, dict[str, Any]]:
    """Regimes of all rows, and how they were fitted."""
    thin = -(-features.values[:, :, 0].size // N_FITTED)
    # Thinning must leave enough rows of every symbol that has enough before.
    thin = max(min(thin, features.n_rows // (4 * LEAST_ROWS)), 1)
    own = features.select(REGIME_FEATURES)
    found = RegimeSetting(n_regimes).detector(seed).fit(own.rows(slice(None, None, thin))).regimes(own).checked()
    about = {"names": list(found.names), "features": list(REGIME_FEATURES), "every": thin, "share": found.share()}
    return found, {**about, "rules": list(found.rules), "holds": list(found.holds)}


def paired(features: Features) -> Features:
    """The features that are drawn against each other: the usual ones of bars, or all where fewer than two of them are there."""
    usual = [name for name in PAIRED if name in features.names]
    return features.select(usual) if len(usual) > 1 else features


def projection(features: Features, labels: np.ndarray, seed: int, omitted: list[dict[str, str]]) -> dict[str, Any] | None:
    """Feature rows that have a regime, projected on the two leading principal components."""
    values = features.values[labels >= 0]
    names = [name for i, name in enumerate(features.names) if (~np.isnan(values[:, i])).sum() >= LEAST_ROWS]
    chosen = features.select(names)
    try:
        rows, mask = RobustScaler.learn(chosen).complete(chosen)
    except DataError as error:
        omitted.append({"what": "projection", "why": str(error)})
        return None
    regime = labels[mask]
    clipped = np.clip(rows, -CLIP, CLIP)[regime >= 0]
    centred = clipped - clipped.mean(axis=0)
    axes = principal_components(centred, 2)
    points = centred @ axes.T
    total = centred.var(axis=0).sum()
    drawn = np.random.default_rng(seed).permutation(len(points))[:N_PROJECTED]
    return {
        "features": names,
        "axes": axes,
        "explained": points.var(axis=0) / total if total > 0 else np.zeros(2),
        "n": len(points),
        "points": points[drawn],
        "regime": regime[regime >= 0][drawn],
    }


def _regime_means(features: Features, labels: np.ndarray, names: list[str], symbols: tuple[str, ...]) -> dict[str, Any]:
    """For each regime: number of rows, mean of each feature and mean duration in bars; and its share of each symbol's rows."""
    rows = {}
    for k, name in enumerate(names):
        mine = labels == k
        starts = int((mine[1:] & ~mine[:-1]).sum() + mine[0].sum())
        means = {f: _known_mean(features.column(f)[mine]) for f in features.names}
        rows[name] = {"n": int(mine.sum()), "stay": mine.sum() / starts if starts else None, "means": means}
    known = {symbol: labels[labels[:, i] >= 0, i] for i, symbol in enumerate(symbols)}
    by_symbol = {s: [float((own == k).mean()) if len(own) else None for k in range(len(names))] for s, own in known.items()}
    return {"rows": rows, "by_symbol": by_symbol}

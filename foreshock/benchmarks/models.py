"""Autoencoders and PCA compared with published figures: reconstruction, events, codes, time and risk, in and out of sample.

``foreshock benchmark models`` runs it on the simulated market and its planted events, or on the dated crashes of 2020 to 2024 that
a file of bars holds. ``foreshock compare --models`` shows the resulting file in its report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from foreshock.comparison.comparison import MODELS_VERSION
from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.base import NeuralDetector
from foreshock.detectors.reconstruction.pca import PCA
from foreshock.detectors.registry import make_detector
from foreshock.detectors.scaling import CLIP
from foreshock.engine.detection import Events, match_events
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.risk.estimators.value_at_risk import historical_var
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.plain import bars_section, plain, versions

MODELS = (
    "pca",
    "autoencoder",
    "sparse_autoencoder",
    "denoising_autoencoder",
    "conv_autoencoder",
    "vae",
    "beta_vae",
    "conditional_autoencoder",
    "seq2seq_autoencoder",
)
SPLITS = WalkForward(train="180D", test="90D", embargo="2D")
YEARLY = WalkForward(train="365D", test="365D", embargo="2D")
# Published mse and f1: hourly bars of eight assets in 2024, an alert above the 95 % quantile of the same rows.
PUBLISHED = {
    "pca": (0.00112, 0.42),
    "autoencoder": (0.00085, 0.58),
    "denoising_autoencoder": (0.00093, 0.63),
    "vae": (0.00098, 0.52),
    "conditional_autoencoder": (0.00079, 0.61),
    "seq2seq_autoencoder": (0.00102, 0.71),
}
# Crash hours, UTC; each counts for every symbol that trades, from an hour before to five hours after.
CRASHES = ("2020-03-12T10", "2021-05-19T12", "2022-05-11T12", "2022-11-09T15", "2024-08-05T01")
COOLDOWN = RISK_BARS = 24


def model_comparison(
    bars: Bars,
    events: Events,
    models: Sequence[str] = MODELS,
    splits: WalkForward = SPLITS,
    quantile: float = 0.95,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """One row for each model and sample, and rows with the published figures.

    *In-sample*: fitted on all rows, scored on the same, an alert above the ``quantile`` of all those scores, as in the
    published table. *Out-of-sample*: walk-forward, an alert above the same quantile of the previous 60 days.

    Returns
    -------
    DataFrame
        ``model``, ``sample``; ``mse``, mean squared reconstruction error of standardised rows whose values all lie within 10
        (the published one is in other units); ``f1``, ``precision``, ``caught`` and ``n_events`` of event-based detection with a
        cool-down of 24 bars; ``market_r2``, R2 of the market's mean return on a symbol's codes; ``fit_seconds``, CPU seconds of
        fitting; ``var_95_alert`` and ``var_95_other``, 95 % VaR of a symbol's next 24 bars after alerts and after other bars,
        losses positive; where a model has them, ``active_units`` and ``mean_activation`` of its code, the mean over fits.

    Raises
    ------
    ConfigError
        If the shape of ``events`` is not that of ``bars``, or a model does not reconstruct rows.
    """
    if events.shape != bars.shape:
        raise ConfigError(f"events must have the shape of the bars, {bars.shape}, got {events.shape}; build them on the same bars")
    features = ohlcv_features(bars)
    everything = slice(0, features.n_rows)
    rows = []
    for name in models:
        detector: Any = make_detector(name)
        if not isinstance(detector, NeuralDetector | PCA) or name == "anogan":
            raise ConfigError(f"{name} does not reconstruct rows; choose from {', '.join(MODELS)}")
        if "seed" in detector.get_params():
            detector.set_params(seed=seed)
        folds = splits.folds(features.n_rows, features.interval, detector.lookback, features.start_row)
        for sample, blocks in (
            ("in-sample", [(everything, everything)]),
            ("out-of-sample", [(fold.train, fold.test) for fold in folds]),
        ):
            rows.append({"model": name, "sample": sample, **_figures(detector, bars, features, events, blocks, quantile)})
            on_step(f"{name} {sample}")
        if name in PUBLISHED:
            rows.append({"model": name, "sample": "published, in-sample", **dict(zip(("mse", "f1"), PUBLISHED[name], strict=True))})
    return pd.DataFrame(rows)


def crash_events(bars: Bars) -> Events:
    """The dated crashes within the bars, one event for each symbol that trades at that hour."""
    per_hour = max(int(np.timedelta64(3_600_000_000, "us") / bars.interval), 1)
    found = []
    for crash in CRASHES:
        row = int(np.searchsorted(bars.time, np.datetime64(crash)))
        start, stop = row - per_hour, row + 5 * per_hour
        if start >= 0 and stop <= bars.n_bars and bars.time[row] - np.datetime64(crash) < np.timedelta64(1, "h"):
            found += [(i, start, stop) for i in np.flatnonzero(~np.isnan(bars.close[row]))]
    if not found:
        raise ConfigError(f"none of the dated crashes ({', '.join(CRASHES)}) lies within the bars; pass bars that hold one")
    col, start, stop = np.array(sorted(found)).T
    return Events(col, start, stop, bars.shape)


def _figures(
    detector: Any, bars: Bars, features: Features, events: Events, blocks: list[tuple[slice, slice]], quantile: float
) -> dict[str, Any]:
    shape = (features.n_rows, len(features.symbols))
    scores, errors, r2, sizes, seconds = np.full(shape, np.nan), [], [], [], 0.0
    facts: list[dict[str, float]] = []
    for train, test in blocks:
        fresh: Any = clone(detector)
        began = process_time()
        fresh.fit(features.rows(train))
        seconds += process_time() - began
        facts.append(fresh.fit_facts())
        first = max(test.start - detector.lookback, 0)
        block, kept = features.rows(slice(first, test.stop)), slice(test.start - first, None)
        scores[test] = fresh.score(block).values[kept]
        codes, rebuilt = _rebuilt(fresh, block)
        actual = fresh.scaler.transform(block)[kept]
        ordinary = (np.abs(actual) <= CLIP).all(axis=2)
        error = ((actual - rebuilt[kept]) ** 2).mean(axis=2)[ordinary]
        errors.append(error[~np.isnan(error)])
        r2.append(_market_r2(codes[kept], block.column("log_return")[kept]))
        sizes.append(test.stop - test.start)
    whole = Scores(features.time, features.symbols, scores, features.interval)
    if len(blocks) == 1:
        active = scores > np.nanquantile(scores, quantile)
        decided = np.logical_not(np.isnan(scores))
    else:
        signals = whole.signals(RollingQuantile(quantile, window="60D"))
        active, decided = signals.active, signals.decided
    counted = int(np.argmax(decided.any(axis=1)))
    late = events.start >= counted
    kept_events = Events(events.col[late], events.start[late], events.stop[late], events.shape)
    matches = match_events(active, kept_events, cooldown=COOLDOWN)
    n_caught, n_false = int(matches.caught.sum()), int(matches.false_alarms.sum())
    precision = n_caught / (n_caught + n_false) if n_caught + n_false else float("nan")
    after = np.full(shape, np.nan)
    after[: -RISK_BARS - 1] = bars.close[RISK_BARS + 1 :] / bars.open[1:-RISK_BARS] - 1
    f1 = 2 * n_caught / (n_caught + n_false + len(kept_events.col)) if len(kept_events.col) else float("nan")
    return {
        "mse": float(np.concatenate(errors).mean()),
        "f1": f1,
        "precision": precision,
        "caught": n_caught,
        "n_events": len(kept_events.col),
        "market_r2": float(np.average(r2, weights=sizes)),
        "fit_seconds": seconds,
        "var_95_alert": historical_var(after[active]),
        "var_95_other": historical_var(after[decided & ~active]),
        **{name: float(np.mean([found[name] for found in facts])) for name in facts[0]},
    }


def _rebuilt(detector: Any, block: Features) -> tuple[np.ndarray, np.ndarray]:
    """Codes, and the rows reconstructed from them in standardised units, NaN where a row is not scored."""
    if isinstance(detector, NeuralDetector):
        rebuilt = Features(block.time, block.symbols, block.names, detector.reconstruct(block), block.interval)
        return detector.encode(block), detector.scaler.transform(rebuilt)

    def project(rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return (rows - model["mean"]) @ model["components"].T

    def rebuild(rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return project(rows, model) @ model["components"] + model["mean"]

    return detector._by_model(block, project, (detector.n_components,)), detector._by_model(block, rebuild, (len(block.names),))


def _market_r2(codes: np.ndarray, returns: np.ndarray) -> float:
    """R2 of the mean return of all symbols on each symbol's codes, averaged over symbols."""
    known = np.logical_not(np.isnan(returns))
    market = np.nansum(returns, axis=1) / np.maximum(known.sum(axis=1), 1)
    found = []
    for i in range(codes.shape[1]):
        rows = np.logical_not(np.isnan(codes[:, i]).any(axis=1)) & known.any(axis=1)
        if rows.sum() > 10 * codes.shape[2]:
            design = np.column_stack([np.ones(int(rows.sum())), codes[rows, i]])
            residual = market[rows] - design @ np.linalg.lstsq(design, market[rows], rcond=None)[0]
            found.append(1 - residual.var() / market[rows].var())
    return float(np.mean(found)) if found else float("nan")


def model_results(bars: Bars, events: Events, splits: WalkForward, seed: int, table: pd.DataFrame) -> dict[str, Any]:
    """The comparison in JSON types, as ``foreshock compare --models`` reads it."""
    return plain(
        {
            "version": MODELS_VERSION,
            "data": {**bars_section(bars), "n_events": len(events.col)},
            "splits": asdict(splits),
            "seeds": {"models": seed},
            "rows": table.to_dict("records"),
            "versions": versions(),
        }
    )


def planted_events(seed: int = 7) -> tuple[Bars, Events]:
    """The simulated market, and its planted events without the decoys."""
    from foreshock.data.simulate.market import simulate_market

    market = simulate_market(seed=seed)
    bars, table = market.bars, market.events
    table = table[table["kind"] != "decoy"]
    col = np.array([bars.symbols.index(name) for name in table["symbol"]])
    order = np.lexsort((table["signature_row"], col))
    return bars, Events(col[order], table["signature_row"].to_numpy()[order], table["stop_row"].to_numpy()[order], bars.shape)

"""Bits of every stream over real data: ``python -m tests.studies.program.stream_bits [--cuts 50] [--sources hourly minute ...]``.

Hourly and minute bars, windows of one and of twenty seconds, and books. Three questions for the features, every registered detector
and every threshold: does the stream equal the batch; is a history that is cut on the left at a random row the whole, once windows
are full; does a stream that was saved and restored at a random row equal one that was never stopped. Printed are the values that
were compared, and how many differ: in any bit, or for detectors with BLAS or a network between by more than 1e-9 of their size.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import foreshock as fs
from foreshock.detectors.registry import neural_detectors
from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores
from foreshock.engine.sources.source import Source
from tests.paths import SHARED
from tests.small import small_detector

ROUNDED = ("pca", "one_class_svm", "ensemble", *neural_detectors())
N_ROWS, N_STREAMED, AFTER = 2_400, 300, 3
# Longest look-back of the default features, and of the detectors.
FULL, LOOKBACK = 169, 260


def hourly() -> Source:
    bars = fs.read_bars(SHARED / "ohlcv_1h_8assets.parquet")
    return fs.BarSource(bars.rows(slice(bars.n_bars - N_ROWS, None)))


def minute() -> Source:
    return fs.BarSource(fs.read_bars(SHARED / "ohlcv_btc_spot_1m_20251218.parquet").head(1_440))


def seconds() -> Source:
    return fs.WindowSource(fs.read_trades(SHARED / "ticks_btcusdt_spot_20240808.parquet"), "1s")


def twenty_seconds() -> Source:
    trades = fs.read_trades(SHARED / "pump_trades.parquet").split()
    own = trades["NAS_202005301600"]
    return fs.WindowSource(own.rows(own.time >= own.time[-1] - np.timedelta64(12, "h")), "20s")


def books() -> Source:
    return fs.BookSource(fs.read_book(SHARED / "l2_btc_1min_full_20210417.parquet").head(1_400))


SOURCES: dict[str, Callable[[], Source]] = {
    "hourly": hourly, "minute": minute, "1s": seconds, "20s": twenty_seconds, "books": books,
}  # fmt: skip
RULES = {
    "rolling_quantile": lambda span: fs.RollingQuantile(0.95, span),
    "peaks_over_threshold": lambda span: fs.PeaksOverThreshold(0.95, 0.9, span, span),
    "fixed": lambda span: fs.Fixed(0.001),
    "train_quantile": lambda span: fs.TrainQuantile(0.95),
    "adaptive_conformal": lambda span: fs.AdaptiveConformal(0.05, 0.02, span),
    "volatility_scaled": lambda span: fs.VolatilityScaled(fs.RollingQuantile(0.95, span), span),
}
ENDLESS = ("adaptive_conformal", "volatility_scaled")


class Count:
    """Values compared, and those that differ."""

    def __init__(self, tolerance: float = 0.0) -> None:
        self.tolerance, self.n, self.differ = tolerance, 0, 0

    def add(self, found: Any, expected: Any) -> None:
        found, expected = np.asarray(found), np.asarray(expected)
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        if self.tolerance:
            same |= np.isclose(found, expected, rtol=self.tolerance, atol=0)
        self.n += same.size
        self.differ += int((~same).sum())


def report(source: str, what: str, counts: Sequence[Count]) -> int:
    text = "   ".join(f"{one.n:>9,} compared, {one.differ} differ" for one in counts)
    print(f"{source:<8} {what:<24} {text}", flush=True)
    return sum(one.differ for one in counts)


def of_features(name: str, source: Source, cuts: np.ndarray) -> int:
    rows, batch = list(source.live_rows()), source.features
    whole, cut_left, restored = Count(), Count(), Count()
    at = {int(time.astype(np.int64)): k for k, time in enumerate(batch.time)}
    stream, states, found = source.stream(), {}, []
    for k, row in enumerate(rows):
        if k in cuts:
            states[k] = stream.state()
        found.append(stream.update(row)[-1])
        whole.add(found[-1].values, batch.values[at[int(found[-1].time.astype(np.int64))]])
    for cut in cuts.tolist():
        again = source.stream().restore(states[cut])
        for k in range(cut, min(cut + AFTER, len(rows))):
            restored.add(again.update(rows[k])[-1].values, found[k].values)
        later, first = source.stream(), min(cut, len(rows) - FULL - AFTER - 1)
        for k in range(first, first + FULL + AFTER):
            one = later.update(rows[k])[-1]
            if k >= first + FULL:
                cut_left.add(one.values, found[k].values)
    return report(name, f"{len(batch.names)} features", (whole, cut_left, restored))


def of_detector(name: str, source: str, features: Features, cuts: np.ndarray) -> int:
    n = features.n_rows
    first = n - N_STREAMED
    more = {"epochs": 12} if name in neural_detectors() else {}
    try:
        detector = small_detector(name, **more).fit(features.rows(slice(0, first)))
    except fs.ConfigError as error:
        print(f"{source:<8} {name:<24} cannot be fitted: {error}", flush=True)
        return 0
    tolerance = 1e-9 if name in ROUNDED else 0.0
    whole, cut_left, restored = Count(tolerance), Count(tolerance), Count()
    batch = detector.score(features).values
    stream, states, found = detector.stream(features.rows(slice(0, first))), {}, []
    places = first + cuts % (N_STREAMED - AFTER)
    for row in range(first, n):
        if row in places:
            states[row] = stream.state()
        found.append(stream.update(features.values[row]))
    whole.add(found, batch[first:])
    for row, cut in zip(places.tolist(), cuts.tolist(), strict=True):
        again = detector.stream(state=states[row])
        for k in range(row, row + AFTER):
            restored.add(again.update(features.values[k]), found[k - first])
        later = detector.stream(features.rows(slice(cut % (first - LOOKBACK), row)))
        for k in range(row, row + AFTER):
            cut_left.add(later.update(features.values[k]), batch[k])
    return report(source, name, (whole, cut_left, restored))


def of_threshold(name: str, source: str, scores: Scores, cuts: np.ndarray) -> int:
    interval, n = scores.interval, len(scores.time)
    window = 250
    rule: Any = RULES[name](window * interval)
    whole, cut_left, restored = Count(), Count(), Count()
    trained = scores.values[:400] if rule.needs_train_scores else None
    batch = rule.level(trained) if trained is not None else rule.threshold(scores)
    none = Scores(scores.time[:0], scores.symbols, scores.values[:0], interval)
    stream, states, found = fs.threshold_stream(rule, none), {}, []
    if trained is not None:
        stream.begin_fold(trained)
    for row in range(n):
        if row in cuts:
            states[row] = stream.state()
        found.append(stream.update(scores.values[row], scores.time[row]))
    whole.add(found, np.broadcast_to(batch, scores.values.shape))
    for cut in cuts.tolist():
        again = fs.threshold_stream(rule, none).restore(states[cut])
        for k in range(cut, min(cut + AFTER, n)):
            restored.add(again.update(scores.values[k], scores.time[k]), found[k])
        first = min(cut, n - 2 * window - AFTER - 1)
        if name in ENDLESS or first < 0:
            continue
        later = fs.threshold_stream(rule, none)
        if trained is not None:
            later.begin_fold(trained)
        for k in range(first, first + 2 * window + AFTER):
            one = later.update(scores.values[k], scores.time[k])
            if k >= first + 2 * window:
                cut_left.add(one, found[k])
    return report(source, name, (whole, cut_left, restored))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=list(SOURCES))
    options = parser.parse_args(arguments)
    print(f"{'':<34}{'stream = batch':<31}{'cut on the left = whole':<31}restored = uninterrupted")
    differ = 0
    for name in options.sources:
        source = SOURCES[name]()
        features = source.features
        cuts = np.random.default_rng(1).integers(1, features.n_rows - FULL, options.cuts)
        cuts = np.unique(np.minimum(cuts, len(list(source.live_rows())) - AFTER))
        differ += of_features(name, source, cuts)
        for detector in fs.detectors():
            differ += of_detector(detector, name, features, cuts)
        moves = np.abs(source.bars.returns())
        scores = Scores(features.time, features.symbols, moves, features.interval)
        for rule in RULES:
            differ += of_threshold(rule, name, scores, cuts)
    print(f"{differ} values differ")
    return int(differ > 0)


if __name__ == "__main__":
    raise SystemExit(main())

"""CPU time of one row of many symbols through every stream: ``python -m tests.benchmarks.stream_speed``.

Features of bars, windows and books, every detector with its defaults (networks of their full size, after one epoch), every
threshold, and a whole pipeline. Rows are simulated; all is timed warm, as the median over blocks of rows, so that a refit of a
tail, which comes once a day, does not hide the rows between. With River installed, one row of its detectors stands beside ours, and
the batch on the same rows beside the stream.
"""

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np

import foreshock as fs
from foreshock.data.bars import FIELDS
from foreshock.detectors.registry import make_detector, neural_detectors
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.scores import Scores
from tests.market import make_trades, quiet_bars

N_TRAIN, N_BLOCKS = 1_500, 5
# Goals in microseconds for 50 symbols.
GOALS = {
    "bars": 120,
    **dict.fromkeys(("zscore", "iqr", "mad", "rolling_volatility", "volatility_only", "range_only", "joint_tail"), 150),
    "isolation_forest": 250, "one_class_svm": 250, "half_space_trees": 2_000,
    **dict.fromkeys(("autoencoder", "sparse_autoencoder", "denoising_autoencoder"), 1_000),
    **dict.fromkeys(("conv_autoencoder", "seq2seq_autoencoder"), 10_000),
}  # fmt: skip
THRESHOLDS = {
    "rolling_quantile": fs.RollingQuantile(0.99, "60D"),
    "train_quantile": fs.TrainQuantile(0.99),
    "adaptive_conformal": fs.AdaptiveConformal(0.01, window="60D"),
    "peaks_over_threshold": fs.PeaksOverThreshold(0.99),
    "fixed": fs.Fixed(3.0),
    "rolling_quantile, scaled": fs.VolatilityScaled(fs.RollingQuantile(0.99, "60D")),
}


def microseconds(step: Callable[[int], object], first: int, n: int) -> float:
    """Median over blocks of the CPU time of a row; the first rows are not counted."""
    for row in range(first, first + 3):
        step(row)
    size, row, found = max(n // N_BLOCKS, 1), first + 3, []
    for _ in range(N_BLOCKS):
        began = process_time()
        for _ in range(size):
            step(row)
            row += 1
        found.append((process_time() - began) / size * 1e6)
    return float(np.median(found))


def line(name: str, found: float, more: str = "") -> None:
    goal = f"goal {GOALS[name]:>6,} us" if name in GOALS else ""
    print(f"{name:<28} {found:>10,.1f} us   {goal:<16} {more}", flush=True)


def features_of(n_symbols: int, n: int) -> None:
    bars = quiet_bars(1, n + 400, n_symbols)
    stream = fs.OhlcvStream(n_symbols, start_row=bars.start_row)
    rows = [[getattr(bars, name)[row] for name in FIELDS] for row in range(bars.n_bars)]
    for row in rows[:300]:
        stream.update(row)
    line("bars", microseconds(lambda row: stream.update(rows[row]), 300, n))
    windows = fs.trade_windows(make_trades(20_000, seed=2), 5)
    window = fs.WindowStream()
    few = min(n, len(windows) - 60)
    each = [windows.rows(slice(row, row + 1)) for row in range(len(windows))]
    for row in range(40):
        window.update(each[row])
    line("windows, of one symbol", microseconds(lambda row: window.update(each[row]), 40, few))
    book = fs.simulate_book(seed=3, n_rows=n + 60).book
    snapshots = [book.rows(slice(row, row + 1)) for row in range(len(book))]
    books = fs.BookStream()
    for row in range(40):
        books.update(snapshots[row])
    line("books, of one symbol", microseconds(lambda row: books.update(snapshots[row]), 40, n))


def detectors_of(n_symbols: int, n: int, wanted: Sequence[str]) -> None:
    features = ohlcv_features(quiet_bars(1, N_TRAIN + n + 10, n_symbols))
    train = features.rows(slice(0, N_TRAIN))
    for name in wanted or fs.detectors():
        network = name in neural_detectors()
        more = {"steps": 200, "width": 64, "learning_rate": 2e-3} if name == "anogan" else {}
        detector = make_detector(name, **({"epochs": 1, "max_windows": 5_000} | more if network else {})).fit(train)
        stream = detector.stream(train)
        own = min(n, 40) if network else n
        found = microseconds(lambda row, stream=stream: stream.update(features.values[row]), N_TRAIN, own)
        began = process_time()
        detector.score(features)
        batch = (process_time() - began) / features.n_rows * 1e6
        line(name, found, f"batch {batch:8,.1f} us a row")


def thresholds_of(n_symbols: int, n: int) -> None:
    rng = np.random.default_rng(1)
    values = np.abs(rng.standard_t(4, (1_500 + n + 10, n_symbols)))
    time = np.datetime64("2024-01-01", "us") + np.arange(len(values)) * np.timedelta64(1, "h")
    symbols = tuple(f"S{i}" for i in range(n_symbols))
    before = Scores(time[:1_500], symbols, values[:1_500], np.timedelta64(1, "h").astype("m8[us]"))
    for name, rule in THRESHOLDS.items():
        none = Scores(time[:0], symbols, values[:0], before.interval)
        stream = fs.threshold_stream(rule, none if rule.needs_train_scores else before)
        stream.begin_fold(values[:1_500])
        line(name, microseconds(lambda row, stream=stream: stream.update(values[row], time[row]), 1_500, n))


def pipeline_of(n_symbols: int, n: int) -> None:
    bars = quiet_bars(1, 1_800 + n, n_symbols)
    splits, rule = fs.WalkForward("40D", "20D", "1D"), fs.RollingQuantile(0.99, "10D")
    study = fs.Study(bars, ["zscore", "mad", "isolation_forest", "pca"], splits, rule, horizons=["1h", "12h"])
    pipeline = fs.Pipeline(study)
    rows = list(study.source.live_rows())
    for row in rows[:1_500]:
        pipeline.update(row)
    line(f"pipeline of {len(pipeline.labels)} detectors", microseconds(lambda row: pipeline.update(rows[row]), 1_500, n))


def river(n_symbols: int, n: int) -> None:
    from river import anomaly  # pyright: ignore[reportMissingImports]

    values = np.random.default_rng(1).random((n + 10, 13))
    rows = [{f"f{k}": float(x) for k, x in enumerate(row)} for row in values]
    models: dict[str, Any] = {
        "River HalfSpaceTrees": anomaly.HalfSpaceTrees(n_trees=50, height=10, window_size=250, seed=0),
        "River GaussianScorer": anomaly.GaussianScorer(window_size=168),
        "River OneClassSVM": anomaly.OneClassSVM(nu=0.05),
    }
    for name, model in models.items():
        plain = name.endswith("GaussianScorer")

        def step(row: int, model: Any = model, plain: bool = plain) -> None:
            if plain:
                model.score_one(None, rows[row]["f0"])
                model.learn_one(None, rows[row]["f0"])
            else:
                model.score_one(rows[row])
                model.learn_one(rows[row])

        found = microseconds(step, 0, n)
        line(name, n_symbols * found, f"{found:,.1f} us a row of one symbol")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--detectors", nargs="*", default=[], help="by default all")
    parser.add_argument("--only-detectors", action="store_true")
    options = parser.parse_args(arguments)
    print(f"CPU time of one row of {options.symbols} symbols, float64, median of {N_BLOCKS} blocks of {options.rows} rows")
    if not options.only_detectors:
        features_of(options.symbols, options.rows)
        thresholds_of(options.symbols, options.rows)
    detectors_of(options.symbols, options.rows, options.detectors)
    if not options.only_detectors:
        pipeline_of(options.symbols, options.rows)
        if importlib.util.find_spec("river") is not None:
            river(options.symbols, options.rows)


if __name__ == "__main__":
    main()

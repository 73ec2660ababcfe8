"""Seconds of one fit of every network on 50,000 windows of 24 rows and 5 features, and what training folds together gains.

    python -m tests.benchmarks.neural_speed [DETECTOR ...]

Seconds are of CPU time on one thread: they do not count what else the machine was doing.
"""

import sys
from time import process_time

import numpy as np

from foreshock.detectors.neural.folds import train_together
from foreshock.detectors.neural.trainer import Settings, TrainingData, one_thread, seeded, train
from foreshock.detectors.registry import make_detector, neural_detectors
from foreshock.engine.features.features import Features

N_WINDOWS, WINDOW, N_FEATURES, N_SYMBOLS = 50_000, 24, 5, 4
N_FOLDS = 10
HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")


def market(n_rows: int, n_symbols: int, seed: int = 0) -> Features:
    """Rows that depend on the row before and on each other."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(size=(n_rows, n_symbols, N_FEATURES)) @ rng.normal(size=(N_FEATURES, N_FEATURES))
    values = np.empty_like(shocks)
    values[0] = shocks[0]
    for row in range(1, n_rows):
        values[row] = 0.9 * values[row - 1] + shocks[row]
    time = np.datetime64("2020-01-01", "us") + np.arange(n_rows) * HOUR
    return Features(time, tuple("ABCD"[:n_symbols]), tuple("abcde"), values, HOUR)


def fit_seconds(name: str, features: Features) -> tuple[float, int]:
    epochs: list[int] = []
    detector = make_detector(name, window=WINDOW, max_windows=N_WINDOWS)
    began = process_time()
    detector.fit(features, on_epoch=lambda epoch, *_: epochs.append(epoch))  # pyright: ignore[reportCallIssue]
    return process_time() - began, len(epochs)


def fold_ratio(name: str, batch_size: int, n_windows: int) -> tuple[float, float, float]:
    """Seconds of a loop over folds by the plain trainer, of all folds together, and the largest difference of the losses."""
    detector = make_detector(name, window=WINDOW)
    parts = [market(n_windows + WINDOW, 1, seed) for seed in range(N_FOLDS)]
    settings = Settings(epochs=3, batch_size=batch_size, learning_rate=2e-3)
    with one_thread():
        data = [TrainingData.of(group) for part in parts for group in detector._training_windows(part)]  # pyright: ignore
        fresh = [[seeded(lambda: detector._network(N_FEATURES, 0), 0) for _ in data] for _ in range(2)]  # pyright: ignore
        began = process_time()
        alone = [train(net, detector._loss, part, settings, 0) for net, part in zip(fresh[0], data, strict=True)]  # pyright: ignore
        looped = process_time() - began
        began = process_time()
        together = train_together(fresh[1], detector._loss, data, settings, [0] * N_FOLDS)  # pyright: ignore
        stacked = process_time() - began
    pairs = zip(alone, together, strict=True)
    return looped, stacked, max(abs(one.validation_loss - other.validation_loss) for one, other in pairs)


def main(names: list[str]) -> None:
    features = market(N_WINDOWS // N_SYMBOLS + 100, N_SYMBOLS)
    # The first fit of a process, and its first one of several folds, pay for imports.
    make_detector("autoencoder", epochs=1).fit(market(500, 1))
    make_detector("autoencoder", epochs=1).fit_folds([market(500, 1), market(500, 1, 1)])  # pyright: ignore
    for name in names or neural_detectors():
        seconds, epochs = fit_seconds(name, features)
        print(f"{name:<26} {seconds:6.1f} s, {epochs} epochs", flush=True)
    for batch_size, n_windows in ((128, 5_000), (512, 10_000), (1024, 20_000)):
        looped, stacked, worst = fold_ratio("autoencoder", batch_size, n_windows)
        ratio = f"{looped:.1f} s one by one, {stacked:.1f} s together: {looped / stacked:.2f} times faster"
        print(f"{N_FOLDS} folds of autoencoder, batch {batch_size}: {ratio}; losses differ by {worst:.0e}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

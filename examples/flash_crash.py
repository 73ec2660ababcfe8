"""Does the flash crash of 18 April 2021 stand out in an order book? Detectors fitted on the rows before, ranked on the rows after.

    python examples/flash_crash.py l2_btc_5min_top30.parquet [SEEDS]

The file holds 30 columns of a 15-level book, one row every five minutes. Detectors learn from rows 0 to 2,699 and score the 667
that follow; rows 3008 to 3021 are the crash. All see the same signed logs, sign(x) log(1 + |x|). The parameters of the AnoGAN were
chosen on the training rows alone: fitted on the first four fifths of them, by how well it rebuilds the last fifth, and tells it
from the same rows with some columns shuffled.
"""

import sys

import numpy as np
import pandas as pd

import foreshock as fs

N_TRAIN, CRASH, TOP = 2_700, slice(3_008, 3_022), 0.02
ANOGAN = {"window": 1, "latent": 16, "width": 128, "steps": 6_000, "epochs": 60}


def book_rows(path: str) -> fs.Features:
    table = pd.read_parquet(path).drop(columns="ts_matched", errors="ignore")
    raw = table.to_numpy(dtype=float)
    # The source gives the time of some rows only; rows are taken to be five minutes apart.
    time = np.datetime64("2021-04-07T12:00", "us") + np.arange(len(raw)) * np.timedelta64(5, "m")
    values = (np.sign(raw) * np.log1p(np.abs(raw)))[:, None, :]
    return fs.Features(time, ("BTC/USD",), tuple(map(str, table.columns)), values, np.timedelta64(5, "m"))


def crash_ranks(scores: np.ndarray) -> np.ndarray:
    """Rank of each row of the crash among the rows from 2,700 on, as a share: 0.01 is within the strangest 1 %."""
    later, crash = scores[N_TRAIN:], scores[CRASH]
    return (later[None] >= crash[:, None]).sum(axis=1) / len(later)


def line(name: str, scores: np.ndarray) -> tuple[int, float]:
    ranks = crash_ranks(scores)
    hits, middle = int((ranks <= TOP).sum()), float(np.median(ranks))
    print(f"{name:<28}{hits:>4} of {len(ranks)} rows in the top {TOP:.0%}   median rank {middle:6.2%}", flush=True)
    return hits, middle


def standard_pca(features: fs.Features, n_components: int = 10) -> np.ndarray:
    """Squared error of rebuilding rows standardised by mean and standard deviation, the plainest PCA there is."""
    rows = features.values[:, 0]
    z = (rows - rows[:N_TRAIN].mean(axis=0)) / rows[:N_TRAIN].std(axis=0)
    _, _, directions = np.linalg.svd(z[:N_TRAIN], full_matrices=False)
    kept = directions[:n_components]
    return ((z - z @ kept.T @ kept) ** 2).mean(axis=1)


def main(path: str, n_seeds: int = 5) -> None:
    features = book_rows(path)
    train = features.rows(slice(0, N_TRAIN))
    line("PCA(10), mean and std", standard_pca(features))
    line("pca, n_components=10", fs.make_detector("pca", n_components=10).fit(train).score(features).values[:, 0])
    for seed in range(n_seeds):
        forest = fs.make_detector("isolation_forest", seed=seed).fit(train)
        line(f"isolation_forest, seed {seed}", forest.score(features).values[:, 0])
    found, agreement, each = [], [], []
    for seed in range(n_seeds):
        detector = fs.make_detector("anogan", seed=seed, device="cpu", **ANOGAN).fit(train)
        by_encoder = detector.score(features).values[:, 0]
        found.append(line(f"anogan, seed {seed}", by_encoder))
        each.append(by_encoder)
        by_search = detector.set_params(search="latent").score(features.rows(slice(N_TRAIN, None))).values[:, 0]
        agreement.append(pd.Series(by_encoder[N_TRAIN:]).corr(pd.Series(by_search), method="spearman"))
        line("  its latent search", np.concatenate([by_encoder[:N_TRAIN], by_search]))
        print(f"  rank correlation of encoder and latent search {agreement[-1]:.3f}", flush=True)
    line(f"anogan, mean of {n_seeds} seeds", np.mean(each, axis=0))
    hits, middle = np.array(found).T
    print(f"anogan, each seed: {np.median(hits):.0f} of 14 rows in the median, {hits.min():.0f} to {hits.max():.0f};")
    print(f"median rank {np.median(middle):.2%} in the median, {middle.min():.2%} to {middle.max():.2%};")
    print(f"rank correlation of encoder and latent search {np.median(agreement):.3f} in the median")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))

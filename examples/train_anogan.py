"""Train an AnoGAN on an order book or on trades of yours, or the one that comes with foreshock.

    python examples/train_anogan.py BOOK|TRADES [--out DIR] [--interval T] [--first-row TIME]
    python examples/train_anogan.py OUT_DIR

A book is learned by the logs of the levels that its first rows know, snapshot by snapshot, trades by windows of --interval (20s).
The first 70 % of the rows are learned, the later ones scored; DIR has model and scores. The pretrained model then scores the
later rows of the book, standardised by the first ones, or the output says what the book lacks for that. --first-row is for a book
without times, whose rows are --interval apart.

With a folder, the pretrained model is made again: rows of a simulated order book without events, with its card. The card holds what
it learned from, quantiles of its scores on a book of another seed without events, and how well its scores tell the rows of planted
events from the others on books of further seeds.
"""

import argparse
import hashlib
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import foreshock as fs
from foreshock.plain import plain, versions

TRAIN_SEED, QUIET_SEED, EVENT_SEEDS, N_ROWS = 21, 22, (23, 24), 12_000
NO_EVENTS = {f"n_{kind}": 0 for kind in ("flash_crashes", "withdrawals", "spoofs", "flickers", "icebergs", "sweeps")}
PARAMS = {"window": 1, "latent": 16, "steps": 400, "seed": 0, "device": "cpu"}
QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
TRAINED, SHOWN = 0.7, 5
# A column of levels is learned if at least this share of the training rows knows it.
LEAST_KNOWN = 0.5
PRETRAINED = "pretrained:anogan_book"


def rows_of(seed: int, **events: Any) -> tuple[fs.SimulatedBook, fs.Features]:
    simulated = fs.simulate_book(seed=seed, n_rows=N_ROWS, **events)
    return simulated, fs.book_features(simulated.book, fs.LEVEL_FEATURES)


def event_scores(detector: fs.Detector, seed: int) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Scores of the rows of each event, by kind, and of all rows outside events."""
    simulated, features = rows_of(seed)
    scores = detector.score(features).values[:, 0]
    inside, groups = np.zeros(len(scores), dtype=bool), {}
    for event in simulated.events.itertuples():
        rows = slice(event.row, event.stop_row)
        inside[rows] = True
        groups.setdefault(str(event.kind), []).append(scores[rows])
    return groups, scores[~inside & ~np.isnan(scores)]


def auc(events: list[np.ndarray], usual: np.ndarray, seed: int = 0, n_draws: int = 2_000) -> dict[str, float]:
    """Share of pairs in which the row of an event scores above a usual one; 95 % interval from drawing events anew."""
    order = np.sort(usual)
    above = [(np.searchsorted(order, rows) + np.searchsorted(order, rows, side="right")) / 2 / len(order) for rows in events]
    sums, sizes = np.array([[part.sum(), len(part)] for part in above]).T
    drawn = np.random.default_rng(seed).integers(len(above), size=(n_draws, len(above)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    return {"auc": sums.sum() / sizes.sum(), "low": low, "high": high, "n_events": len(above), "n_rows": sizes.sum()}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _, features = rows_of(TRAIN_SEED, **NO_EVENTS)
    detector = fs.make_detector("anogan", **PARAMS)
    started = time.process_time()
    detector.fit(features)
    seconds = time.process_time() - started
    path = folder / "anogan_book.safetensors"
    detector.save(path)
    quiet = detector.score(rows_of(QUIET_SEED, **NO_EVENTS)[1]).values
    found = [event_scores(detector, seed) for seed in EVENT_SEEDS]
    usual = np.concatenate([part for _, part in found])
    kinds = sorted({kind for groups, _ in found for kind in groups})
    table = {kind: auc([rows for groups, _ in found for rows in groups.get(kind, [])], usual) for kind in kinds}
    table["all"] = auc([rows for groups, _ in found for events in groups.values() for rows in events], usual)
    for kind, row in table.items():
        print(f"{kind:<12} AUC {row['auc']:.3f}, 95 % {row['low']:.3f} to {row['high']:.3f}, {row['n_events']} events")
    print(f"{seconds:.0f} s of one core, {path.stat().st_size / 1e3:.0f} kB")
    card = {
        "model": {"name": detector.name, "params": detector.get_params(), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "data": {"simulate_book": {"seed": TRAIN_SEED, "n_rows": N_ROWS, **NO_EVENTS}, "features": "LEVEL_FEATURES, by log"},
        "score_quantiles": {
            "data": {"simulate_book": {"seed": QUIET_SEED, "n_rows": N_ROWS, **NO_EVENTS}},
            "quantiles": {str(q): np.nanquantile(quiet, q) for q in QUANTILES},
        },
        "auc": {"data": {"simulate_book": {"seeds": EVENT_SEEDS, "n_rows": N_ROWS}}, "of_events": table},
        "training_seconds": round(seconds, 1),
        "limits": "the book is simulated: the model shows how one is trained, kept and used, not what a real book does; it scores "
        "books of the symbol it learned, SIM/USDT, in the units of that market",
        "versions": versions() | {"torch": version("torch")},
    }
    (folder / "anogan_book.json").write_text(json.dumps(plain(card), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def holds_book(path: Path) -> bool:
    """Whether a file has columns of an order book's levels."""
    if path.suffix == ".parquet":
        columns = pd.read_parquet(path).columns
    else:
        columns = pd.read_feather(path).columns if path.suffix == ".feather" else pd.read_csv(path, nrows=1).columns
    return not {f"log_{name}".lower() for name in columns}.isdisjoint(fs.LEVEL_FEATURES)


def of_book(book: fs.Book, n_trained: int) -> fs.Features:
    """Logs of the levels that the training rows know."""
    features = fs.book_features(book, fs.LEVEL_FEATURES)
    known = (~np.isnan(features.values[:n_trained, 0])).mean(axis=0) >= LEAST_KNOWN
    return features.select([name for name, enough in zip(features.names, known, strict=True) if enough])


def of_trades(trades: fs.Trades, interval: str) -> fs.Features:
    """Features of windows of trades; of several markets, those that can be compared."""
    return fs.WindowSource(trades, interval).features


def by_pretrained(book: fs.Book, n_trained: int) -> str:
    """What the model of a simulated book says of the later rows, in the units of the first ones, or why it cannot."""
    features = fs.book_features(book, fs.LEVEL_FEATURES)
    pretrained: Any = fs.load_detector(PRETRAINED)
    try:
        learned = pretrained.rescaled(features.rows(slice(0, n_trained)))
    except fs.DataError as error:
        return f"the pretrained model cannot score it: {error}"
    found = learned.score(features.rows(slice(n_trained, None)))
    limit = float(np.nanquantile(learned.score(features.rows(slice(0, n_trained))).values, 0.99))
    known = found.values[~np.isnan(found.values)]
    if not len(known):
        return "the pretrained model cannot score it: no later row knows every level"
    return (
        f"the pretrained model, in the units of the first {n_trained:,} rows: {(known > limit).mean():.1%} of {len(known):,} later "
        f"rows score above 99 % of the first; strangest at {found.time[np.nanargmax(found.values[:, 0])]}"
    )


def on_file(path: Path, out: Path, interval: str | None = None, first_row: str | None = None, **params: Any) -> fs.Scores:
    """Train on the first rows of a book or of trades, save the model, and score the later rows."""
    book = fs.read_book(path, interval, partial=True, start=first_row) if holds_book(path) else None
    n_rows = len(fs.book_features(book, ["midpoint"]).time) if book is not None else 0
    features = of_book(book, round(TRAINED * n_rows)) if book is not None else of_trades(fs.read_trades(path), interval or "20s")
    n_trained = round(TRAINED * features.n_rows)
    shape = {"window": 1, "latent": min(16, len(features.names) - 1)} if book is not None else {"window": 12, "latent": 8}
    detector = fs.make_detector("anogan", **{"seed": 0, "device": "cpu", **shape, **params})
    detector.fit(features.rows(slice(0, n_trained)))
    first = n_trained - detector.lookback
    scores = detector.score(features.rows(slice(first, None)))
    scores = fs.Scores(scores.time[n_trained - first :], scores.symbols, scores.values[n_trained - first :], scores.interval)
    out.mkdir(parents=True, exist_ok=True)
    detector.save(out / "anogan.safetensors")
    table = scores.to_frame().melt(var_name="symbol", value_name="score", ignore_index=False).dropna().reset_index()
    table.to_csv(out / "scores.csv", index=False)
    kind = "windows of trades" if book is None else "snapshots"
    print(f"{len(features.names)} features of {n_trained:,} {kind} learned, {len(table):,} later ones scored: {out}")
    print(table.nlargest(SHOWN, "score").to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    if book is not None:
        print(by_pretrained(book, n_trained))
    return scores


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train an AnoGAN on a book or trades, or the one that comes with foreshock.")
    parser.add_argument("path", type=Path, metavar="BOOK|TRADES|OUT_DIR")
    parser.add_argument("--out", type=Path, default=Path("foreshock-out/anogan"))
    parser.add_argument("--interval")
    parser.add_argument("--first-row")
    asked = parser.parse_args()
    if asked.path.is_file():
        on_file(asked.path, asked.out, asked.interval, asked.first_row)
    else:
        main(asked.path)

"""Train the AnoGAN that comes with foreshock: rows of a simulated order book without events, with its card.

    python examples/train_anogan.py OUT_DIR

The card holds what it learned from, quantiles of its scores on a book of another seed without events, and how well its scores tell
the rows of planted events from the others on books of further seeds.
"""

import hashlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import foreshock as fs
from foreshock.plain import plain, versions

TRAIN_SEED, QUIET_SEED, EVENT_SEEDS, N_ROWS = 21, 22, (23, 24), 12_000
NO_EVENTS = {f"n_{kind}": 0 for kind in ("flash_crashes", "withdrawals", "spoofs", "flickers", "icebergs", "sweeps")}
PARAMS = {"window": 1, "latent": 16, "steps": 400, "seed": 0, "device": "cpu"}
QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


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


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python train_anogan.py OUT_DIR")
    main(Path(sys.argv[1]))

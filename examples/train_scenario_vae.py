"""Train the scenario model that comes with foreshock: a VAE of days of the simulated market, with its card.

    python examples/train_scenario_vae.py OUT_DIR

It learns from the first 600 days of a simulated market without events, and is held against the 300 days after them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import foreshock as fs
from foreshock.engine.realism import gaussian_paths, phase_shuffled_paths
from foreshock.plain import plain, versions
from foreshock.scenarios.scenarios import cut_paths

SEED, N_SYMBOLS, TRAIN_DAYS, TEST_DAYS = 11, 4, 600, 300
NO_EVENTS: Any = {"n_flash_crashes": 0, "n_pumps": 0, "n_foreshocks": 0, "n_decoys": 0}


def days() -> tuple[fs.Bars, np.ndarray, np.ndarray]:
    """The market to learn from, and its days before and after the cut, (n_days, 24, n_symbols)."""
    n_bars = 24 * (TRAIN_DAYS + TEST_DAYS) + 1
    bars = fs.simulate_market(seed=SEED, n_symbols=N_SYMBOLS, n_bars=n_bars, **NO_EVENTS).bars
    returns, cut = bars.returns()[1:], 24 * TRAIN_DAYS
    return bars.head(cut + 1), cut_paths(returns[:cut], 24), cut_paths(returns[cut:], 24)


def main(folder: Path) -> None:
    bars, before, after = days()
    model = fs.VAEScenarios(latent=4, hidden=24, max_windows=4_000, seed=SEED).fit(bars)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "scenario_vae.safetensors")
    paths = model.sample(1_000, seed=SEED)
    others = {"vae": paths, "history": before}
    others |= {
        "gaussian": gaussian_paths(before, len(after), SEED),
        "phase_shuffled": phase_shuffled_paths(before, len(after), SEED),
    }
    cards = {name: fs.realism(after, found, seed=SEED) for name, found in others.items()}
    for name, card in cards.items():
        print(f"{name:<15} passes {card.n_passed} of {len(card.table)}, fails {', '.join(card.failed) or 'none'}")
    levels = (0.001, 0.01, 0.05, 0.5, 0.95, 0.99, 0.999)
    content = {
        "model": {"name": model.name, "params": model.get_params(), **model.trained_},
        "data": {
            "simulate_market": {"seed": SEED, "n_symbols": N_SYMBOLS, **NO_EVENTS},
            "train_days": TRAIN_DAYS,
            "test_days": TEST_DAYS,
        },
        "hourly_return_quantiles": {str(q): {"generated": np.quantile(paths, q), "real": np.quantile(after, q)} for q in levels},
        "realism": {name: {"n_passed": card.n_passed, "failed": card.failed} for name, card in cards.items()},
        "measures": cards["vae"].table.to_dict("index"),
        "limits": "the simulated market is GJR-GARCH with one common factor: it shows that the model works, not what markets do",
        "versions": versions(),
    }
    (folder / "scenario_vae.json").write_text(json.dumps(plain(content), indent=1, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python train_scenario_vae.py OUT_DIR")
    main(Path(sys.argv[1]))

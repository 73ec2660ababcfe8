"""Runs that are killed at random moments and run again: ``python -m tests.studies.program.killed_runs --out killed.csv``.

A study of trees, a linear model and two networks in processes of their own is run once undisturbed. Then each run has an empty
cache, is killed (``kill -9``, its own process alone) at a moment that is uniform over the time of the undisturbed run, and is run
again at once. Its results must be those of the undisturbed run, and no fold may be fitted twice: every process writes the key of a
fit down as soon as it is made. The study goes on where it was stopped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import BooleanOptionalAction
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import foreshock as fs
from tests.studies.parts.resumable import parser_of, resume

FIELDS = ("kill", "after", "of", "n_before", "n_fits", "twice", "equal", "again")
# Two networks run in processes of their own.
NETWORKS = """
    { name = "autoencoder", epochs = 4, max_windows = 1000 },
    { name = "denoising_autoencoder", epochs = 4, max_windows = 1000 },
"""
STUDY = """
detectors = [
    "isolation_forest",
    "pca",
    # networks
]
horizons = ["1h", "6h"]
n_bootstrap = 99

[data]
path = "bars.parquet"

[splits]
train = "20D"
test = "5D"
embargo = "none"

[threshold]
q = 0.98
window = "10D"

[avoidance]
random_draws = 1
"""
# Every process, those of joblib among them, imports this first.
COUNTED = """
import os, sys
if "resource_tracker" not in " ".join(sys.orig_argv):
    from foreshock.detectors.kept import Keeper
    keep = Keeper.keep_fit
    def counted(self, fold, fitted, seconds):
        file = os.open(os.environ["FITS"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(file, f"{self.detector.name} {self._fit_key(fold)}\\n".encode())
        os.close(file)
        return keep(self, fold, fitted, seconds)
    Keeper.keep_fit = counted
"""


def prepare(folder: Path, networks: bool = True, n_bars: int = 1_100) -> Path:
    """A folder with a study, its bars, and what counts the fits."""
    study = STUDY.replace("    # networks\n", NETWORKS if networks else "")
    fs.simulate_market(seed=8, n_symbols=1, n_bars=n_bars).bars.to_frame().to_parquet(folder / "bars.parquet")
    (folder / "study.toml").write_text(study)
    (folder / "counted").mkdir()
    (folder / "counted" / "sitecustomize.py").write_text(COUNTED)
    return folder


def started(folder: Path, place: Path, more: Mapping[str, str] | None = None, apart: bool = False) -> subprocess.Popen[bytes]:
    """A run of the study with cache, list of fits and results in a folder of its own; ``apart``: in a group of its own, too."""
    place.mkdir(exist_ok=True)
    paths = os.pathsep.join(filter(None, [str(folder / "counted"), os.environ.get("PYTHONPATH", "")]))
    own = {
        "FORESHOCK_CACHE": str(place / "cache"),
        "FITS": str(place / "fits"),
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": "1",
        **(more or {}),
    }
    arguments = ["run", str(folder / "study.toml"), "--out", str(place / "out"), "--no-ledger"]
    with (place / "said").open("ab") as said:
        words = [sys.executable, "-m", "foreshock", *arguments]
        return subprocess.Popen(words, env=os.environ | own, stdout=said, stderr=said, start_new_session=apart)


def completed(folder: Path, place: Path) -> float:
    """Seconds of a run to its end."""
    began = time.monotonic()
    if started(folder, place).wait() != 0:
        raise RuntimeError((place / "said").read_text())
    return time.monotonic() - began


def fits(place: Path) -> Counter[str]:
    """How often each fold was fitted."""
    file = place / "fits"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def results(place: Path) -> tuple[dict[str, Any], pd.DataFrame, bytes]:
    """Results without the seconds that they took, the scores, and the file of alerts."""
    found = json.loads((place / "out" / "results.json").read_text())
    for one in found["detectors"].values():
        for name in [name for name in one if name.endswith("_seconds")]:
            del one[name]
    return found, pd.read_parquet(place / "out" / "scores.parquet"), (place / "out" / "alerts.csv").read_bytes()


def equal(one: Path, other: Path) -> bool:
    """Whether two runs have the same results, scores and alerts."""
    (first, scores, alerts), (second, others, again) = results(one), results(other)
    return first == second and scores.equals(others) and alerts == again


def killed(folder: Path, whole: float, first_seed: int, kill: int) -> list[dict[str, Any]]:
    """One run that is killed and run again, against the undisturbed run in ``folder / "whole"``."""
    after = float(np.random.default_rng([first_seed, kill]).uniform(0, whole))
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        process = started(folder, place)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_before = sum(fits(place).values())
        again = completed(folder, place)
        counts = fits(place)
        twice = sum(n - 1 for n in counts.values())
        row = (kill, after, whole, n_before, len(counts), twice, equal(place, folder / "whole"), again)
        return [dict(zip(FIELDS, row, strict=True))]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, 20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--networks", action=BooleanOptionalAction, default=True)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = prepare(Path(temporary), options.networks)
        # Compiled kernels and imports are warm in the second run, as in those that are killed.
        completed(folder, folder / "first")
        whole = completed(folder, folder / "whole")
        print(f"an undisturbed run takes {whole:.1f} s and makes {len(fits(folder / 'whole'))} fits")
        work = partial(killed, folder, whole, options.seed)
        wanted = ((k,) for k in range(options.histories))
        # One at a time: two at once would slow each other, and the moments would mean something else.
        rows = resume(options.out, FIELDS[:1], FIELDS, wanted, work, jobs=1)
    print(rows.round(2).to_string(index=False))
    print(f"{len(rows)} kills: {int(rows['equal'].sum())} with equal results, {int(rows['twice'].sum())} folds fitted twice")


if __name__ == "__main__":
    main()

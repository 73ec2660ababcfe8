"""What the default embargo of two days changes against none: ``python -m tests.studies.embargo_default``.

The same small study is run from a file and from a script, which must agree to the bit, and once more without an embargo.
"""

from __future__ import annotations

from typing import Any

import foreshock as fs
from foreshock.study.config import parse_study

SMALL: dict[str, Any] = {"n_surrogates": 0, "n_bootstrap": 99, "random_draws": 1, "hold": "6h", "horizons": ["1h", "6h"]}


def market() -> fs.Bars:
    return fs.simulate_market(seed=3, n_symbols=2, n_bars=2_400).bars


def from_file(bars: fs.Bars) -> fs.StudyResult:
    content = {
        "detectors": ["zscore", "pca"],
        "splits": {"train": "40D", "test": "15D"},
        "threshold": {"q": 0.98, "window": "15D"},
        "horizons": SMALL["horizons"],
        "avoidance": {"hold": SMALL["hold"], "random_draws": SMALL["random_draws"]},
        "surrogates": {"n": SMALL["n_surrogates"]},
        "n_bootstrap": SMALL["n_bootstrap"],
    }
    return fs.Study.from_config(parse_study(content), bars).run()


def from_script(bars: fs.Bars, **splits: Any) -> fs.StudyResult:
    walk_forward = fs.WalkForward("40D", "15D", **splits)
    return fs.Study(bars, ["zscore", "pca"], walk_forward, fs.RollingQuantile(0.98, "15D"), **SMALL).run()


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """The keys under which two contents differ, but for versions and seconds."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [found for key in keys for found in differences(one.get(key), other.get(key), f"{where}.{key}".strip("."))]
    return [] if one == other or "seconds" in where or where.startswith("versions") else [where]


def main() -> None:
    bars = market()
    file, script, without = from_file(bars), from_script(bars), from_script(bars, embargo=None)
    print("file and script differ in:", differences(file.results, script.results) or "nothing")
    for label in ("zscore", "pca"):
        for name, result in (("2D", script), ("none", without)):
            first = result.results["data"]["test_start"]
            rate = result.results["detectors"][label]["alert_rate"]["realised"]
            ratio = result.summary().loc[label, "matched_ratio"]
            print(f"{label}, embargo {name}: tested from {first}, alert rate {rate:.4f}, matched ratio {ratio:.4f}")


if __name__ == "__main__":
    main()

"""The README's tables of verdicts, made anew: ``python -m tests.studies.readme_tables BARS.parquet --out tables.md``.

Runs examples/all_detectors.toml and examples/neural.toml, or those named, and writes for each a table of verdicts at both rungs and
in both halves of the test period, and a line on the negative controls.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import foreshock as fs
from tests.paths import ROOT

STUDIES = ("examples/all_detectors.toml", "examples/neural.toml")


def table(results: dict[str, Any]) -> str:
    """One row for each detector at the horizon of its verdict, strongest first."""
    rows = []
    for label, entry in results["detectors"].items():
        horizon = entry["verdict_horizon"]
        prices, moves = entry["rungs"]["volatility"][horizon], entry["forward"][horizon]
        volumes = entry["rungs"].get("volume", entry["rungs"]["volatility"])[horizon]
        lead = results["lead_lag"][label]["lead"]
        cells = [
            f"`{label}`",
            entry["verdict"],
            horizon,
            f"{prices['n_events']:,}",
            f"{moves['abs_move_ratio']:.2f}",
            f"{prices['ratio']:.2f} ({prices['ci'][0]:.2f} to {prices['ci'][1]:.2f})",
            f"{volumes['ratio']:.2f} ({volumes['ci'][0]:.2f} to {volumes['ci'][1]:.2f})",
            f"{prices['q']:.2f}".lstrip("0") if prices["q"] < 1 else "1",
            f"{prices['detectable']:.2f}",
            " and ".join("–" if ratio is None else f"{ratio:.2f}" for ratio in prices["halves"]),
            "none" if lead is None else f"{lead:.0f}",
        ]
        rows.append((prices["q"], "| " + " | ".join(cells) + " |"))
    head = ("detector", "verdict", "over", "alerts", "moves after alerts", "given prices", "given volumes too", "q")
    head = (*head, "could show", "halves", "lead, bars")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *(line for _, line in sorted(rows, key=lambda row: row[0]))]
    return "\n".join(lines)


def controls(results: dict[str, Any]) -> str:
    """How often negative controls would have been found, before and after calibration."""
    parts = []
    for row in results["controls"]["summary"]:
        raw, left = round(row["n"] * row["found_raw"]), round(row["n"] * row["found"])
        parts.append(f"{row['rung']} {row['horizon']}: {raw} of {row['n']} before, {left} after")
    return "Controls beyond 1.96: " + "; ".join(parts) + "."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--studies", nargs="*", default=STUDIES)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    bars = fs.read_bars(options.bars)
    parts = []
    for name in options.studies:
        began = time.monotonic()
        result = fs.Study.from_config(fs.load_study(ROOT / name), bars).run()
        quality = result.results["forecasts"]["quality"]["volatility"]
        parts += [
            f"## {name}",
            table(result.results),
            controls(result.results),
            "R2 of the price forecast: " + ", ".join(f"{horizon} {found['r2']:.2f}" for horizon, found in quality.items()),
            f"{time.monotonic() - began:.0f} s",
        ]
        options.out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

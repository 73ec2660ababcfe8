"""Negative controls judged without their own family: ``python -m tests.studies.left_out_controls BARS [--horizons 1h 6h 24h]``.

By rung and horizon, how many of the controls of a history would be told that they know something, at 5 % each, before calibration
and after it; and the smallest p over all of them, times their number.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import foreshock as fs
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.rungs import RungTable

BEYOND = 1.96


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--horizons", nargs="*", default=["1h", "6h", "24h"])
    parser.add_argument("--from", dest="first", default="365D", help="how much of the history is not judged")
    parser.add_argument("--window", default="60D", help="window of the alerts' quantile, .99")
    options = parser.parse_args(arguments)
    bars, _ = fs.clean(fs.read_bars(options.bars))
    first = int(pd.Timedelta(options.first) / pd.Timedelta(bars.interval))
    table = RungTable(bars, Judging(options.horizons, options.horizons[-1], first=first), fs.RollingQuantile(0.99, options.window))
    rows = pd.DataFrame([vars(control) for control in table.control_findings()]).dropna(subset="z")
    shares = rows.assign(before=rows["z_raw"].abs() > BEYOND, after=rows["z"].abs() > BEYOND)
    print(bars)
    print(shares.groupby(["rung", "horizon"]).agg(n=("z", "count"), before=("before", "sum"), after=("after", "sum")))
    after, n = int(shares["after"].sum()), len(rows)
    smallest = float(2 * stats.norm.sf(rows["z"].abs().max())) * n
    print(f"all: {after} of {n} ({after / n:.3f}); smallest p times {n}: {min(smallest, 1.0):.2f}")
    print(
        {rung: dict(zip(options.horizons, np.round(found.r2, 3).tolist(), strict=True)) for rung, found in table.forecasts.items()}
    )


if __name__ == "__main__":
    main()

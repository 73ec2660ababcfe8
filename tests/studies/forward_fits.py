"""Forecasts fitted on all other blocks against those fitted on earlier rows: ``python -m tests.studies.forward_fits BARS``.

Both run the deciding test on the same alerts and judged rows, calibrated by the same negative controls, and stand side by side: R2
of the forecasts, z and ratio of every detector, and how often controls are found that their own family did not calibrate. A forward
fit has fewer rows to learn from than a cross-fit, so what differs is not due to later rows alone.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from foreshock import RollingQuantile, WalkForward, read_bars
from foreshock.data.bars import Bars
from foreshock.data.errors import DataError
from foreshock.data.quality.clean import clean
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.scores import Scores, Threshold
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.result import LEVEL, RungTest
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.study.side_by_side import walk_forward_each
from foreshock.study.study import Study

DETECTORS = ("zscore", "iqr", "mad", "rolling_volatility", "isolation_forest", "pca", "kmeans_regime")
RULE = RollingQuantile(0.99, "60D")
# Two-sided 5 % of a normal score.
BEYOND = 1.96


def both_tests(bars: Bars, scores: dict[str, Scores], threshold: Threshold, setting: Judging) -> tuple[RungTest, RungTest]:
    """The deciding test with cross-fitted and with forward forecasts, on the same rows.

    Raises
    ------
    DataError
        If forward fits lack the rows to forecast everything that is judged.
    """
    signals = {label: found.signals(threshold) for label, found in scores.items()}
    across, forward = (RungTable(bars, replace(setting, forward=choice), threshold) for choice in (False, True))
    judged = across.measured.state.row >= setting.first
    for rung, forecast in across.forecasts.items():
        missing = np.isnan(forward.forecasts[rung].values[judged]).any(axis=1) & ~np.isnan(forecast.values[judged]).any(axis=1)
        if missing.any():
            raise DataError(f"forward fits have no forecast of {missing.sum()} judged lines at the rung {rung}; train longer")
    return across.test(signals, scores), forward.test(signals, scores)


def quality(across: RungTest, forward: RungTest) -> pd.DataFrame:
    """R2 of both forecasts on the judged rows."""
    return pd.DataFrame(
        [
            {"rung": rung, "horizon": name, "across": found["r2"], "forward": forward.quality[rung][name]["r2"]}
            for rung, by_horizon in across.quality.items()
            for name, found in by_horizon.items()
        ]
    )


def effects(across: RungTest, forward: RungTest) -> pd.DataFrame:
    """Calibrated z, ratio and q of each detector, rung and horizon."""
    rows = []
    for label, by_rung in across.found.items():
        for rung, by_horizon in by_rung.items():
            for name, one in by_horizon.items():
                other = forward.found[label][rung][name]
                row = {"detector": label, "rung": rung, "horizon": name, "alerts": one.n_events}
                for key in ("z_raw", "z", "ratio", "q"):
                    row |= {key: getattr(one, key), f"{key} forward": getattr(other, key)}
                rows.append(row)
    return pd.DataFrame(rows)


def controls(across: RungTest, forward: RungTest) -> pd.DataFrame:
    """By rung and horizon: mean z of the controls, and the share found at 5 %, before calibration and without the own family."""
    parts = []
    for name, test in (("across", across), ("forward", forward)):
        table = pd.DataFrame([vars(one) for one in test.controls]).dropna(subset=["z_raw", "z"])
        by = table.assign(raw=table["z_raw"].abs() > BEYOND, found=table["z"].abs() > BEYOND).groupby(
            ["rung", "horizon"], sort=False
        )
        parts.append(
            by.agg(n=("z", "size"), mean=("z_raw", "mean"), raw=("raw", "mean"), found=("found", "mean")).add_suffix(f" {name}")
        )
    return pd.concat(parts, axis=1).reset_index()


def summary(table: pd.DataFrame) -> str:
    """How far the two tests are apart."""
    away = (table["z forward"] - table["z"]).abs()
    found, later = table["q"] <= LEVEL, table["q forward"] <= LEVEL
    return (
        f"{len(table)} tests: correlation of z {table['z'].corr(table['z forward']):.2f}, "
        f"z differs by {away.median():.2f} in the middle and {away.max():.2f} at most; "
        f"|z| above {BEYOND}: {(table['z'].abs() > BEYOND).sum()} across, {(table['z forward'].abs() > BEYOND).sum()} forward; "
        f"found (q at most {LEVEL}): {found.sum()} across, {later.sum()} forward, {(found & later).sum()} both"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--detectors", nargs="*", default=DETECTORS)
    options = parser.parse_args(arguments)
    bars, _ = clean(read_bars(options.bars))
    study = Study(bars, options.detectors, WalkForward("365D", "90D", "2D"), RULE)
    plan = study._plan()
    with threadpool_limits(limits=1, user_api="blas"):
        fitted = walk_forward_each(plan.detectors, ohlcv_features(bars), study.splits, plan.purge, False, lambda _: None)
        scores = {label: found for label, (found, _) in fitted.items()}
        across, forward = both_tests(bars, scores, study.threshold, plan.setting)
    table = effects(across, forward)
    print(f"{bars.n_symbols} symbols of {bars.n_bars:,} bars, judged from row {plan.setting.first:,}; trees {forward.trees}")
    for part in (quality(across, forward), table, controls(across, forward)):
        print("\n" + part.to_string(index=False, float_format="{:.2f}".format))
    print("\n" + summary(table))


if __name__ == "__main__":
    main()

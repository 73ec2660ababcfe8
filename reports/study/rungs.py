"""The deciding test on a page: both forecasts, what they are worth, what an alert adds to them, and the negative controls."""

from collections.abc import Mapping
from typing import Any

from foreshock.engine.validation.rungs.result import LEVEL, RUNGS
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header
from foreshock.reports.study.order import detectors_by_verdict, forecasts_decide, has_surrogates, on_rung

# What each forecast sees, as a row says it.
SEES = {RUNGS[0]: "past prices", RUNGS[1]: "prices and volumes"}
GIVEN = ("alert", "score")
# The bias of the controls is large if their mean z lies further from 0, or more of them would be findings at 5 %.
LARGE_MEAN, LARGE_SHARE = 1.0, 0.15


def sees(rung: str) -> str:
    """What the forecast of a rung sees."""
    return SEES.get(rung, rung)


def halves(found: Mapping[str, Any]) -> str:
    """Ratio in the first and in the second half of the judged rows."""
    first, second = found.get("halves") or (None, None)
    return f"{fmt.ratio(first)} / {fmt.ratio(second)}"


def rungs_table(results: Mapping[str, Any]) -> Table | None:
    """The deciding test of every detector at every horizon against both forecasts; None where forecasts did not decide."""
    rows = []
    for name in detectors_by_verdict(results):
        for rung, by_horizon in (results["detectors"][name].get("rungs") or {}).items():
            for horizon, found in by_horizon.items():
                first, second = found.get("halves") or (None, None)
                z_first, z_second = found.get("halves_z") or (None, None)
                rows.append(
                    [
                        header(name),
                        Cell(horizon),
                        Cell(sees(rung), sort=rung),
                        cell(found.get("n_events"), fmt.count),
                        cell(found.get("ratio"), fmt.ratio, fmt.interval(found.get("ci"))),
                        cell(found.get("z"), fmt.ratio, "raw " + fmt.ratio(found.get("z_raw"))),
                        cell(found.get("p"), fmt.p_value),
                        cell(found.get("q"), fmt.p_value),
                        cell(found.get("bias"), fmt.ratio, "spread " + fmt.ratio(found.get("spread"))),
                        cell(found.get("state"), fmt.ratio),
                        cell(found.get("detectable"), fmt.ratio),
                        cell(first, fmt.ratio, "z " + fmt.ratio(z_first)),
                        cell(second, fmt.ratio, "z " + fmt.ratio(z_second)),
                        Cell(found.get("reason") or fmt.DASH, sort=found.get("reason") or None),
                    ]
                )
    if not rows:
        return None
    columns = [
        Column("Detector", kind="text"),
        Column("Horizon", kind="text"),
        Column("Forecast sees", kind="text"),
        Column("n events"),
        Column("Beyond the forecast", "95 % interval"),
        Column("z", "calibrated, and raw"),
        Column("p", "two-sided"),
        Column("q", "all tests"),
        Column("Bias", "z of controls"),
        Column("State", "forecast at alerts, deviations"),
        Column("Detectable", "smallest ratio"),
        Column("First half", "ratio"),
        Column("Second half", "ratio"),
        Column("Note", kind="text"),
    ]
    caption = (
        "The deciding test at every horizon, against both forecasts; ratios and intervals are calibrated by the negative controls"
    )
    return Table("rungs-table", caption, columns, rows)


def quality_of_forecasts(results: Mapping[str, Any]) -> Table | None:
    """Out-of-sample quality of both forecasts at every horizon; None where there are none."""
    quality = (results.get("forecasts") or {}).get("quality") or {}
    rows = [
        [
            header(sees(rung)),
            Cell(horizon),
            cell(found.get("r2"), fmt.percent),
            cell(found.get("qlike_gain"), fmt.number),
        ]
        for rung, by_horizon in quality.items()
        for horizon, found in by_horizon.items()
    ]
    columns = [
        Column("Forecast sees", kind="text"),
        Column("Horizon", kind="text"),
        Column("R²", "of log activity"),
        Column("QLIKE gain", "over HAR, above 0 is better"),
    ]
    return Table("quality-table", "How good the forecasts are on the judged bars, out of sample", columns, rows) if rows else None


def gains_table(results: Mapping[str, Any]) -> Table | None:
    """By how much each forecast improves with the alert, and with the score, as one more input; None where not known."""
    inputs = list(next((detector["gains"] for detector in results["detectors"].values() if detector.get("gains")), {}))
    given = [(rung, key) for rung in inputs for key in GIVEN]
    rows = []
    for name in detectors_by_verdict(results):
        detector = results["detectors"][name]
        gains = detector.get("gains") or {}
        # The arrays of a gain are in the order of the horizons of the study, as the rungs are.
        for i, horizon in enumerate((detector.get("rungs") or {}).get(RUNGS[0]) or {}):
            found = [(gains.get(rung) or {}).get(key) or {} for rung, key in given]
            rows.append([header(name), Cell(horizon), *(_gain(gain, i) for gain in found)])
    if not rows or not given:
        return None
    columns = [
        Column("Detector", kind="text"),
        Column("Horizon", kind="text"),
        *(Column(f"{key.capitalize()} added", f"to {sees(rung)}") for rung, key in given),
    ]
    caption = (
        "By how much the forecast improves with the alert, or the score, as one more input: "
        "squared error removed out of sample, with 95 % interval"
    )
    return Table("gains-table", caption, columns, rows)


def _gain(found: Mapping[str, Any], i: int) -> Cell:
    r2, low, high = ((found.get(key) or [None] * (i + 1))[i] for key in ("r2", "low", "high"))
    return cell(r2, _small, fmt.interval([low, high], _small))


def _small(value: float | None) -> str:
    return fmt.percent(value, 2)


def controls_table(results: Mapping[str, Any]) -> Table | None:
    """How the negative controls fare at each rung and horizon before and after calibration; None without controls."""
    rows = [
        [
            header(sees(row["rung"])),
            Cell(row["horizon"]),
            cell(row["n"], fmt.count),
            cell(row["found_raw"], fmt.percent, f"{_of(row, 'found_raw')} of {fmt.count(row['n'])}"),
            cell(row["found"], fmt.percent, f"{_of(row, 'found')} of {fmt.count(row['n'])}"),
            cell(row["mean"], fmt.ratio),
            cell(row["spread"], fmt.ratio),
        ]
        for row in (results.get("controls") or {}).get("summary") or []
    ]
    columns = [
        Column("Forecast sees", kind="text"),
        Column("Horizon", kind="text"),
        Column("n controls"),
        Column("Found before", "calibration, at 5 % each"),
        Column("Found after", "calibration, at 5 % each"),
        Column("Mean z", "before; 0 is no bias"),
        Column("Spread of z", "before; 1 is as intended"),
    ]
    return Table("controls", "Negative controls that would count as findings, one by one", columns, rows) if rows else None


def _of(row: Mapping[str, Any], key: str) -> str:
    """A share of the controls as their number."""
    return fmt.count(round(row[key] * row["n"])) if fmt.known(row[key]) else fmt.DASH


def every_control(results: Mapping[str, Any]) -> Table | None:
    """Every negative control at every rung and horizon; None without controls."""
    rows = [
        [
            header(row["name"]),
            Cell("your own" if row.get("own") else row["family"]),
            Cell(sees(row["rung"]), sort=row["rung"]),
            Cell(row["horizon"]),
            cell(row["n_events"], fmt.count),
            *(cell(row[key], fmt.ratio) for key in ("z_raw", "z", "state")),
        ]
        for row in (results.get("controls") or {}).get("rows") or []
    ]
    columns = [
        Column("Control", kind="text"),
        Column("Family", kind="text"),
        Column("Forecast sees", kind="text"),
        Column("Horizon", kind="text"),
        Column("n events"),
        Column("z", "raw"),
        Column("z", "calibrated by other families"),
        Column("State", "forecast at alerts, deviations"),
    ]
    caption = "Every negative control, calibrated without the controls of its own family"
    return Table("every-control", caption, columns, rows) if rows else None


def controls_sentence(results: Mapping[str, Any]) -> str:
    """A warning if the negative controls show a large bias at any rung and horizon; empty otherwise."""
    summary = (results.get("controls") or {}).get("summary") or []
    large = [row for row in summary if abs(row["mean"] or 0) > LARGE_MEAN or (row["found_raw"] or 0) > LARGE_SHARE]
    if not large:
        return ""
    worst = max(large, key=lambda row: (row["found_raw"] or 0, abs(row["mean"] or 0)))
    return (
        f"Without calibration, {_of(worst, 'found_raw')} of {fmt.count(worst['n'])} negative controls, which know no more than the "
        f"forecast ({sees(worst['rung'])}), would have been told to add information over {worst['horizon']} "
        f"(mean z {fmt.ratio(worst['mean'])}): the verdicts lean on the calibration."
    )


def rule(results: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the explanation of the test: what was forecast, how well, and how many controls and tests there were."""
    forecasts = results.get("forecasts") or {}
    rows = (results.get("controls") or {}).get("rows") or []
    names = detectors_by_verdict(results)
    n_tests = sum(len(by_horizon) for name in names for by_horizon in (results["detectors"][name].get("rungs") or {}).values())
    return {
        "forecasts": forecasts_decide(results),
        "trees": bool(forecasts.get("trees")),
        "volumes": bool(forecasts.get("has_volume")),
        "r2": [_range_of(found) for found in (forecasts.get("quality") or {}).values()],
        "controls": fmt.count(len({(row["name"], row.get("own")) for row in rows})),
        "own": fmt.count(n_own) if (n_own := len({row["name"] for row in rows if row.get("own")})) else "",
        "tests": fmt.count(n_tests),
        "disagree": disagreements(results),
    }


def _range_of(by_horizon: Mapping[str, Mapping[str, Any]]) -> str:
    """R2 of a forecast over its horizons."""
    known = [found["r2"] for found in by_horizon.values() if fmt.known(found.get("r2"))]
    if not known:
        return ""
    low, high = fmt.percent(min(known), 0), fmt.percent(max(known), 0)
    return low if low == high else f"{low} to {high}"


def disagreements(results: Mapping[str, Any]) -> list[str]:
    """Where the surrogate histories see it otherwise than the deciding test: detector, horizon, and both findings."""
    if not (has_surrogates(results) and forecasts_decide(results)):
        return []
    found = []
    for name in detectors_by_verdict(results):
        detector = results["detectors"][name]
        for horizon, moves in (detector.get("forward") or {}).items():
            first = on_rung(detector, 0, horizon)
            theirs, ours = moves.get("q_surrogate"), first.get("q")
            if theirs is None or ours is None or not (fmt.known(theirs) and fmt.known(ours)):
                continue
            # The surrogate test is one-sided: it says nothing about calm.
            if ours <= LEVEL and (first.get("z") or 0) < 0:
                continue
            if (theirs <= LEVEL) != (ours <= LEVEL):
                found.append(f"{name} over {horizon} (surrogates q {fmt.p_value(theirs)}, forecast q {fmt.p_value(ours)})")
    return found

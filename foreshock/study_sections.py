"""What a study tells beside its verdicts: event studies, places and years, regimes, costs and value at risk through time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from data.bars import Bars
from data.errors import DataError
from data.interval import Duration
from detectors.regimes import Regimes
from engine.risk.path import RiskPath, risk_path
from engine.scores import Signals
from engine.validation.event_study import EventStudyTable, event_study
from engine.validation.forward import MoveTable
from engine.validation.slices import sliced_moves
from strategies.cost_sweep import cost_sweep
from strategies.costs import Costs
from strategies.result import BacktestResult

CURVES = ("activity", "activity_low", "activity_high", "signed", "signed_low", "signed_high")
# Bootstrap draws of a cell: it is drawn without an interval.
CELL_DRAWS = 19


def event_studies(
    bars: Bars,
    signals: Mapping[str, Signals],
    horizon: Duration,
    cooldown: str,
    n_draws: int,
    seed: int,
    step: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Cumulative abnormal activity and return after the alerts of each detector, with bands and half-life."""
    table = EventStudyTable(bars, horizon)
    found = {}
    for label, alerts in signals.items():
        study = event_study(bars, alerts, horizon, cooldown, n_draws, seed, table)
        found[label] = {
            "offsets": study.offsets,
            **{key: getattr(study, key) for key in CURVES},
            "p_activity": study.p_activity,
            "p_signed": study.p_signed,
            "n": study.n,
            "n_events": study.n_events,
            "half_life": study.decay.half_life,
            "half_life_ci": study.decay.half_life_ci,
            "reason": study.reason or study.decay.reason,
        }
        step(f"event study {label}")
    return found


def cells(
    table: MoveTable, signals: Mapping[str, Signals], masks: Mapping[str, Mapping[str, np.ndarray]], cooldown: str, seed: int
) -> list[dict[str, Any]]:
    """Ratios of each detector by asset and year, and by regime and year.

    Parameters
    ----------
    masks : dict
        Of ``slice_masks``.
    """
    crossed = {
        by: {f"{name}\t{year}": mask & years for name, mask in masks[by].items() for year, years in masks["year"].items()}
        for by in ("asset", "regime")
    }
    rows = []
    for label, found in signals.items():
        for row in sliced_moves(table, found, crossed, cooldown, CELL_DRAWS, seed):
            name, year = row["slice"].split("\t")
            ratios = {key: row[key] for key in ("n_events", "abs_move_ratio", "matched_ratio")}
            rows.append({"detector": label, "by": row["by"], "name": name, "year": year, "horizon": row["horizon"], **ratios})
    return rows


def regimes_section(regimes: Regimes) -> dict[str, Any]:
    """Share of the known rows that each regime holds, in all and by symbol."""
    known = {symbol: regimes.labels[regimes.labels[:, i] >= 0, i] for i, symbol in enumerate(regimes.symbols)}
    return {
        "names": regimes.names,
        "share": regimes.share(),
        "by_symbol": {
            symbol: [float((own == k).mean()) if len(own) else None for k in range(len(regimes.names))]
            for symbol, own in known.items()
        },
    }


def cost_section(bars: Bars, backtests: Mapping[str, BacktestResult], costs: Costs) -> dict[str, Any]:
    """Total return of each strategy at each cost of a fill, and the cost at which nothing is left."""
    sweep = cost_sweep(bars, {name: result.weights for name, result in backtests.items()}, costs=costs)
    rates = [column for column in sweep.columns if column != "break_even"]
    return {
        "rates": rates,
        "total_return": {str(name): [float(row[rate]) for rate in rates] for name, row in sweep.iterrows()},
        "break_even": {str(name): float(row["break_even"]) for name, row in sweep.iterrows()},
    }


def risk_paths(backtests: Mapping[str, BacktestResult]) -> tuple[dict[str, RiskPath], str]:
    """Forecasts of each strategy's risk; or none, and why."""
    paths = {}
    for name, result in backtests.items():
        try:
            paths[name] = risk_path(result.returns, result.interval, result.time)
        except DataError as error:
            return {}, str(error)
    return paths, ""


def var_section(paths: Mapping[str, RiskPath], why: str, seed: int) -> dict[str, Any]:
    """Every test of every forecast."""
    rows = [{"strategy": name, **row} for name, path in paths.items() for row in path.tests(seed)]
    return {"rows": rows, "reason": why}

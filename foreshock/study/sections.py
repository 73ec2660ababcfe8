"""Sections of a study besides its verdicts: event studies, slices, regimes, costs and value at risk over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import DataError
from foreshock.data.interval import Duration
from foreshock.detectors.clusters.regimes import Regimes
from foreshock.engine.risk.forecasts.path import RiskPath, risk_path
from foreshock.engine.scores import Signals
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.event_study import EventStudyTable, event_study
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.engine.validation.moves.slices import sliced_moves
from foreshock.strategies.assess.cost_sweep import cost_sweep
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.study.side_by_side import for_each

CURVES = ("activity", "activity_low", "activity_high", "signed", "signed_low", "signed_high")
# Bootstrap draws of one slice: fewer than elsewhere, because there are many slices.
SLICE_DRAWS = 199


def event_studies(
    bars: Bars,
    signals: Mapping[str, Signals],
    horizon: Duration,
    setting: Judging,
    step: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Cumulative abnormal activity and return after the alerts of each detector, with bands and half-life."""
    table = EventStudyTable(bars, horizon)
    rest = (horizon, setting.cooldown, setting.n_bootstrap, setting.seed, table)
    found = for_each(
        event_study,
        {label: (bars, alerts, *rest) for label, alerts in signals.items()},
        bars,
        lambda label: step(f"event study {label}"),
    )
    return {
        label: {
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
        for label, study in found.items()
    }


def slices_section(
    table: MoveTable, signals: Mapping[str, Signals], masks: Mapping[str, Mapping[str, np.ndarray]], setting: Judging
) -> list[dict[str, Any]]:
    """Forward moves of each detector in each of the slices of ``slice_masks``."""
    arguments = {label: (table, found, masks, setting.cooldown, SLICE_DRAWS, setting.seed) for label, found in signals.items()}
    found = for_each(sliced_moves, arguments, table.bars)
    return [{"detector": label, **row} for label, rows in found.items() for row in rows]


def regimes_section(regimes: Regimes) -> dict[str, Any]:
    """Share of the known rows in each regime, overall and by symbol."""
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
    """Total return of each strategy at each cost of a fill, and the cost at which the total return is zero."""
    sweep = cost_sweep(bars, {name: result.weights for name, result in backtests.items()}, costs=costs)
    rates = [column for column in sweep.columns if column != "break_even"]
    return {
        "rates": rates,
        "total_return": {str(name): [float(row[rate]) for rate in rates] for name, row in sweep.iterrows()},
        "break_even": {str(name): float(row["break_even"]) for name, row in sweep.iterrows()},
    }


def risk_section(backtests: Mapping[str, BacktestResult], bars: Bars, seed: int) -> tuple[dict[str, RiskPath], dict[str, Any]]:
    """Risk forecasts of each strategy and their tests; if the history is too short, no forecast and the reason."""
    arguments = {name: (result.returns, result.interval, result.time, seed) for name, result in backtests.items()}
    try:
        found = for_each(_tested_path, arguments, bars)
    except DataError as error:
        return {}, {"rows": [], "reason": str(error)}
    rows = [{"strategy": name, **row} for name, (_, tests) in found.items() for row in tests]
    return {name: path for name, (path, _) in found.items()}, {"rows": rows, "reason": ""}


def _tested_path(
    returns: np.ndarray, interval: np.timedelta64, time: np.ndarray, seed: int
) -> tuple[RiskPath, list[dict[str, Any]]]:
    path = risk_path(returns, interval, time)
    return path, path.tests(seed)

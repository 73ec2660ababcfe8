"""Sections of results.json, in JSON types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.detectors.base import Detector
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.universe import Membership
from foreshock.engine.risk.estimators.report import risk_report
from foreshock.engine.risk.performance import performance
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.forward import HorizonMoves
from foreshock.engine.validation.moves.slices import agreement, rank_stability
from foreshock.engine.validation.rungs.result import Found, RungTest
from foreshock.engine.validation.surrogates.calibration import measured
from foreshock.engine.validation.verdict import Surrogate
from foreshock.exploration.sections import paired, projection
from foreshock.plain import bars_section, versions
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.identity import Identity
from foreshock.study.judge import Judgement
from foreshock.study.sections import Circumstances, regimes_section
from foreshock.study.signals.description import deciles_section, distribution_section, profile_section
from foreshock.study.signals.detection import Detection
from foreshock.study.traded.trading import Traded

SCHEMA_VERSION = 1
# Alerts of two detectors up to this many bars apart are the same event.
AGREEMENT_BARS = 1
# Two-sided 5 % of a normal score.
TWO_SIDED = 1.96


def study_content(
    config: Mapping[str, Any],
    bars: Bars,
    drawn: Features,
    detectors: Mapping[str, Detector],
    scores: Mapping[str, Scores],
    signals: Mapping[str, Signals],
    judged: Judgement,
    around: Circumstances,
    traded: Traded | None,
    setting: Judging,
    detection: Detection,
    features: Features,
    told: Mapping[str, Mapping[str, Any]],
    members: Membership | None = None,
) -> dict[str, Any]:
    """The sections of results.json in their order, without backtests if ``traded`` is None.

    The detectors saw ``features``, a page draws ``drawn``, and ``told`` has the threshold and the gate of each detector.
    """
    backtests, regimes = {} if traded is None else traded.backtests, around.regimes
    return {
        "version": SCHEMA_VERSION,
        # False in a file that was written when the verdicts were known and the backtests were not.
        "complete": traded is not None,
        "config": config,
        "data": data_section(bars, setting.first),
        **({"universe": members.section()} if members is not None else {}),
        "detectors": {
            label: {
                **detector_section(detector, scores[label], signals[label], judged, label),
                **gated(told[label]),
                **({"detection": detection.detectors[label]} if label in detection.detectors else {}),
            }
            for label, detector in detectors.items()
        },
        **({"labels": detection.labels, "detection_pairs": detection.pairs} if detection.labels else {}),
        "forecasts": {"trees": judged.rungs.trees, "has_volume": judged.rungs.has_marks, "quality": judged.rungs.quality},
        "controls": controls_section(judged.rungs),
        "surrogates": surrogates_section(judged, bars.symbols),
        "calibration": calibration_section(),
        "evidence": {label: evidence_section(frames) for label, frames in judged.evidence.items()},
        "lead_lag": {label: asdict(found) for label, found in judged.lead_lag.items()},
        **_traded_sections(traded, backtests),
        "event_study": around.event_study,
        "regimes": regimes_section(regimes),
        "projection": projection(paired(drawn), regimes.labels, setting.seed, []),
        "profile": profile_section(features, signals),
        "distribution": distribution_section(scores, signals),
        "deciles": deciles_section(judged.table, scores, signals),
        "slices": around.slices,
        "rank_stability": rank_stability(around.slices),
        "agreement": agreement(signals, AGREEMENT_BARS),
        "seeds": {"study": setting.seed},
        "versions": versions(),
    }


def _traded_sections(traded: Traded | None, backtests: Mapping[str, BacktestResult]) -> dict[str, Any]:
    if traded is None:
        return {"backtests": {}, "failed_strategies": [], "random_draws": {}}
    return {
        "backtests": {who.name: backtest_section(who, result) for who, result in traded.accounts.items()},
        "failed_strategies": traded.failures,
        "risk": {name: risk_rows(result) for name, result in backtests.items()},
        "equity_by_month": months_section(backtests),
        "value_at_risk": traded.value_at_risk,
        "cost_sweep": traded.costs,
        "random_draws": traded.timings,
    }


def data_section(bars: Bars, first_test_row: int) -> dict[str, Any]:
    return {**bars_section(bars), "test_start": str(bars.time[first_test_row]), "test_end": str(bars.time[-1])}


def detector_section(detector: Detector, scores: Scores, signals: Signals, judged: Judgement, label: str) -> dict[str, Any]:
    verdict, surrogates = judged.verdicts[label], judged.surrogate(label) or {}
    return {
        "role": detector.role,
        "alert_rate": {"nominal": signals.nominal_rate, "realised": signals.alert_rate},
        "n_alerts": int(signals.active.sum()),
        "n_scored": int(signals.decided.sum()),
        "forward": {
            name: _horizon(
                moves,
                judged.q_matched[label][name],
                judged.evidence[label][name],
                surrogates.get(name),
                judged.rungs.found[label]["volatility"][name],
            )
            for name, moves in judged.forward[label].horizons.items()
        },
        "rungs": {
            rung: {name: asdict(found) for name, found in by_horizon.items()}
            for rung, by_horizon in judged.rungs.found[label].items()
        },
        "gains": {
            rung: {given: asdict(gain) for given, gain in gains.items()} for rung, gains in judged.rungs.gains[label].items()
        },
        "verdict": verdict.label,
        "verdict_horizon": verdict.horizon,
        "sentence": verdict.sentence,
        "fit_seconds": sum(fold.fit_seconds for fold in scores.folds),
        "score_seconds": sum(fold.score_seconds for fold in scores.folds),
        **facts_section(scores),
    }


def facts_section(scores: Scores) -> dict[str, Any]:
    """What is known of the fit of each fold, by name, such as the active units of a VAE; nothing for most detectors."""
    names = dict.fromkeys(name for fold in scores.folds for name in fold.facts)
    return {"fit_facts": {name: [fold.facts.get(name) for fold in scores.folds] for name in names}} if names else {}


def gated(told: Mapping[str, Any]) -> dict[str, Any]:
    """Threshold of a detector and, unless it is foreshock's own, what the causality gate found."""
    gate = told["gate"]
    return {"threshold": told["threshold"], **({"gate": asdict(gate)} if gate is not None else {})}


def _horizon(
    moves: HorizonMoves, q_matched: float, evidence: pd.DataFrame, surrogate: Surrogate | None, found: Found
) -> dict[str, Any]:
    """Figures of one horizon; ``q`` is that of the deciding test at the first rung."""
    drawn: dict[str, Any] = {"p_surrogate": None}
    if surrogate is not None:
        drawn = {"p_surrogate": surrogate.p, "q_surrogate": surrogate.q, "path_effect": math.exp(surrogate.excess)}
        drawn["path_effect_ci"] = [math.exp(bound) for bound in surrogate.ci]
    beside = {f"p_{name}": evidence.loc[name, "p"] for name in ("shift", "matched_shift", "hodrick", "regression", "qlike")}
    decided = {"expected_ratio": found.ratio, "expected_ci": list(found.ci), "p_expected": found.p, "q": found.q}
    return {**asdict(moves), **beside, "q_matched": q_matched, **drawn, **decided}


def controls_section(test: RungTest) -> dict[str, Any]:
    """Every negative control, and by rung and horizon how often they would have been told to add anything."""
    rows = [asdict(one) for one in test.controls]
    frame = pd.DataFrame(rows)
    known = frame[frame["z_raw"].notna() & frame["z"].notna()] if len(frame) else frame
    summary = []
    for (rung, horizon), part in known.groupby(["rung", "horizon"], sort=False) if len(known) else ():
        summary.append(
            {
                "rung": rung,
                "horizon": horizon,
                "n": len(part),
                "mean": float(part["z_raw"].mean()),
                "spread": float(part["z_raw"].std()),
                "found_raw": float((part["z_raw"].abs() > TWO_SIDED).mean()),
                "found": float((part["z"].abs() > TWO_SIDED).mean()),
            }
        )
    return {"summary": summary, "rows": rows}


def evidence_section(frames: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """One row for each test of each horizon."""
    return {
        name: [{str(key): value for key, value in row.items()} for row in frame.reset_index().to_dict("records")]
        for name, frame in frames.items()
    }


def calibration_section() -> list[dict[str, Any]]:
    """Measured size and power of the surrogate test."""
    return [asdict(row) for row in measured()]


def surrogates_section(judged: Judgement, symbols: Sequence[str]) -> dict[str, Any]:
    """Model of the surrogates, and t of the data with the mean and standard deviation of t on the surrogates."""
    test = judged.surrogates
    if test is None:
        return {"n": 0, "notes": [judged.why_none]}
    return {
        "n": test.n_surrogates,
        "family": dict(zip(symbols, test.family, strict=True)),
        "notes": list(test.notes),
        "t": {label: test.by_horizon(label, test.t) for label in test.detectors},
        "t_surrogate_mean": {label: test.by_horizon(label, test.drawn.mean(axis=0)) for label in test.detectors},
        "t_surrogate_std": {label: test.by_horizon(label, test.drawn.std(axis=0)) for label in test.detectors},
    }


def backtest_section(identity: Identity, result: BacktestResult) -> dict[str, Any]:
    years = len(result.time) * (result.interval / np.timedelta64(365, "D"))
    return {
        **asdict(identity),
        **asdict(performance(result.returns, result.interval)),
        "turnover": float(result.turnover.sum() / years),
        "costs": result.costs,
        "exposure": float(result.exposure.mean()),
        "n_trades": len(result.trades),
        "deflated_sharpe": None,
    }


def months_section(backtests: Mapping[str, BacktestResult]) -> dict[str, Any]:
    """Equity of each strategy at its last close in each month (UTC)."""
    first = next(iter(backtests.values()))
    # A bar that closes at midnight at the end of a month counts towards that month.
    closes = first.time + first.interval - np.timedelta64(1, "us")
    months, from_the_end = np.unique(closes.astype("datetime64[M]")[::-1], return_index=True)
    last = len(first.time) - 1 - from_the_end
    return {"months": list(map(str, months)), "equity": {name: result.equity[last] for name, result in backtests.items()}}


def risk_rows(result: BacktestResult) -> list[dict[str, Any]]:
    """VaR and CVaR of one strategy, one row for each estimator, level and period."""
    table = risk_report(result.returns, interval=result.interval, time=result.time).reset_index()
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]

"""The tables of a study: verdicts, forward moves, returns, risk, timing, alert rates."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import ratio_range
from foreshock.reports.parts.tables import Cell, Column, Strip, Table, cell, header, measure, words
from foreshock.reports.study.order import (
    deciding_ratio,
    decisive,
    detectors_by_verdict,
    forecasts_decide,
    has_surrogates,
    n_groups,
    on_rung,
    strategies_in_order,
    strategy_kind,
    verdict_kind,
    verdict_rank,
)
from foreshock.reports.study.own import facts_text, threshold_text
from foreshock.reports.study.rungs import halves
from foreshock.strategies.identity import RANDOM, STRATEGY
from foreshock.strategies.luck import RUIN

# Anomaly avoidance, its random timings and two baselines.
N_ALONE = 4
# Note below a detector's name, by its role.
DETECTOR_ROLES = {"detector": "", "baseline": "baseline", "oracle": "the truth"}
FORWARD_TESTS = {
    "p_naive": ("p naive",),
    "p_hac": ("p HAC",),
    "p_shift": ("p shift",),
    "p_hodrick": ("p Hodrick",),
    "p_matched": ("p matched",),
    "q_matched": ("q matched", "all tests"),
    "p_matched_shift": ("p matched", "and shifted"),
    "p_regression": ("p regression",),
    "p_qlike": ("p QLIKE",),
    "p_expected": ("p forecast",),
    "p_surrogate": ("p surrogates",),
}


def verdict_table(results: Mapping[str, Any]) -> Table:
    """One row for each detector: verdict, and evidence in numbers and as a miniature interval plot."""
    names = detectors_by_verdict(results)
    forecasts = forecasts_decide(results)
    ratio, bounds, label = deciding_ratio(results)
    place = _scale([decisive(results["detectors"][name])[1] for name in names], ratio, bounds)
    shown = {decisive(results["detectors"][name])[0] for name in names}
    horizons = [horizon for horizon in results["detectors"][names[0]].get("forward") or {} if horizon in shown] if names else []
    # The p of the deciding test is shown below its q.
    drawn = has_surrogates(results)
    p, adjusted = ("p_surrogate", "family-wise") if drawn else ("p_matched", "all tests")
    if forecasts:
        p, adjusted = "p_expected", "all tests"
    rows = []
    for name in names:
        detector = results["detectors"][name]
        horizon, moves = decisive(detector)
        first, second = on_rung(detector, 0, horizon), on_rung(detector, 1, horizon)
        rate = detector.get("alert_rate") or {}
        verdict = detector.get("verdict")
        order = verdict_rank(verdict)
        volumes = [cell(second.get("ratio"), fmt.ratio, fmt.interval(second.get("ci")))]
        matched = [cell(moves.get("matched_ratio"), fmt.ratio, fmt.interval(moves.get("ci")))]
        power = [cell(first.get("detectable"), fmt.ratio), Cell(halves(first))]
        rows.append(
            [
                header(name, DETECTOR_ROLES[detector["role"]]),
                Cell(verdict or fmt.DASH, detector.get("sentence") or "", order, "badge " + verdict_kind(verdict)),
                cell(moves.get(ratio), fmt.ratio, fmt.interval(moves.get(bounds))),
                Cell("", sort=moves.get(ratio), kind="strip", strip=_strip(moves, place, ratio, bounds, label)),
                *(volumes if forecasts else []),
                cell(moves.get("abs_move_ratio"), fmt.ratio, fmt.interval(moves.get("abs_move_ratio_ci"))),
                *(matched if drawn and not forecasts else []),
                cell(moves.get("q"), fmt.p_value, "p " + fmt.p_value(moves.get(p))),
                *(power if forecasts else []),
                cell((first or moves).get("n_events"), fmt.count, fmt.count(moves.get("n_effective")) + " apart"),
                cell(rate.get("realised"), lambda value: fmt.percent(value, 2), "of " + fmt.percent(rate.get("nominal"), 2)),
            ]
        )
    caption = "Verdict per detector" + (f" at horizon {', '.join(horizons)}" if horizons else "") + ", strongest first"
    columns = [
        Column("Detector", kind="text"),
        Column("Verdict", kind="text"),
        Column(label, "of prices, 95 % interval" if forecasts else "95 % interval"),
        Column("◆ and raw ○", "line at 1.0", "strip"),
        *([Column("Beyond volumes", "95 % interval")] if forecasts else []),
        Column("Raw ratio", "95 % interval"),
        *([Column("Matched ratio", "95 % interval")] if drawn and not forecasts else []),
        Column("q", adjusted),
        *([Column("Detectable", "smallest ratio"), Column("Halves", "first / second")] if forecasts else []),
        Column("n events"),
        Column("Alert rate", "realised of nominal"),
    ]
    return Table("verdicts", caption, columns, rows)


def _scale(rows: Iterable[Mapping[str, Any]], ratio: str, interval: str) -> Callable[[float | None], float | None]:
    points, bounds = [1.0], []
    for moves in rows:
        points += [moves.get("abs_move_ratio"), moves.get(ratio)]
        bounds += list(moves.get(interval) or [])
    points = [x for x in points if x is not None and fmt.known(x)]
    low, high = ratio_range(points, [x for x in bounds if fmt.known(x)])
    return lambda x: None if x is None or not fmt.known(x) else min(max((x - low) / (high - low), 0.0), 1.0)


def _strip(moves: Mapping[str, Any], place: Callable[[float | None], float | None], ratio: str, interval: str, label: str) -> Strip:
    low, high = moves.get(interval) or (None, None)
    words = f"{label} {fmt.ratio(moves.get(ratio))}, interval {fmt.interval(moves.get(interval))}"
    one = place(1.0)
    assert one is not None
    return Strip(one, place(low), place(high), place(moves.get(ratio)), place(moves.get("abs_move_ratio")), words)


def forward_table(results: Mapping[str, Any]) -> Table:
    """Every detector at every horizon, with all tests."""
    forecasts, drawn = forecasts_decide(results), has_surrogates(results)
    missing = {"p_surrogate": not drawn, "p_expected": not forecasts}
    tests = {key: label for key, label in FORWARD_TESTS.items() if not missing.get(key)}
    beyond = [("expected_ratio", "expected_ci")] if forecasts else []
    beyond += [("path_effect", "path_effect_ci")] if drawn else []
    decided = "all tests, forecasts" if forecasts else "surrogates, family-wise" if drawn else "matched, all tests"
    rows = []
    for name in detectors_by_verdict(results):
        for horizon, moves in (results["detectors"][name].get("forward") or {}).items():
            rows.append(
                [
                    header(name),
                    Cell(horizon, kind="text"),
                    *(cell(moves.get(key), fmt.count) for key in ("n_events", "n_effective", "n_controls")),
                    *(cell(moves.get(key), fmt.bps) for key in ("event_move", "other_move", "matched_move")),
                    cell(moves.get("abs_move_ratio"), fmt.ratio, fmt.interval(moves.get("abs_move_ratio_ci"))),
                    cell(moves.get("matched_ratio"), fmt.ratio, fmt.interval(moves.get("ci"))),
                    *(_beyond(moves, *keys) for keys in beyond),
                    *(cell(moves.get(key), fmt.p_value) for key in tests),
                    cell(moves.get("q"), fmt.p_value),
                ]
            )
    columns = [
        Column("Detector", kind="text"),
        Column("Horizon", kind="text"),
        Column("n events"),
        Column("n effective"),
        Column("n controls"),
        Column("After a signal", "mean |move|, bps"),
        Column("After other bars", "mean |move|, bps"),
        Column("After matched bars", "mean |move|, bps"),
        Column("Raw ratio", "95 % interval"),
        Column("Matched ratio", "95 % interval"),
        *([Column("Beyond the forecast", "95 % interval")] if forecasts else []),
        *([Column("Beyond surrogates", "95 % interval")] if drawn else []),
        *(Column(*label) for label in tests.values()),
        Column("q", decided),
    ]
    return Table("forward-table", "Forward moves at every horizon, with every test", columns, rows)


def _beyond(moves: Mapping[str, Any], ratio: str, interval: str) -> Cell:
    return cell(moves.get(ratio), fmt.ratio, fmt.interval(moves.get(interval)))


def detection_table(results: Mapping[str, Any]) -> Table | None:
    """Detection of labelled events, for the detectors with labels; None without labels."""
    names = [name for name in detectors_by_verdict(results) if results["detectors"][name].get("detection")]
    measures = list(dict.fromkeys(key for name in names for key in results["detectors"][name]["detection"]))
    if not names:
        return None
    rows = [
        [
            header(name, "baseline" if results["detectors"][name]["role"] == "baseline" else ""),
            *(measure(key, results["detectors"][name]["detection"].get(key)) for key in measures),
        ]
        for name in names
    ]
    columns = [Column("Detector", kind="text"), *(Column(words(key)) for key in measures)]
    return Table("detection", "Detection of the labelled events", columns, rows)


def returns_table(results: Mapping[str, Any]) -> Table:
    """Return, risk and cost of each strategy."""
    rows = []
    for name in strategies_in_order(results["backtests"], results):
        backtest = results["backtests"][name]
        kind = strategy_kind(name, results)

        def percents(key: str, digits: int = 1, below: str = "", backtest: Mapping[str, Any] = backtest) -> Cell:
            detail = fmt.percent(backtest.get(below), digits) if below else ""
            return cell(backtest.get(key), lambda value: fmt.percent(value, digits), detail)

        rows.append(
            [
                header(name, {STRATEGY: "", RANDOM: "the median draw"}.get(kind, kind)),
                percents("total_return"),
                percents("annual_return"),
                percents("annual_volatility"),
                cell(backtest.get("sharpe"), fmt.ratio, fmt.interval(backtest.get("sharpe_ci"))),
                *(cell(backtest.get(key), fmt.ratio) for key in ("deflated_sharpe", "sortino", "calmar")),
                percents("max_drawdown"),
                percents("var_95", 2, below="cvar_95"),
                percents("var_99", 2, below="cvar_99"),
                percents("exposure"),
                cell(backtest.get("turnover"), fmt.ratio),
                percents("costs", 2),
            ]
        )
    columns = [
        Column("Strategy", kind="text"),
        Column("Return", "total"),
        Column("Return", "a year"),
        Column("Volatility", "a year"),
        Column("Sharpe", "95 % interval"),
        Column("Sharpe", "deflated"),
        Column("Sortino"),
        Column("Calmar"),
        Column("Drawdown", "largest"),
        Column("VaR 95 %", "CVaR below"),
        Column("VaR 99 %", "CVaR below"),
        Column("Exposure", "mean"),
        Column("Turnover", "a year"),
        Column("Costs", "of the start"),
    ]
    caption = "Return, risk and cost of each strategy, out of sample; losses are positive, VaR and CVaR are per bar"
    return Table("returns", caption, columns, rows)


def months_table(results: Mapping[str, Any]) -> Table | None:
    """Equity of each strategy at the end of each month; None if not known."""
    found = results.get("equity_by_month") or {}
    names = strategies_in_order(found.get("equity") or {}, results)
    if not names:
        return None
    # A column for every draw in the middle would push the strategies apart.
    names = names if n_groups(names, results) <= N_ALONE else [name for name in names if strategy_kind(name, results) != RANDOM]
    rows = [
        [header(month), *(cell(found["equity"][name][i], fmt.ratio) for name in names)] for i, month in enumerate(found["months"])
    ]
    columns = [Column("Month", kind="text"), *(Column(name) for name in names)]
    return Table("months", "Equity at the last close of each month, start = 1", columns, rows)


def risk_table(results: Mapping[str, Any]) -> Table | None:
    """VaR and CVaR by estimator, one column for each level and period; None without estimates."""
    risk = results.get("risk") or {}
    entries = [(name, entry) for name in strategies_in_order(risk, results) for entry in risk[name]]
    looks = list(dict.fromkeys((entry["period"], entry["level"]) for _, entry in entries))
    looks.sort(key=lambda look: (look[0] != "bar", look))
    found = {(name, entry["estimator"], entry["period"], entry["level"]): entry for name, entry in entries}
    if not entries:
        return None
    rows = []
    for name, estimator in dict.fromkeys((name, entry["estimator"]) for name, entry in entries):
        row = [header(name), Cell(words(estimator), sort=estimator)]
        for look in looks:
            entry = found.get((name, estimator, *look), {})
            kind = "invalid" if entry.get("valid") is False else ""
            row += [cell(entry.get(key), lambda value: fmt.percent(value, 2), kind=kind) for key in ("var", "cvar")]
        rows.append(row)
    columns = [Column("Strategy", kind="text"), Column("Estimator", kind="text")]
    for period, level in looks:
        columns += [Column(f"{measure} {fmt.percent(level, 0)}", "per " + period) for measure in ("VaR", "CVaR")]
    caption = "VaR and CVaR by estimator; losses are positive. † marks an estimate outside its estimator's valid range"
    return Table("risk", caption, columns, rows)


def timing_table(results: Mapping[str, Any], draws: Mapping[str, Mapping[str, Any]]) -> Table:
    """Each avoidance strategy compared with random timing of the same exposure."""
    rows = []
    for name in strategies_in_order(draws, results):
        drawn = draws[name]
        low, middle, high = draw_quantiles(drawn, (0.05, 0.5, 0.95))
        rows.append(
            [
                header(name),
                cell((results["backtests"].get(name) or {}).get("total_return"), fmt.percent),
                cell(middle, fmt.percent),
                Cell(fmt.interval([low, high], fmt.percent)),
                cell(drawn.get("percentile"), fmt.percent),
                Cell(fmt.interval(drawn.get("interval") or [None, None], fmt.percent)),
                cell(drawn.get("n_draws"), fmt.count),
                cell(drawn.get("widening"), fmt.ratio),
            ]
        )
    columns = [
        Column("Strategy", kind="text"),
        Column("Return", "total"),
        Column("Random timing", "median return"),
        Column("Random timing", "5 % to 95 %"),
        Column("Draws beaten", "share of draws"),
        Column("Draws beaten", "95 % interval"),
        Column("n draws"),
        Column("Widened", "spread of the draws, times"),
    ]
    return Table("timing-table", "Total return against random timing of the same exposure", columns, rows)


def draw_quantiles(drawn: Mapping[str, Any], levels: tuple[float, ...]) -> list[float | None]:
    """Quantiles of the total returns of the random draws, widened as they are counted; None if no draw is known."""
    returns = np.array([value for value in drawn.get("total_returns") or [] if value is not None], dtype=float)
    if not returns.size:
        return [None] * len(levels)
    # Quantiles pass through an increasing function, so that those of returns are those of log returns.
    logs = np.log(np.maximum(1 + returns, RUIN))
    wide = drawn.get("widening") if fmt.known(drawn.get("widening")) else 1.0
    return [float(value) for value in np.expm1(np.quantile(logs.mean() + (logs - logs.mean()) * wide, levels))]


def alert_table(results: Mapping[str, Any]) -> Table:
    """Realised and nominal alert rate, threshold and running time of each detector."""
    rows = []
    for name in detectors_by_verdict(results):
        detector = results["detectors"][name]
        rate = detector.get("alert_rate") or {}
        nominal, realised = rate.get("nominal"), rate.get("realised")
        times = realised / nominal if fmt.known(realised) and fmt.known(nominal) and nominal else None
        rows.append(
            [
                header(name),
                *(cell(value, lambda value: fmt.percent(value, 2)) for value in (nominal, realised)),
                cell(times, fmt.ratio),
                cell(detector.get("n_alerts"), fmt.count),
                Cell(threshold_text(detector.get("threshold"))),
                cell(detector.get("fit_seconds"), fmt.seconds, facts_text(detector.get("fit_facts"))),
                cell(detector.get("score_seconds"), fmt.seconds),
            ]
        )
    columns = [
        Column("Detector", kind="text"),
        Column("Nominal", "share of bars"),
        Column("Realised", "share of bars"),
        Column("Realised / nominal"),
        Column("n alerts"),
        Column("Threshold", kind="text"),
        Column("Fit"),
        Column("Score"),
    ]
    return Table("alert-table", "Realised against nominal alert rate, and running time", columns, rows)

"""The evidence behind a verdict: every test, from the naive one upwards, on one history and one set of alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_array, check_integer, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration, bars_in
from foreshock.data.show.shown import few, shown
from foreshock.engine.kernels.rolling import rolling_mean_nb
from foreshock.engine.scores import Signals, thin
from foreshock.engine.validation.evidence.direction import Direction, direction
from foreshock.engine.validation.evidence.inference import (
    Estimate,
    bootstrap_estimate,
    dummy_slope,
    from_error,
    hac_mean_p,
    hac_variance,
    hodrick_variance,
    stationary_block,
    stationary_bootstrap,
    unknown,
)
from foreshock.engine.validation.evidence.qlike import qlike_gain, walk_forward_log_path
from foreshock.engine.validation.evidence.regression import control_design, volatility_regression
from foreshock.engine.validation.evidence.shift import shift_test
from foreshock.engine.validation.moves.forward import Comparison, MoveTable, compare
from foreshock.engine.validation.moves.lead_lag import surprises
from foreshock.engine.validation.moves.moves import Moves

OTHERS = "other rows"
# What each test controls for, from the weakest test to the strongest.
CONTROLS = {
    "naive": "nothing",
    "hac": "overlap of moves, symbols that move together",
    "bootstrap": "the same, without a normal distribution",
    "shift": "the same, and alerts that come in clusters",
    "hodrick": "volatility visible one bar before each bar, overlap",
    "matched": "volatility visible at the alert (HAR, season)",
    "matched_shift": "the same, and alerts that come in clusters",
    "regression": "volatility visible at the alert (GARCH, HAR, realised, season), coefficients of the whole history",
    "qlike": "volatility visible at the alert (HAR, season), forecast out of sample",
    "surrogate": "everything that volatility does, by histories made of it",
    "direction": "direction, not size: overlap, symbols that move together",
    "hit_rate": "direction, not size: overlap, symbols that move together",
}
NAIVE_WARNING = "a warning, not evidence: takes overlapping moves for independent ones, and any echo of volatility passes"


class EvidenceTable:
    """Moves, expectations and controls of one history, shared by the tests of all detectors of a study.

    Parameters
    ----------
    table : MoveTable
        Moves of the history.
    garch : dict of str to ndarray, shape (n_bars, n_symbols), optional
        By horizon of ``table``: volatility or move forecast by a GARCH model at the close of each row, above 0. A horizon without
        one is regressed on HAR terms and realised volatility only, and the result says so.

    Raises
    ------
    ConfigError
        If ``garch`` has a horizon that ``table`` lacks, or an array of another shape.
    """

    def __init__(self, table: MoveTable, garch: Mapping[str, np.ndarray] | None = None) -> None:
        self.table, self.garch = table, dict(garch or {})
        for name, forecast in self.garch.items():
            if name not in table.entries:
                raise ConfigError(f"garch must have horizons among {few(table.entries)}, got {shown(name)}; compute the others")
            if forecast.shape != table.bars.shape:
                raise ConfigError(f"garch[{shown(name)}] must have the shape of the bars, {table.bars.shape}, got {forecast.shape}")
        bars = table.bars
        self.returns = bars.returns()
        self.design = control_design(bars)
        self.surprise = surprises(bars)
        self.log_path = {name: walk_forward_log_path(bars, moves) for name, (moves, _) in table.entries.items()}


@dataclass(frozen=True)
class HorizonEvidence:
    """Every test of one detector over one horizon except the surrogate test; ratios divide events by what they are compared with.

    ``naive`` to ``shift`` compare absolute moves with those of other rows; ``hodrick`` adds up bars, each relative to what was
    expected of it one bar before; ``matched`` and ``matched_shift`` divide absolute moves by those of equally volatile rows;
    ``regression`` uses the path; ``qlike`` is a difference of losses, also of the path.
    """

    horizon: str
    naive: Estimate
    hac: Estimate
    bootstrap: Estimate
    shift: Estimate
    hodrick: Estimate
    matched: Estimate
    matched_shift: Estimate
    regression: Estimate
    qlike: Estimate
    direction: Direction

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Estimates by test, from the weakest test to the strongest, then those of direction."""
        tests = {name: getattr(self, name) for name in CONTROLS if isinstance(getattr(self, name, None), Estimate)}
        return {**tests, "direction": self.direction.move, "hit_rate": self.direction.hit}

    @property
    def p_values(self) -> dict[str, float]:
        """p-values with the keys of results.json: ``p_naive``, ``p_hac``, ``p_shift`` and so on."""
        found = {f"p_{name}": estimate.p for name, estimate in self.estimates.items()}
        return {**found, "p_direction_hodrick": self.direction.p_hodrick}


def horizon_evidence(
    table: EvidenceTable,
    signals: Signals,
    horizon: str,
    cooldown: Duration | None = None,
    n_bootstrap: int = 999,
    n_shifts: int = 999,
    seed: int = 0,
) -> HorizonEvidence:
    """All tests of one detector over one horizon of the table; see ``evidence``."""
    bars = table.table.bars
    if not np.array_equal(bars.time, signals.time) or bars.symbols != signals.symbols:
        raise DataError("signals must be on the rows and symbols of the bars; compute them from features of the same bars")
    if horizon not in table.table.entries:
        raise ConfigError(f"horizon must be one of {few(table.table.entries)}, got {shown(horizon)}; add it to the table")
    moves, forecast = table.table.entries[horizon]
    events = signals.active if cooldown is None else thin(signals.active, bars_in(cooldown, bars.interval, "cooldown"))
    found = compare(moves, forecast, events, signals.decided & ~signals.active)
    decided, y, lags = found.events | found.others, moves.absolute, found.block
    n, n_events = int(decided.sum()), int(found.events.sum())
    raw, matched = _bootstraps(found, y, n, n_events, n_bootstrap, seed)
    surprise = y / np.exp(forecast)
    return HorizonEvidence(
        horizon=horizon,
        naive=_naive(y, found, n, n_events),
        hac=_ratio_of_means(y, found, lags),
        bootstrap=raw,
        shift=shift_test(y, found.events, decided, lags, n_shifts, seed),
        hodrick=_bar_by_bar(table.surprise, found, moves),
        matched=matched,
        matched_shift=shift_test(surprise, found.events, decided, lags, n_shifts, seed),
        regression=volatility_regression(moves.path, found.events, decided, table.design, forecast, lags, table.garch.get(horizon)),
        qlike=qlike_gain(moves, found.events, decided, table.log_path[horizon], lags),
        direction=direction(moves.signed, table.returns, found.events, found.others, moves.horizon, lags, moves.delay),
    )


@door
def evidence(
    bars: Bars,
    signals: Signals,
    horizon: Duration,
    delay: int = 1,
    cooldown: Duration | None = None,
    garch: np.ndarray | None = None,
    surrogate: Estimate | None = None,
    n_bootstrap: int = 999,
    n_shifts: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Every test of one detector over one horizon, from the naive one to the surrogate histories.

    Parameters
    ----------
    bars : Bars
        Prices.
    signals : Signals
        Alerts on the rows and symbols of ``bars``.
    horizon : str
        Length of the moves, such as ``"6h"``.
    delay : int
        Bars from signal to entry, at least 1.
    cooldown : str, optional
        After an event, alerts of the same symbol within this time are neither events nor other rows.
    garch : ndarray, shape (n_bars, n_symbols), optional
        GARCH forecast for the horizon at the close of each row, above 0; an additional regressor.
    surrogate : Estimate, optional
        Result of the surrogate test; without it the row of that test says "not run".
    n_bootstrap, n_shifts, seed : int
        Draws of the bootstrap, shifts of the shift tests, and their seed.

    Returns
    -------
    DataFrame
        One row per ``test``, the index: ``estimate``, ``low``, ``high`` (95 %), ``p`` (two-sided; one-sided for the QLIKE gain and
        the surrogate test), ``null`` (the value of the estimate without an effect), ``n_events``, ``n``, ``compared_with``,
        ``controls_for`` and ``note``: a warning, or why a figure is NaN.

    Raises
    ------
    ConfigError
        If the horizon is longer than the data, or delay is below 1.
    DataError
        If signals and bars do not cover the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> table = fs.evidence(bars, scores.signals(fs.Fixed(2.0)), "6h", n_bootstrap=99, n_shifts=99)
    >>> table.loc[["naive", "matched"], ["estimate", "p", "n_events"]].round(2)
             estimate     p  n_events
    test
    naive        0.71  0.13        13
    matched      0.68  0.11         9
    """
    if surrogate is not None:
        check_type("surrogate", surrogate, Estimate, "leave it out")
    if garch is not None:
        check_array("garch", garch)
    check_integer("n_bootstrap", n_bootstrap)
    check_integer("n_shifts", n_shifts)
    check_integer("seed", seed)
    check_type("signals", signals, Signals, "make them with Scores.signals")
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    moves = MoveTable(bars, [horizon], delay)
    (name,) = moves.entries
    table = EvidenceTable(moves, None if garch is None else {name: garch})
    found = horizon_evidence(table, signals, name, cooldown, n_bootstrap, n_shifts, seed)
    return evidence_frame(found, surrogate)


def evidence_frame(found: HorizonEvidence, surrogate: Estimate | None = None) -> pd.DataFrame:
    """The rows of ``evidence``."""
    estimates = found.estimates
    estimates["surrogate"] = surrogate or unknown("not run", found.hac.n, found.hac.n_events, "the detector on surrogate histories")
    rows = []
    for test, controls in CONTROLS.items():
        estimate = estimates[test]
        low, high = estimate.ci
        rows.append(
            {
                "test": test,
                "estimate": estimate.value,
                "low": low,
                "high": high,
                "p": estimate.p,
                "null": estimate.null,
                "n_events": estimate.n_events,
                "n": estimate.n,
                "compared_with": estimate.against,
                "controls_for": controls,
                "note": estimate.reason or (NAIVE_WARNING if test == "naive" else ""),
            }
        )
    return pd.DataFrame(rows).set_index("test")


def _naive(y: np.ndarray, found: Comparison, n: int, n_events: int) -> Estimate:
    event, other = y[found.events], y[found.others]
    if min(len(event), len(other)) < 2 or not other.mean() > 0:
        return unknown("fewer than 2 events or other rows, or no move at all", n, n_events, OTHERS)
    error = np.sqrt(event.var(ddof=1) / len(event) + other.var(ddof=1) / len(other))
    return from_error(float(event.mean() / other.mean()), float(error / other.mean()), n, n_events, OTHERS)


def _ratio_of_means(y: np.ndarray, found: Comparison, lags: int) -> Estimate:
    """Mean of events over mean of other rows, with errors of Driscoll and Kraay."""
    known = found.events | found.others
    n, n_events = int(known.sum()), int(found.events.sum())
    slope = dummy_slope(y, found.events, known)
    if slope is None or not slope.base > 0:
        return unknown("fewer than 2 events or other rows, or no move at all", n, n_events, OTHERS)
    error = float(np.sqrt(hac_variance(slope.influence, lags))) / slope.base
    return from_error(1 + slope.value / slope.base, error, n, n_events, OTHERS)


def _bootstraps(found: Comparison, y: np.ndarray, n: int, n_events: int, n_draws: int, seed: int) -> tuple[Estimate, Estimate]:
    """The raw ratio by stationary bootstrap, and the matched ratio with its bootstrap interval; the p of the latter allows for the
    error of the match."""
    rows = "the nearest 50 rows by expected volatility"
    n_matched = int(found.matched.sum())
    slope = dummy_slope(y, found.events, found.events | found.others)
    if slope is None or not slope.base > 0:
        reason = "fewer than 2 events or other rows, or no move at all"
        return unknown(reason, n, n_events, OTHERS), unknown(reason, n, n_matched, rows)
    draws = stationary_bootstrap(found.sums, stationary_block(slope.influence, found.block), n_draws, seed)
    raw = bootstrap_estimate(found.sums.raw_ratio(), draws[:, 0], n, n_events, OTHERS)
    matched = bootstrap_estimate(found.sums.matched_ratio(), draws[:, 1], n, n_matched, rows)
    if n_matched < 2:
        return raw, unknown("fewer than 2 events found rows as volatile", n, n_matched, rows)
    p = hac_mean_p(y - found.expected, found.matched, found.block, -found.match_error)
    return raw, Estimate(matched.value, matched.ci, p, n, n_matched, rows, reason=matched.reason)


def _bar_by_bar(surprise: np.ndarray, found: Comparison, moves: Moves) -> Estimate:
    """Mean surprise of the bars of the move after events over that after other rows, with errors of Hodrick."""
    against = f"{OTHERS}, each bar over what was expected one bar before"
    y = np.full(surprise.shape, np.nan)
    ahead = moves.delay + moves.horizon - 1
    y[: len(y) - ahead] = rolling_mean_nb(surprise, moves.horizon, 0)[ahead:] if moves.horizon > 1 else surprise[ahead:]
    known = (found.events | found.others) & ~np.isnan(y)
    n, n_events = int(known.sum()), int((found.events & known).sum())
    slope = dummy_slope(y, found.events & known, known)
    if slope is None or not slope.base > 0:
        return unknown("fewer than 2 events or other rows, or no volatility is known", n, n_events, against)
    variance = hodrick_variance(surprise, found.events & known, known, moves.horizon, moves.delay) / moves.horizon**2
    return from_error(1 + slope.value / slope.base, float(np.sqrt(variance)) / slope.base, n, n_events, against)

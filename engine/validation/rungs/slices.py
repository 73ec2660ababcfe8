"""The deciding test in slices of the history: the alerts of one year, asset or regime, against the forecast of a rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.linalg import cho_factor, cho_solve

from foreshock.engine.scores import Signals, thin
from foreshock.engine.validation.evidence.inference import hac_variance
from foreshock.engine.validation.rungs.calibration import Calibration, sampling_error
from foreshock.engine.validation.rungs.effects import (
    LEAST_EVENTS,
    PROFILE,
    RIDGE,
    ROWS_PER_COLUMN,
    Effect,
    EventEffects,
    SymbolLines,
    in_cooldown,
    kept_share,
    moments_of,
    normal_score,
)

# Lines that are multiplied at once, few enough for their products to stay in the cache of a processor.
BLOCK = 1_024


@dataclass(frozen=True)
class InSlice:
    """The deciding test of the alerts in one slice, at one rung and horizon.

    Parameters
    ----------
    n_events : int
        Alerts used.
    ratio : float
        Activity after alerts over that which the forecast and the controls expect; NaN with fewer than eight alerts.
    ci : tuple of float
        95 % interval of ``ratio``, calibrated.
    z, p : float
        Calibrated normal score, and its two-sided p; NaN where the test could not be calibrated.
    """

    n_events: int
    ratio: float
    ci: tuple[float, float]
    z: float
    p: float


def in_slice(effect: Effect, fit: Calibration) -> InSlice:
    """An effect of ``sliced_effects``, less the bias that negative controls have in the circumstances of its alerts."""
    bias, spread = fit.at(effect, 0)
    calibrated = not np.isnan(spread)
    middle = float(effect.effect[0]) - (bias if calibrated else 0.0)
    error = sampling_error(effect, 0) * (spread if calibrated else 1.0)
    z = middle / error if calibrated else float("nan")
    ci = float(np.exp(middle - 1.96 * error)), float(np.exp(middle + 1.96 * error))
    return InSlice(effect.n_events, float(np.exp(middle)), ci, z, float(2 * stats.norm.sf(abs(z))))


@dataclass(frozen=True)
class _Events:
    """The events of one symbol in one slice, the ``place``-th.

    Their rows, what the controls leave of dummy and target, leverage, and what is known at them; the coefficients of the controls,
    the last of which is the level of the slice; over all lines used the sums of the squared dummy and of dummy times target, and
    the moments of what is known; and number and sum of what is known of those inside the slice.
    """

    place: int
    rows: np.ndarray
    dummy: np.ndarray
    residual: np.ndarray
    leverage: np.ndarray
    known: np.ndarray
    of_dummy: np.ndarray
    of_target: np.ndarray
    spread: float
    product: float
    moments: np.ndarray
    n_inside: int
    known_inside: np.ndarray


def sliced_effects(test: EventEffects, alerts: Signals, masks: Sequence[np.ndarray], horizon: int) -> list[Effect]:
    """Effect of the alerts in each slice beyond what the controls say, and beyond the level of activity in the slice.

    This is ``EventEffects.of`` of the events in the slice, with a dummy for the slice among the controls: a forecast that is too
    high or too low for a whole year says nothing about the alerts of that year. The other events and their cool-downs are left out.
    Events are those of the full history, so those of the years are together all events.

    Parameters
    ----------
    test : EventEffects
        Regression of a rung.
    alerts : Signals
        Alerts of a detector.
    masks : sequence of ndarray of bool
        Slices; they broadcast to (n_rows, n_symbols).
    horizon : int
        Index of the horizon.

    Returns
    -------
    list of Effect
        One for each slice, with arrays of this horizon alone, (1,).
    """
    events = thin(alerts.active & alerts.decided, test.cooldown)
    others = alerts.decided & ~alerts.active & ~in_cooldown(events, test.cooldown)
    n = len(masks)
    found: list[list[_Events]] = [[] for _ in masks]
    by_symbol: list[tuple[SymbolLines, np.ndarray, np.ndarray, list[_Events]]] = []
    for i, lines in enumerate(test.symbols):
        if lines is None or not events[lines.rows, i].any():
            continue
        usual, event = others[lines.rows, i], events[lines.rows, i]
        inside = np.column_stack([np.broadcast_to(mask, events.shape)[lines.rows, i] for mask in masks])
        parts = _regressions(lines, usual, event, inside, horizon)
        by_symbol.append((lines, usual, inside, parts))
        for part in parts:
            found[part.place].append(part)
    n_events = np.array([sum(len(part.rows) for part in parts) for parts in found])
    enough = n_events >= LEAST_EVENTS
    spread = np.array([sum(part.spread for part in parts) for parts in found])
    product = np.array([sum(part.product for part in parts) for parts in found])
    effect = np.divide(product, spread, out=np.full(n, np.nan), where=enough)
    influence, own = np.zeros((n, test.n_rows - test.first)), np.zeros(n)
    for lines, usual, inside, parts in by_symbol:
        _add_influence(lines, usual, inside, [part for part in parts if enough[part.place]], horizon, test.first, effect, influence)
        for part in parts:
            score = part.dummy * (part.residual - part.dummy * effect[part.place])
            score /= kept_share(part.leverage, part.dummy, spread[part.place])
            influence[part.place, part.rows - test.first] += score
            own[part.place] += float(score @ score)
    lags = 2 * test.horizons[horizon]
    out = []
    for k, parts in enumerate(found):
        value, error = np.array([effect[k]]), np.array([np.nan])
        state, profile = np.array([np.nan]), np.full(len(PROFILE), np.nan)
        if enough[k]:
            error = np.sqrt([max(hac_variance(influence[k], lags), own[k])]) / spread[k]
            state, profile = _circumstances(parts, horizon, len(test.horizons))
        out.append(
            Effect(
                value, error, normal_score(value, error, int(n_events[k])), state, profile, int(n_events[k]), int(n_events[k]), 0
            )
        )
    return out


def _regressions(lines: SymbolLines, usual: np.ndarray, event: np.ndarray, inside: np.ndarray, horizon: int) -> list[_Events]:
    """One symbol's regression for each slice with events: its ``usual`` lines, and the events ``inside``, (n_lines, n_slices)."""
    x, y, out = lines.x, lines.y[:, horizon], np.flatnonzero(~usual)
    p, x_out = x.shape[1], x[out]
    gram = np.zeros((p + 1, p + 1))
    gram[:p, :p] = lines.grams[0] + lines.grams[1] - x_out.T @ x_out
    product = np.append((lines.products[0] + lines.products[1])[:, horizon] - x_out.T @ y[out], 0.0)
    moments = lines.moments[0] + lines.moments[1] - moments_of(lines.known[out])
    places = np.flatnonzero(inside[event].any(axis=0))
    levels = (inside[:, places] & usual[:, None]).astype(float)
    borders, corners, targets, sums_inside = x.T @ levels, levels.sum(axis=0), y @ levels, levels.T @ lines.known
    found = []
    for place, border, corner, target, sum_inside in zip(places, borders.T, corners, targets, sums_inside, strict=True):
        at = np.flatnonzero(event & inside[:, place])
        n = len(y) - len(out) + len(at)
        if n < ROWS_PER_COLUMN * p:
            continue
        gram[p, :p] = gram[:p, p] = border
        gram[p, p], product[p] = corner, target
        x_at, y_at, known = np.column_stack([x[at], np.ones(len(at))]), y[at], lines.known[at]
        sums = np.column_stack([x_at.sum(axis=0), product + x_at.T @ y_at])
        factor = cho_factor(gram + x_at.T @ x_at + RIDGE * n * np.eye(p + 1), check_finite=False)
        solved = cho_solve(factor, np.column_stack([sums, x_at.T]), check_finite=False)
        of_dummy, of_target = solved[:, 0], solved[:, 1]
        # Sums over all lines follow from the equations that the coefficients solve.
        spread = len(at) - sums[:, 0] @ of_dummy - RIDGE * n * (of_dummy @ of_dummy)
        if spread < 1e-6 * len(at):
            continue
        found.append(
            _Events(
                int(place),
                lines.rows[at],
                1 - x_at @ of_dummy,
                y_at - x_at @ of_target,
                (x_at.T * solved[:, 2:]).sum(axis=0),
                known,
                of_dummy,
                of_target,
                float(spread),
                float(y_at.sum() - sums[:, 1] @ of_dummy - RIDGE * n * (of_dummy @ of_target)),
                moments + moments_of(known),
                int(corner) + len(at),
                sum_inside + known.sum(axis=0),
            )
        )
    return found


def _add_influence(
    lines: SymbolLines,
    usual: np.ndarray,
    inside: np.ndarray,
    parts: Sequence[_Events],
    horizon: int,
    first: int,
    effect: np.ndarray,
    influence: np.ndarray,
) -> None:
    """Add to ``influence``, (n_slices, n_rows), what the usual lines of a symbol have on the effect of each slice."""
    if not parts:
        return
    places = np.array([part.place for part in parts])
    *of_dummy, level_of_dummy = np.column_stack([part.of_dummy for part in parts])
    *of_target, level_of_target = np.column_stack([part.of_target for part in parts])
    of_dummy, of_target = np.array(of_dummy), np.array(of_target)
    for start in range(0, len(usual), BLOCK):
        block = slice(start, start + BLOCK)
        here = inside[block][:, places]
        dummy = -(lines.x[block] @ of_dummy) - here * level_of_dummy
        residual = lines.y[block, horizon, None] - lines.x[block] @ of_target - here * level_of_target
        score = dummy * (residual - dummy * effect[places])
        score[~usual[block]] = 0.0
        influence[places[:, None], lines.rows[block] - first] += score.T


def _circumstances(parts: Sequence[_Events], horizon: int, n_horizons: int) -> tuple[np.ndarray, np.ndarray]:
    """How unusual forecast and recent activity were at the events for the slice, in standard deviations of all lines used."""
    number, total, squares = sum((part.moments for part in parts), np.zeros_like(parts[0].moments))
    deviation = np.sqrt(np.maximum(squares / number - (total / number) ** 2, 0.0)) + 1e-12
    usual = sum((part.known_inside for part in parts), np.zeros(len(total))) / sum(part.n_inside for part in parts)
    at_events = (np.concatenate([part.known for part in parts]).mean(axis=0) - usual) / deviation
    return at_events[horizon : horizon + 1], at_events[n_horizons:]

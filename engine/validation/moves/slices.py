"""Detectors over time: forward moves by year, asset and regime, stability of their ranking, and agreement between detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from foreshock.data.bars import Bars
from foreshock.engine.scores import Signals
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.engine.validation.selection.multiple import benjamini_hochberg

FIGURES = ("horizon", "n_events", "n_effective", "abs_move_ratio", "matched_ratio", "ci", "p_matched")
# A slice with fewer events than this is not ranked.
MIN_RANKED_EVENTS = 10
# Kinds of slices whose rankings are compared, and the blocks over which ranks are averaged.
RANKED, BLOCKS = ("year", "asset", "regime"), "asset_year"
CROSSED = (BLOCKS, "regime_year")


class SliceFigures(NamedTuple):
    """What is told of a slice: ratio, its 95 % interval, p of no effect, and number of alerts; None where not known."""

    ratio: float | None
    ci: Sequence[float | None]
    p: float | None
    n_events: int


def slice_figures(row: Mapping[str, Any]) -> SliceFigures:
    """Figures of the deciding test, or, in results of before, of the volatility-matched ratio."""
    keys = ("ratio", "ratio_ci", "p", "n_judged") if by_forecast(row) else ("matched_ratio", "ci", "p_matched", "n_events")
    ratio, ci, p, n_events = (row.get(key) for key in keys)
    return SliceFigures(_known(ratio), [_known(bound) for bound in ci or (None, None)], _known(p), n_events or 0)


def by_forecast(row: Mapping[str, Any]) -> bool:
    """Whether a slice has figures of the deciding test; in results of before it has the volatility-matched ratio alone."""
    return "n_judged" in row


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else value


def slice_q(slices: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """p of each slice after Benjamini and Hochberg over all detectors, years, assets and regimes with at least 10 alerts.

    None for other slices, such as those of an asset within a year, and where no p is known.
    """
    figures = [slice_figures(row) for row in slices]
    tested = [
        i
        for i, (row, found) in enumerate(zip(slices, figures, strict=True))
        if row["by"] in RANKED and found.n_events >= MIN_RANKED_EVENTS and found.p is not None
    ]
    adjusted = dict(zip(tested, benjamini_hochberg(np.array([figures[i].p for i in tested], float)), strict=True))
    return [float(adjusted[i]) if i in adjusted else None for i in range(len(slices))]


def slice_masks(bars: Bars, regimes: np.ndarray, regime_names: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Rows and symbols of each year, asset and regime, and of each asset or regime within a year.

    The masks broadcast to (n_bars, n_symbols).

    Parameters
    ----------
    bars : Bars
        The history.
    regimes : ndarray of int, shape (n_bars, n_symbols)
        Index into ``regime_names``, -1 where not known.
    """
    year_of = bars.time.astype("datetime64[Y]")
    years = {str(year): (year_of == year)[:, None] for year in np.unique(year_of)}
    assets = {name: (np.arange(bars.n_symbols) == i)[None, :] for i, name in enumerate(bars.symbols)}
    masks = {"year": years, "asset": assets, "regime": {name: regimes == i for i, name in enumerate(regime_names)}}
    for by in CROSSED:
        places = masks[by.removesuffix("_year")]
        masks[by] = {f"{name} {year}": place & rows for name, place in places.items() for year, rows in years.items()}
    return masks


def sliced_moves(
    table: MoveTable,
    signals: Signals,
    masks: Mapping[str, Mapping[str, np.ndarray]],
    cooldown: str | None,
    n_bootstrap: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Forward moves of one detector within each slice: events compared with the other rows of the same slice.

    Returns
    -------
    list of dict
        ``by`` (a key of the masks), ``slice``, ``horizon``, ``n_events``, ``n_effective``, ``abs_move_ratio``,
        ``matched_ratio``, ``ci``, ``p_matched``; slices without a decided row are left out.
    """
    rows = []
    for by, slices in masks.items():
        for name, mask in slices.items():
            part = replace(signals, active=signals.active & mask, decided=signals.decided & mask)
            if not part.decided.any():
                continue
            for moves in table.after(part, cooldown, n_bootstrap, seed).horizons.values():
                figures = asdict(moves)
                rows.append({"by": by, "slice": name, **{key: figures[key] for key in FIGURES}})
    return rows


def rank_stability(slices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kendall's tau-b between the rankings of detectors, by the ratio of ``slice_figures``, for every two slices of a kind.

    Parameters
    ----------
    slices : sequence of dict
        Slices of every detector. A detector with fewer than 10 events in a slice is not ranked there.

    Returns
    -------
    list of dict
        ``by``, ``first``, ``second``, ``tau`` (-1 to 1), ``n_detectors`` and the two-sided ``p`` of independent rankings. Assets
        and regimes cover the same time, so their rankings are dependent; years are independent. Pairs with fewer than 3 common
        detectors are left out.
    """
    found = []
    for by in RANKED:
        ratios = ranked_ratios(slices, by)
        for first, second in combinations(ratios, 2):
            common = sorted(ratios[first].keys() & ratios[second].keys())
            if len(common) >= 3:
                x, y = ([ratios[name][detector] for detector in common] for name in (first, second))
                test: Any = stats.kendalltau(x, y)
                pair = {"by": by, "first": first, "second": second, "n_detectors": len(common)}
                found.append({**pair, "tau": float(test.statistic), "p": float(test.pvalue)})
    return found


def ranked_ratios(slices: Sequence[Mapping[str, Any]], by: str) -> dict[str, dict[str, float]]:
    """Ratio by slice of a kind and by detector, without detectors of fewer than 10 events."""
    own = [row for row in slices if row["by"] == by]
    ratios: dict[str, dict[str, float]] = {row["slice"]: {} for row in own}
    for row in own:
        found = slice_figures(row)
        if found.n_events >= MIN_RANKED_EVENTS and found.ratio is not None:
            ratios[row["slice"]][row["detector"]] = found.ratio
    return {name: ranked for name, ranked in ratios.items() if ranked}


def agreement(signals: Mapping[str, Signals], within: int) -> dict[str, dict[str, float]]:
    """Share of the row detector's alerts that the column detector also raised, up to ``within`` rows earlier or later.

    Rows that either detector left undecided do not count; NaN where a detector has no alert. The diagonal is 1.
    """
    near = {name: _dilate(found.active, within) for name, found in signals.items()}
    table: dict[str, dict[str, float]] = {}
    for name, found in signals.items():
        table[name] = {}
        for other, their in signals.items():
            alerts = found.active & their.decided
            table[name][other] = float(near[other][alerts].mean()) if alerts.any() else float("nan")
    return table


def _dilate(active: np.ndarray, within: int) -> np.ndarray:
    padded = np.vstack([np.zeros((1, active.shape[1]), np.int64), np.cumsum(active, axis=0)])
    rows = np.arange(len(active))
    return padded[np.minimum(rows + within + 1, len(active))] > padded[np.maximum(rows - within, 0)]

"""Stability over periods, from the slices of a study: cells beyond chance, ranks, and detectors that differ significantly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.stats import rankdata

from foreshock.engine.validation.moves.slices import BLOCKS, MIN_RANKED_EVENTS, RANKED, ranked_ratios, slice_q
from foreshock.engine.validation.selection.ranks import compare_ranks

LEVEL = 0.05
MIN_BLOCKS, MIN_DETECTORS = 2, 3
# A detector must be ranked in this share of the blocks: blocks without it are dropped for all detectors.
MIN_RANKED = 0.75


def with_q(slices: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The slices with ``q`` added, see ``slice_q``, and the number of cells that were tested and that lie beyond chance."""
    rows = [row | {"q": q} for row, q in zip(map(dict, slices), slice_q(slices), strict=True)]
    tested = [row["q"] for row in rows if row["q"] is not None]
    beyond = sum(q <= LEVEL for q in tested)
    return rows, {"n_tested": len(tested), "n_beyond": beyond, "level": LEVEL, "least_events": MIN_RANKED_EVENTS}


def slice_ranks(slices: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Rank of each detector by its ratio (1 is the largest), by kind of slice and slice, without detectors of few events."""
    return {by: {name: _ranks(ratios) for name, ratios in ranked_ratios(slices, by).items()} for by in RANKED}


def rank_comparisons(slices: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Friedman's test and the critical difference, with each asset in each year as a block, and with years as blocks.

    Blocks of the same year share its market; years do not. Detectors that are ranked in fewer than three quarters of the
    blocks are left out, then the blocks in which one of the others is not ranked. ``reason`` says why there is no comparison.
    """
    return {by: rank_comparison(ranked_ratios(slices, by), by) for by in (BLOCKS, "year")}


def rank_comparison(ratios: Mapping[str, Mapping[str, float]], by: str) -> dict[str, Any]:
    """``compare_ranks`` of the detectors that three quarters of the blocks rank, over the blocks that rank all of them."""
    labels = list(dict.fromkeys(label for row in ratios.values() for label in row))
    kept = [label for label in labels if sum(label in row for row in ratios.values()) >= MIN_RANKED * len(ratios)]
    blocks = [row for row in ratios.values() if all(label in row for label in kept)]
    left_out = [label for label in labels if label not in kept]
    found = {"left_out": left_out, "n_blocks_left_out": len(ratios) - len(blocks)}
    if not ratios:
        again = "; results written before there were such blocks lack them: run the study again" if by == BLOCKS else ""
        return {**found, "reason": f"no detector has {MIN_RANKED_EVENTS} events in any block{again}"}
    if len(kept) < MIN_DETECTORS or len(blocks) < MIN_BLOCKS:
        need = f"ranks need at least {MIN_DETECTORS} detectors over {MIN_BLOCKS} blocks"
        return {**found, "reason": f"{need}, there are {len(kept)} over {len(blocks)}"}
    figures = np.array([[row[label] for label in kept] for row in blocks])
    if not np.ptp(figures, axis=1).any():
        return {**found, "reason": "all detectors tie in every block"}
    return {**found, **asdict(compare_ranks(figures, kept, LEVEL)), "reason": None}


def _ranks(ratios: Mapping[str, float]) -> dict[str, float]:
    ranks = rankdata([-ratio for ratio in ratios.values()])
    return dict(zip(ratios, ranks.tolist(), strict=True))

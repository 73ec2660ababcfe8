"""The causality gate over a source: features, and everything that is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.engine.out_of_sample.causality import Audit, gate
from foreshock.engine.sources.source import Source


def audit_source(
    compute: Callable[[Source], Mapping[str, np.ndarray]],
    source: Source,
    n_cuts: int,
    first_cut: int,
    tolerance: Mapping[str, float] | float = 0.0,
    at_open: Collection[str] = (),
    seed: int = 0,
    on_cut: Callable[[], None] | None = None,
) -> Audit:
    """``fs.audit`` of computations on a source: trades and books are cut and disturbed, not the bars that are made of them.

    Raises
    ------
    ConfigError
        If no cut fits into the source, or a computation does not return one row for each of its rows.
    """
    n_rows = source.bars.n_bars
    if not 0 < first_cut < n_rows or n_cuts < 1:
        raise ConfigError(
            f"the audit needs rows after row {first_cut} to cut away and at least one cut, got {n_rows} rows and {n_cuts} cuts; "
            f"pass a longer history"
        )

    def head(history: Source, n: int) -> Source:
        return history.head(n)

    def disturb(history: Source, cut: int, rng: np.random.Generator) -> Source:
        return history.disturbed(cut, rng)

    return gate(compute, source, n_rows, head, disturb, n_cuts, first_cut, tolerance, at_open, seed, on_cut)

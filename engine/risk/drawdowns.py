"""Distribution of the largest drawdown of a strategy, from resampled returns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_levels, check_most, check_number, check_numbers, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import shown
from foreshock.engine.risk.estimators.value_at_risk import known_returns
from foreshock.engine.risk.performance import drawdown
from foreshock.engine.risk.resampling import MAX_DRAWS, dependence_block, max_drawdowns_nb

MAX_STEPS = 10**10


@dataclass(frozen=True, repr=False)
class DrawdownRisk(Shown):
    """Largest drawdown of resampled returns; depths are positive fractions.

    Parameters
    ----------
    observed : float
        Largest drawdown of the returns in their own order.
    quantiles : dict of float to float
        Depth by level: at level 0.95 one path in twenty has a deeper drawdown.
    beyond : dict of float to float
        Share of paths with a deeper drawdown, by depth.
    drawn : ndarray, shape (n_draws,)
        Largest drawdown of each path.
    n, n_missing : int
        Returns used and left out.
    horizon : int
        Rows of a path.
    block : float
        Mean block length in rows.
    seed : int
        Seed of the bootstrap.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> fs.drawdown_risk(np.array([0.1, -0.1, 0.1, -0.1, 0.1, 0.1]), levels=[0.5], block=1, seed=1)
    DrawdownRisk(observed 10.90%, 10.00% at 0.5, in 6 rows)
    """

    observed: float
    quantiles: dict[float, float]
    beyond: dict[float, float]
    drawn: np.ndarray
    n: int
    n_missing: int
    horizon: int
    block: float
    seed: int

    def _facts(self) -> Iterator[str]:
        yield f"observed {self.observed:.2%}"
        yield from (f"{depth:.2%} at {level:g}" for level, depth in list(self.quantiles.items())[:4])
        yield f"in {counted(self.horizon, 'row')}"

    def _preview(self) -> pd.DataFrame:
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """Depth exceeded with probability ``1 - level``: column ``depth``, indexed by ``level``."""
        return pd.DataFrame({"depth": self.quantiles}).rename_axis("level")


@door
def drawdown_risk(
    returns: np.ndarray,
    levels: Sequence[float] = (0.5, 0.95, 0.99),
    depths: Sequence[float] = (0.1, 0.2, 0.5),
    horizon: int | None = None,
    block: float | None = None,
    n_draws: int = 999,
    seed: int = 0,
) -> DrawdownRisk:
    """Distribution of the largest drawdown by the stationary bootstrap [1]_.

    A path joins blocks of the returns of random (geometric) length, so clusters of volatility up to that length stay intact. A
    path cannot contain a return that is not among the returns.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN (not known) is left out and counted.
    levels : sequence of float
        Levels of the quantiles, between 0 and 1.
    depths : sequence of float
        Depths whose exceedance probability is wanted, between 0 and 1.
    horizon : int, optional
        Rows of a path; by default the number of known returns.
    block : float, optional
        Mean block length in rows; by default the larger of the lengths that the rule of Politis and White [2]_ gives for the
        returns and for their squares.
    n_draws : int
        Number of paths, at most 1,000,000; ``n_draws * horizon`` must not exceed 10,000,000,000 rows.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    ConfigError
        If returns are not one series, are infinite or below -1, or fewer than two are known; if a level, depth, block or
        whole number is out of its range.

    References
    ----------
    .. [1] Politis and Romano (1994), The stationary bootstrap.
    .. [2] Patton, Politis, White (2009), Correction to "Automatic block-length selection for the dependent bootstrap".

    Examples
    --------
    Two of six days lose 10 %. About a third of the paths of six such days fall by more than 15 %, none by half:

    >>> import numpy as np
    >>> import foreshock as fs
    >>> returns = np.array([0.1, -0.1, 0.1, -0.1, 0.1, 0.1])
    >>> found = fs.drawdown_risk(returns, depths=[0.15, 0.5], block=1, seed=1)
    >>> round(found.observed, 3), round(found.beyond[0.15], 3), found.beyond[0.5]
    (0.109, 0.352, 0.0)
    """
    check_numbers("depths", depths)
    if block is not None:
        check_number("block", block)
    check_array("returns", returns)
    returns = np.asarray(returns, dtype=np.float64)
    known = known_returns(returns)
    levels = check_levels(levels, least=0)
    if len(known) < 2:
        raise ConfigError(f"a drawdown needs at least 2 known returns to draw from, got {len(known)}; pass more")
    if not all(0 < depth < 1 for depth in depths):
        raise ConfigError(f"depths must be between 0 and 1, such as 0.2, got {shown(list(depths))}")
    check_whole("n_draws", n_draws, 1)
    check_most("n_draws", n_draws, MAX_DRAWS, "999 are usual")
    check_whole("seed", seed, 0)
    check_whole("horizon", len(known) if horizon is None else horizon, 1)
    if block is not None and not (math.isfinite(block) and block >= 1):
        raise ConfigError(f"block must be a mean length of at least 1 row, got {block}")
    n_rows = len(known) if horizon is None else int(horizon)
    check_most("n_draws * horizon", n_draws * n_rows, MAX_STEPS, "ask for fewer or shorter paths")
    length = min(dependence_block(known), float(len(known))) if block is None else float(block)
    drawn = max_drawdowns_nb(known, n_rows, length, n_draws, np.random.default_rng(seed))
    return DrawdownRisk(
        observed=float(drawdown(np.cumprod(np.concatenate([[1.0], 1 + known]))).max()),
        quantiles={level: float(np.quantile(drawn, level, method="inverted_cdf")) for level in levels},
        beyond={depth: float((drawn > depth).mean()) for depth in depths},
        drawn=drawn,
        n=len(known),
        n_missing=len(returns) - len(known),
        horizon=n_rows,
        block=length,
        seed=seed,
    )

"""Trading costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from data.errors import ConfigError


@dataclass(frozen=True)
class Costs:
    """Costs of a fill at the open, as fractions.

    A buy of ``size`` at the open ``p`` fills at ``p (1 + slippage)``, a sell at ``p (1 - slippage)``; the fee is
    ``taker`` times the value at the fill price.

    Parameters
    ----------
    taker : float
        Fee per fill; 5e-4 is 5 basis points. A rebate is negative, down to -0.01.
    slippage : float
        Price concession per fill.

    Raises
    ------
    ConfigError
        If a rate is not a number in its range.

    Examples
    --------
    >>> costs = Costs(taker=5e-4, slippage=2e-4)
    >>> round(1_000 * (1 + costs.slippage) * costs.taker, 4)  # the fee of buying 1,000 at the open
    0.5001
    """

    taker: float = 5e-4
    slippage: float = 2e-4

    def __post_init__(self) -> None:
        for name, low in (("taker", -0.01), ("slippage", 0.0)):
            rate = getattr(self, name)
            if not isinstance(rate, int | float) or not math.isfinite(rate) or not low <= rate < 1:
                raise ConfigError(
                    f"{name} must be a fraction from {low:g} to below 1, such as 0.0005 for 5 basis points, got {rate!r}"
                )


DEFAULT_COSTS = Costs()

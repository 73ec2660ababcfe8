"""Who is who among backtests: the strategy, the detector it acts on, and the role it has in a study."""

from __future__ import annotations

from dataclasses import dataclass

# A strategy under test, the random timings that one is held against, and what needs no detector.
STRATEGY, RANDOM, BASELINE = "strategy", "random", "baseline"


@dataclass(frozen=True)
class Identity:
    """Which strategy acts on which detector.

    Parameters
    ----------
    strategy : str
        Name of the strategy.
    detector : str or None
        Label of the detector whose alerts it acts on; None for one that acts on none.
    role : {"strategy", "random", "baseline"}
    of : str or None
        For random timings, the strategy that they are timings of.

    Examples
    --------
    >>> Identity("anomaly_avoidance", "zscore").name
    'anomaly_avoidance[zscore]'
    >>> Identity("buy_and_hold", role=BASELINE).name
    'buy_and_hold'
    """

    strategy: str
    detector: str | None = None
    role: str = STRATEGY
    of: str | None = None

    @property
    def name(self) -> str:
        """The name that tables and files show."""
        return self.strategy if self.detector is None else f"{self.strategy}[{self.detector}]"

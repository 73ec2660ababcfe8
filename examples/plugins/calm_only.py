"""A strategy of your own: equal weights, and nothing for a day after any symbol's alert."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import foreshock as fs


@dataclass(frozen=True)
class CalmOnly:
    """1 / n_symbols in each symbol that has traded; 0 in the ``hold`` bars from an alert of any symbol on."""

    hold: int = 24
    name: ClassVar[str] = "calm_only"

    def weights(self, bars: fs.Bars, signals: fs.Signals) -> np.ndarray:
        rows = np.arange(bars.n_bars)
        last_alert = np.maximum.accumulate(np.where(signals.active.any(axis=1), rows, -self.hold))
        calm = rows - last_alert >= self.hold
        traded = np.maximum.accumulate(~np.isnan(bars.close), axis=0)
        # NaN is no order.
        return np.where(traded, calm[:, None] / bars.n_symbols, np.nan)

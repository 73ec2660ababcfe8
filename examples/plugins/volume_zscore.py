"""A detector of your own: how far the volume of a bar lies from that of the bars before it."""

import numpy as np
import pandas as pd

import foreshock as fs


class VolumeZScore(fs.Detector):
    """|x_t - mean| / std of log-volume ratios over the ``window`` rows before t; nothing is learned.

    Parameters
    ----------
    window : int
    column : str
    """

    def __init__(self, window: int = 48, column: str = "volume_ratio_20") -> None:
        self.window = window
        self.column = column

    @property
    def lookback(self) -> int:
        return self.window

    def _score(self, features: fs.Features) -> np.ndarray:
        values = pd.DataFrame(features.column(self.column))
        past = np.stack([values.shift(lag).to_numpy() for lag in range(1, self.window + 1)])
        scores = np.abs(values.to_numpy() - past.mean(axis=0)) / past.std(axis=0)
        # A row with an unknown feature is not scored.
        return np.where(np.isnan(features.values).any(axis=2), np.nan, scores)

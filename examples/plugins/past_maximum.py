"""A threshold of your own: a share of the largest score that was seen before."""

from dataclasses import dataclass

import numpy as np

import foreshock as fs


@dataclass(frozen=True)
class PastMaximum:
    """``share`` times the largest score of the symbol before row t; NaN before ``least`` known scores."""

    share: float = 0.8
    least: int = 100
    # It aims at no rate of alerts, and looks at no scores of training rows.
    nominal_rate = float("nan")
    needs_train_scores = False

    def threshold(self, scores: fs.Scores) -> np.ndarray:
        known = ~np.isnan(scores.values)
        largest = np.maximum.accumulate(np.where(known, scores.values, -np.inf), axis=0)
        level = np.where(np.cumsum(known, axis=0) >= self.least, self.share * largest, np.nan)
        return np.vstack([np.full((1, level.shape[1]), np.nan), level[:-1]])

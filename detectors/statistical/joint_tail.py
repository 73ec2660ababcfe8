"""Joint tail: scores rows in which several quantities are extreme at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.base import Detector
from foreshock.detectors.scaling import MIN_ROWS, with_others
from foreshock.detectors.stream import DetectorStream
from foreshock.engine.features.features import Features
from foreshock.engine.features.roles import default_columns

DEFAULT_COLUMNS = ("range", "volume_ratio_20")


class JointTail(Detector):
    """The weakest of several upper tails: min over columns of x / scale.

    A score above 1 means that every column exceeds its scale. A rise of the price alone, or of the volume alone, is common; both
    at once are rare, and a detector that takes the larger of the two, as rolling z-scores do, cannot tell the cases apart. The
    score of a row uses that row alone; it is NaN where a column is NaN.

    Parameters
    ----------
    columns : sequence of str
        Features that must be extreme together, at least one.
    scales : sequence of float, optional
        One positive number for each column, in the unit of the column. By default the ``q``-quantile of the training rows of each
        symbol; if that quantile is not positive, the column has no upper tail and the symbol is not scored.
    q : float
        Probability of the quantile, between 0 and 1.
    """

    name = "joint_tail"
    keeps_typical = False
    learned = ("symbols_", "scale_")

    def __init__(self, columns: Sequence[str] = DEFAULT_COLUMNS, scales: Sequence[float] | None = None, q: float = 0.99) -> None:
        self.columns = columns
        self.scales = scales
        self.q = q

    def _fit(self, features: Features) -> None:
        if not self.columns or not 0 < self.q < 1:
            raise ConfigError(f"joint_tail needs at least one column and q between 0 and 1, got {shown(self.columns)} and {self.q}")
        x = features.select(self._columns(features)).values
        if self.scales is not None:
            if len(self.scales) != len(self.columns) or min(self.scales) <= 0:
                raise ConfigError(f"scales must be one positive number for each of {shown(self.columns)}, got {shown(self.scales)}")
            scale = np.broadcast_to(np.asarray(self.scales, dtype=np.float64), x.shape[1:]).copy()
        else:
            enough = (~np.isnan(x)).sum(axis=0) >= MIN_ROWS
            # numpy warns about a quantile of an all-NaN column, so columns with too few known rows are filled with zeros first.
            scale = np.where(enough, np.nanquantile(np.where(enough, x, 0.0), self.q, axis=0), np.nan)
            scale[scale <= 0] = np.nan
        self.symbols_, self.scale_ = features.symbols, scale

    def _score(self, features: Features) -> np.ndarray:
        return self._ratios(features).min(axis=2)

    def _stream(self, features: Features) -> DetectorStream:
        return _RatioStream(self, features)

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        found = np.zeros((len(rows), len(features.names)))
        ratios = self._ratios(features)[rows, symbols]
        found[:, [features.index(name) for name in self._columns(features)]] = ratios
        found[np.isnan(ratios).any(axis=1)] = np.nan
        return found

    def _ratios(self, features: Features) -> np.ndarray:
        """Each column in its scale, (n_rows, n_symbols, n_columns)."""
        return features.select(self._columns(features)).values / self._scale_of(features)

    def _whole(self) -> bool:
        return super()._whole() and len(self.scale_) == len(self.symbols_) and self.scale_.ndim == 2

    def _scale_of(self, features: Features) -> np.ndarray:
        """Scale of each symbol and column, (n_symbols, n_columns)."""
        rows = [self.symbols_.index(name) if name in self.symbols_ else -1 for name in features.symbols]
        return with_others(self.scale_, features)[rows]

    def _columns(self, features: Features) -> list[str]:
        """The columns; of the default ones, those that stand nearest to them in features that lack them."""
        return default_columns(features, self.columns) if tuple(self.columns) == DEFAULT_COLUMNS else list(self.columns)


class _RatioStream(DetectorStream):
    """The row itself, with columns and scales that are looked up once."""

    def __init__(self, detector: JointTail, features: Features) -> None:
        super().__init__(detector, features)
        self._at = [features.index(name) for name in detector._columns(features)]
        self._scale = detector._scale_of(features)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - of the row alone
        return (row[:, self._at] / self._scale).min(axis=1)

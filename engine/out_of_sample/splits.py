"""Walk-forward splits: train on the past, leave a gap, test on the next block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from foreshock.data.checks import check_duration, check_integer, check_text
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in, format_duration, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown


@dataclass(frozen=True)
class Fold:
    """Training rows and test rows; ``train.stop`` lies purge + embargo rows before ``test.start``."""

    train: slice
    test: slice


@dataclass(frozen=True, repr=False)
class WalkForward(Shown):
    """Consecutive test blocks, each with a training window that ends a purge and an embargo before it.

    The purge is the longest label horizon plus the detector's lookback: without it, labels of training rows would overlap the test
    block [1]_.

    Parameters
    ----------
    train, test : str
        Durations of the training window and of a test block, such as ``"365D"`` and ``"90D"``.
    embargo : str or None
        Further gap, ``"2D"`` by default; None for no gap. It separates training and test rows that share effects longer than the
        longest horizon, such as clustered volatility.
    mode : {"rolling", "expanding"}
        Whether the training window slides or grows from the first row.

    References
    ----------
    .. [1] Lopez de Prado (2018), Advances in financial machine learning, chapter 7.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> splits = fs.WalkForward(train="5D", test="2D", embargo="1D")
    >>> splits.folds(300, np.timedelta64(1, "h"), purge=24)[0]
    Fold(train=slice(0, 120, None), test=slice(168, 216, None))
    """

    train: str = "365D"
    test: str = "90D"
    embargo: str | None = "2D"
    mode: Literal["rolling", "expanding"] = "rolling"

    def __post_init__(self) -> None:
        check_duration("train", self.train)
        check_duration("test", self.test)
        if self.embargo is not None:
            check_duration("embargo", self.embargo)
        check_text("mode", self.mode)
        if self.mode not in ("rolling", "expanding"):
            raise ConfigError(f"mode must be 'rolling' or 'expanding', got {shown(self.mode)}")

    def folds(self, n_rows: int, interval: np.timedelta64, purge: int = 0) -> list[Fold]:
        """Folds over ``n_rows`` rows; the last test block may be shorter. More rows do not change earlier folds.

        Raises
        ------
        ConfigError
            If no row is left to test on.
        """
        check_integer("n_rows", n_rows)
        parse_duration(interval, "interval")
        train = bars_in(self.train, interval, "train")
        test = bars_in(self.test, interval, "test")
        gap = purge + (bars_in(self.embargo, interval, "embargo") if self.embargo else 0)
        first = train + gap
        if first >= n_rows:
            raise ConfigError(
                f"train window plus gap must be shorter than the data, got train={self.train} and a gap of {gap} bars (longest "
                f"horizon, delay, longest lookback, embargo) "
                f"= {first} bars for {n_rows} bars of {format_duration(interval)}; shorten train, or pass more data"
            )
        return [
            Fold(
                slice(0 if self.mode == "expanding" else start - first, start - gap),
                slice(start, min(start + test, n_rows)),
            )
            for start in range(first, n_rows, test)
        ]

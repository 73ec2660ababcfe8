"""Walk-forward splits: train on the past, leave a gap, test on the next block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from foreshock.data.checks import check_duration, check_integer, check_text
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in, format_duration, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown

# Each is a fit; so many minutes of two years would have one each.
MOST_BLOCKS = 1_000_000


@dataclass(frozen=True)
class Fold:
    """Training rows and test rows; ``train.stop`` lies purge + embargo rows before ``test.start``."""

    train: slice
    test: slice


@door(mode=ANYTHING)
@dataclass(frozen=True, repr=False)
class WalkForward(Shown):
    """Consecutive test blocks, each with a training window that ends a purge and an embargo before it.

    The purge is the longest label horizon plus the detector's lookback: without it, labels of training rows would overlap the test
    block [1]_.

    Wherever the time of a history is known, which is everywhere but in a direct call of ``folds`` without ``origin``, test blocks
    begin at whole multiples of ``test`` since 1970. The first is the first such multiple with a complete training window and gap
    before it, so up to one test block less is tested than if blocks were counted from the first row. In return, a history that
    begins later has the same blocks, and a model in operation is refitted at the rows at which its test refitted it.

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
    >>> splits.folds(300, np.timedelta64(1, "h"), purge=24, origin=1)[0]
    Fold(train=slice(23, 143, None), test=slice(191, 239, None))
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

    def folds(self, n_rows: int, interval: np.timedelta64, purge: int = 0, origin: int | None = None) -> list[Fold]:
        """Folds over ``n_rows`` rows; the last test block may be shorter. More rows do not change earlier folds.

        Parameters
        ----------
        n_rows : int
            Number of rows.
        interval : timedelta64
            Length of a row.
        purge : int
            Rows between training window and test block, besides the embargo.
        origin : int, optional
            Number of the first row on the grid of whole intervals since 1970, such as ``Bars.start_row`` or ``Features.start_row``.
            With it, test blocks begin at multiples of ``test`` on that grid. The first is the first multiple whose training window
            and gap lie in the data, in both modes; training rows of the expanding mode begin with row 0. None counts the blocks
            from the first row: its first test block begins right after one training window and the gap.

        Raises
        ------
        ConfigError
            If no row is left to test on.
        """
        check_integer("n_rows", n_rows)
        if origin is not None:
            check_integer("origin", origin)
        parse_duration(interval, "interval")
        train = bars_in(self.train, interval, "train")
        test = bars_in(self.test, interval, "test")
        gap = purge + (bars_in(self.embargo, interval, "embargo") if self.embargo else 0)
        needed = train + gap
        if needed >= n_rows:
            raise ConfigError(
                f"train window plus gap must be shorter than the data, got train={self.train} and a gap of {gap} bars (longest "
                f"horizon, delay, longest lookback, embargo) "
                f"= {needed} bars for {n_rows} bars of {format_duration(interval)}; shorten train, or pass more data"
            )
        first = needed if origin is None else needed + (-origin - needed) % test
        if first >= n_rows:
            raise ConfigError(
                f"test blocks begin at multiples of test={self.test} since 1970, the first after train={self.train} and a gap of "
                f"{gap} bars (longest horizon, delay, longest lookback, embargo); got {n_rows} bars of "
                f"{format_duration(interval)}, where it would begin at bar {first}; train, gap and one test block need "
                f"{needed + test} bars wherever the data begin; shorten train or test, or pass more data"
            )
        if (n_rows - first) / test > MOST_BLOCKS:
            raise ConfigError(
                f"test={self.test} would make {-(-(n_rows - first) // test):,} test blocks of {n_rows:,} bars, each with a fit of "
                f"its own; there may be {MOST_BLOCKS:,}, so lengthen test"
            )
        return [
            Fold(
                slice(0 if self.mode == "expanding" else start - needed, start - gap),
                slice(start, min(start + test, n_rows)),
            )
            for start in range(first, n_rows, test)
        ]

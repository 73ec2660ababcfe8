"""A universe known at the time: the members of each test block, chosen by what was known when the block began."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_duration, check_text, check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import bars_in, format_duration, parse_duration
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown
from foreshock.engine.out_of_sample.splits import WalkForward

# A symbol without a bar for this long before a block begins is not listed then; a single bar without a trade is not a delisting.
SILENT = np.timedelta64(1, "D")
VALUE = "quote_volume"


@dataclass(frozen=True)
class MemberBlock:
    """The members of one test block.

    Parameters
    ----------
    rows : slice
        Rows of the block.
    start : datetime64[us]
        Open of its first row.
    members : tuple of str
        Symbols, the largest first.
    columns : ndarray of int
        Their columns, ascending.
    """

    rows: slice
    start: np.datetime64
    members: tuple[str, ...]
    columns: np.ndarray


@dataclass(frozen=True, repr=False)
class Membership(Shown):
    """Who was in when; see ``Universe.members``.

    Parameters
    ----------
    blocks : tuple of MemberBlock
        The test blocks in their order.
    mask : ndarray of bool, shape (n_rows, n_symbols)
        True where the symbol is a member, and before the first block, where nobody is chosen and nothing is judged.
    held : ndarray of bool, shape (n_rows, n_symbols)
        True where the symbol is a member in this row and in the next: what may be held after the next open. Who leaves is sold at
        the open of the block that it is not a member of.
    """

    blocks: tuple[MemberBlock, ...]
    mask: np.ndarray
    held: np.ndarray

    def section(self) -> list[dict[str, Any]]:
        """Start and members of each block, in JSON types."""
        return [{"start": str(block.start), "members": list(block.members)} for block in self.blocks]

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.blocks), "block")
        yield f"{counted(len({name for block in self.blocks for name in block.members}), 'symbol')} were members"

    def to_frame(self) -> pd.DataFrame:
        """One row for each member of each block: ``start``, ``rank`` (1 is the largest) and ``symbol``."""
        rows = [(block.start, at, name) for block in self.blocks for at, name in enumerate(block.members, 1)]
        return pd.DataFrame(rows, columns=["start", "rank", "symbol"])


@door
@dataclass(frozen=True, repr=False)
class Universe(Shown):
    """The largest symbols at the time, instead of those that are large today.

    The members of a test block are the ``top`` symbols by the sum of a column over the ``window`` that ends where the block begins:
    bars that are not known then have no part in it. A symbol without a bar in the last day of the window is not listed and cannot
    be a member; equal sums are ordered by name. Members change at the beginning of a block alone.

    In a study, a symbol outside its membership is not scored, raises no alert, is neither an event nor a row that events are held
    against, and is not held: strategies see the members of a block alone, with their whole history, and who leaves is sold at its
    first open. Detectors are fitted on all symbols of the data in the training window, members or not, and so are the forecasts of
    the verdict: every training row was known before the block, and a symbol that is not in the data cannot be learned from. The
    data must therefore hold the symbols that are listed no more, or survivors are chosen by what the data lack.

    Parameters
    ----------
    top : int
        Number of members, at least 1; fewer where fewer are listed.
    by : str
        Column that is summed: ``"quote_volume"`` (of the extras, and where these do not know it close times volume), ``"volume"``,
        or any column of the extras.
    window : str
        Time before a block over which it is summed, such as ``"30D"``.

    Raises
    ------
    ConfigError
        If a parameter has another type or is out of its range.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=3, n_bars=700).bars
    >>> found = fs.Universe(top=2, window="5D").members(bars, fs.WalkForward("10D", "10D", embargo=None))
    >>> found.to_frame()["symbol"].tolist()
    ['BTC/USDT', 'ETH/USDT', 'BTC/USDT', 'ETH/USDT']
    >>> found.mask[-1]
    array([ True,  True, False])
    """

    top: int
    by: str = VALUE
    window: str = "30D"

    def __post_init__(self) -> None:
        check_whole("top", self.top, 1, hint="such as 50")
        check_text("by", self.by)
        check_duration("window", self.window)
        parse_duration(self.window, "window")

    def described(self) -> dict[str, Any]:
        """The parameters in plain values."""
        return asdict(self)

    def members(self, bars: Bars, splits: WalkForward, purge: int = 0) -> Membership:
        """Members of every test block of a walk-forward study.

        Deleting the rows after a block begins changes neither its members nor those of earlier blocks.

        Parameters
        ----------
        bars : Bars
            All symbols that can be members.
        splits : WalkForward
            Training windows and test blocks.
        purge : int
            Rows between training window and test block, besides the embargo; see ``WalkForward.folds``.

        Raises
        ------
        ConfigError
            If the bars have no such column, or the window does not fit before the first block.
        DataError
            If no symbol can be a member of any block.
        """
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        check_type("splits", splits, WalkForward, "such as fs.WalkForward('365D', '30D')")
        check_whole("purge", purge, 0)
        bars_in(self.window, bars.interval, "window")
        amounts = self._amounts(bars)
        first = splits.folds(bars.n_bars, bars.interval, purge, bars.start_row)[0].test.start
        if bars.time[0] > bars.time[first - 1] + bars.interval - parse_duration(self.window):
            raise ConfigError(
                f"the window of the universe must fit before the first test block, got {self.window} and "
                f"{first} bars of {format_duration(bars.interval)} before {bars.time[first]}; shorten it"
            )
        # With one row more, a block that begins after the last row is among them: who leaves then is known now.
        folds = splits.folds(bars.n_bars + 1, bars.interval, purge, bars.start_row)
        mask = np.zeros((bars.n_bars + 1, bars.n_symbols), dtype=bool)
        blocks = []
        mask[:first] = True
        for fold in folds:
            ranked = self._ranked(bars, amounts, fold.test.start)
            mask[fold.test, ranked] = True
            if fold.test.start < bars.n_bars:
                rows = slice(fold.test.start, min(fold.test.stop, bars.n_bars))
                names, start = tuple(bars.symbols[k] for k in ranked), bars.time[int(rows.start)]
                blocks.append(MemberBlock(rows, start, names, np.sort(np.array(ranked, int))))
        if not any(block.members for block in blocks):
            raise DataError(f"no symbol has a known {self.by} in the {self.window} before any test block; choose another column")
        return Membership(tuple(blocks), mask[:-1], mask[:-1] & mask[1:])

    def _ranked(self, bars: Bars, amounts: np.ndarray, start: int) -> list[int]:
        """Columns of the members of the block that begins in row ``start``, the largest first."""
        # Nothing after the row before the block is looked at, not even the time of the next one.
        close = bars.time[start - 1] + bars.interval
        begin = int(np.searchsorted(bars.time[:start], close - parse_duration(self.window)))
        recent = int(np.searchsorted(bars.time[:start], close - max(SILENT, bars.interval)))
        known = ~np.isnan(amounts[begin:start])
        total = np.where(known, amounts[begin:start], 0.0).sum(axis=0)
        may = known.any(axis=0) & ~np.isnan(bars.close[max(recent, begin) : start]).all(axis=0)
        return sorted(map(int, np.flatnonzero(may)), key=lambda k: (-total[k], bars.symbols[k]))[: self.top]

    def _amounts(self, bars: Bars) -> np.ndarray:
        """The column that is summed, shape (n_rows, n_symbols)."""
        value = bars.close * bars.volume
        if self.by in bars.extras:
            own = bars.extras[self.by]
            return np.where(np.isnan(own), value, own) if self.by == VALUE else own
        if self.by not in (VALUE, "volume"):
            columns = list(dict.fromkeys([VALUE, "volume", *bars.extras]))
            raise ConfigError(f"the universe is by {shown(self.by)}, which the bars do not have; they have {few(columns)}")
        return value if self.by == VALUE else bars.volume

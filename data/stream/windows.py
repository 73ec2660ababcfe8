"""Trade windows as trades come in: closed windows come out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from foreshock.data.checks import check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.data.interval import Instant, format_duration, parse_instant
from foreshock.data.show.facts import Shown, counted
from foreshock.data.stream.state import Stream
from foreshock.data.trades.trades import Trades
from foreshock.data.trades.windows import MAX_WINDOWS, TradeWindows, _add_trades_nb, _finish, _width

NO_MILLI = -(2**62)


@door
class LiveWindows(Stream, Shown):
    """``trade_windows`` as trades come in, with bit-equal windows: each is handed out once, when it is closed.

    Only exchange time cuts windows. A window is closed by the first trade of a later one, or by ``close``, for a market that is
    quiet; a closed window does not change any more. Trades come in order, each once: duplicates, holes and swaps are for the
    sequencer before it.

    Parameters
    ----------
    seconds : float
        Length of a window, a whole number of milliseconds.

    Attributes
    ----------
    n_late : int
        Trades that came after their window had been closed by ``close``; they are in no window.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> trades = fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars)
    >>> live, closed = fs.LiveWindows(3_600), []
    >>> for start in range(0, len(trades), 100):
    ...     closed.append(live.add(trades.rows(slice(start, start + 100))))
    >>> counts = np.concatenate([windows.trade_count for windows in closed])
    >>> np.array_equal(counts, fs.trade_windows(trades, 3_600).trade_count[:-1])
    True
    >>> len(live.close("2022-01-02T00:00"))
    1
    """

    fixed = ("width",)
    carries = ("_sums", "_window", "_milli", "_in_milli", "_last", "n_late")

    def __init__(self, seconds: float = 20) -> None:
        check_number("seconds", seconds)
        # In microseconds.
        self.width = _width(seconds)
        self._sums = np.zeros(13)
        # Number of the open window since 1970; None before the first trade.
        self._window: int | None = None
        self._milli, self._in_milli = NO_MILLI, 0
        self._last: int | None = None
        self.n_late = 0

    def add(self, trades: Trades) -> TradeWindows:
        """The windows that the next trades close, in order, those without a trade among them; often none.

        Raises
        ------
        DataError
            If the trades are of several series, or come before trades that were added, or so late that there are more than 50
            million windows between.
        """
        check_type("trades", trades, Trades, "read them with fs.read_trades")
        if trades.series is not None:
            raise DataError(f"windows need trades of one series, got {len(set(trades.series))}; use Trades.split")
        time = trades.time.astype("datetime64[us]").view(np.int64)
        if self._last is not None and time[0] < self._last:
            before = np.datetime64(self._last, "us")
            raise DataError(f"trades must follow one another, got one of {trades.time[0]} after one of {before}; sort them")
        self._last = int(time[-1])
        if self._window is None:
            self._window = int(time[0] // self.width)
        late = int(np.searchsorted(time, self._window * self.width))
        self.n_late += late
        if late == len(time):
            return _finish(np.zeros((0, 13)), self._window * self.width, self.width)
        block = self._block(int(time[-1] // self.width))
        start = self._window
        price, size, quote, is_buy = (part[late:] for part in (trades.price, trades.size, trades.quote, trades.is_buy))
        before = np.int64(start), np.int64(self._milli), np.int64(self._in_milli)
        milli, in_milli = _add_trades_nb(time[late:], price, size, quote, is_buy, self.width, *before, block)
        self._milli, self._in_milli = int(milli), int(in_milli)
        return self._close(block)

    def close(self, until: Instant) -> TradeWindows:
        """The windows that end by the exchange time ``until``, closed although no later trade has come; often none."""
        at = int(parse_instant(until, "until").astype(np.int64))
        if self._window is None or at < (self._window + 1) * self.width:
            return _finish(np.zeros((0, 13)), (self._window or 0) * self.width, self.width)
        return self._close(self._block(at // self.width))

    def _block(self, last: int) -> np.ndarray:
        """Sums of the open window and of those after it up to number ``last``."""
        assert self._window is not None
        n = last - self._window + 1
        if n > MAX_WINDOWS:
            raise DataError(f"{n} windows of {format_duration(np.timedelta64(self.width, 'us'))} are too many; check the times")
        block = np.zeros((n, 13))
        block[0] = self._sums
        return block

    def _close(self, block: np.ndarray) -> TradeWindows:
        assert self._window is not None
        closed = _finish(block[:-1], self._window * self.width, self.width)
        self._sums, self._window = block[-1].copy(), self._window + len(block) - 1
        return closed

    def _facts(self) -> Iterator[str]:
        yield f"windows of {format_duration(np.timedelta64(self.width, 'us'))}"
        yield counted(int(self._sums[0]), "trade") + " in the open one"

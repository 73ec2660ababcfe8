"""A simulated crypto market whose abnormal moves and their precursors are known."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TypedDict, Unpack

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.books.orderbook import Book
from foreshock.data.checks import check_whole
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING, count_of
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, parse_duration
from foreshock.data.labels import Labels
from foreshock.data.options import check_options
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import shown
from foreshock.data.simulate.book import SimulatedBook, simulate_book
from foreshock.data.simulate.events import CLEARANCE, Overlay, draw_events, place_events, plant, truth_table
from foreshock.data.simulate.paths import ARCH, LEVERAGE, NullPath, null_path
from foreshock.data.simulate.trades import bar_trades
from foreshock.data.trades.trades import Trades

# Size of the default history; the default event counts are for this size, and scale with it.
DEFAULT_BARS, DEFAULT_SYMBOLS = 17_520, 8
# Shorter histories have no room for an event between their clear ends, and by default get no events.
SHORTEST_WITH_EVENTS = 2 * CLEARANCE + 96


@dataclass(frozen=True, repr=False)
class SimulatedMarket(Shown):
    """Simulated bars and the events planted in them.

    Parameters
    ----------
    bars : Bars
        The simulated bars, with the extra ``quote_volume``.
    events : DataFrame
        One row per planted event and symbol, ascending by ``row``. A market-wide crash has one row for each symbol, all
        with the same number in ``event``.

        ========================== ===========================================================================
        event                      number of the event
        kind                       ``flash_crash``, ``pump``, ``foreshock`` or ``decoy``
        form                       crash: ``market`` or ``symbol``; pump: ``symbol``; foreshock: ``swell`` or
                                   ``jump``; decoy: ``none``
        symbol                     as in ``bars.symbols``
        time, row                  first bar of the abnormal move (for a decoy: the signature itself)
        peak_row                   bar whose close completes the move
        stop, stop_row             first bar after the event and its aftermath
        lead_bars                  bars from signature to onset; 0 for kinds without a precursor
        signature_time,            bar in which the event is first visible, ``row - lead_bars``
        signature_row
        size                       crash and pump: absolute log move; foreshock: root mean square of the move over
                                   ``row`` to ``stop_row``, relative to the ordinary one; decoy: 1
        direction                  sign of ``log_move``
        log_move                   log move from the close before ``row`` to the close of ``peak_row``, less that
                                   of the same bars without events
        ========================== ===========================================================================
    volatility : ndarray of float64, shape (n_bars, n_symbols)
        True standard deviation of each bar's log return given the bars before it, without the events.
    seed : int
        Seed of all random numbers.
    annual_volatility : float
        Usual annual volatility of the market, as a fraction.

    Examples
    --------
    >>> import foreshock as fs
    >>> market = fs.simulate_market(seed=1, n_symbols=1, n_bars=2_000)
    >>> market
    SimulatedMarket(BTC/USDT, 2,000 bars of 1h, 2022-01-01 to 2022-03-25, with quote_volume, 2 planted events, seed 1)
    >>> market.volatility.shape, market.events["kind"].value_counts().to_dict()
    ((2000, 1), {'foreshock': 1, 'flash_crash': 1})
    """

    bars: Bars
    events: pd.DataFrame
    volatility: np.ndarray
    seed: int
    annual_volatility: float

    @cached_property
    def trades(self) -> Trades:
        """Trades of the first symbol in the first day, or in the first bar if it is longer; ``bar_trades`` makes others."""
        n_bars = max(int(np.timedelta64(1, "D") / self.bars.interval), 1)
        return bar_trades(self.bars.head(n_bars), seed=self.seed)

    @cached_property
    def simulated_book(self) -> SimulatedBook:
        """An order book of the same seed, volatility and start, with events and a price path of its own; see ``simulate_book``."""
        return simulate_book(self.seed, start=self.bars.time[0], annual_volatility=float(np.clip(self.annual_volatility, 0.05, 3)))

    @property
    def book(self) -> Book:
        """The book of ``simulated_book``."""
        return self.simulated_book.book

    @property
    def labels(self) -> Labels:
        """The planted events as labels: from the first bar in which one is visible to its last; a decoy is ``false``."""
        # A foreshock is visible in its signature, before its onset.
        found = self.events[["symbol", "stop", "kind"]].assign(start=self.events["signature_time"])
        return Labels.from_frame(found.assign(disposition=np.where(found["kind"] == "decoy", "false", "true")))

    def _facts(self) -> Iterator[str]:
        yield from self.bars._facts()
        yield counted(self.events["event"].nunique(), "planted event")
        yield f"seed {self.seed}"

    def _preview(self) -> pd.DataFrame:
        return self.events

    def to_frame(self) -> pd.DataFrame:
        """``events``: one row for each planted event and symbol."""
        return self.events.copy()


class MarketEvents(TypedDict, total=False):
    """The keywords of ``simulate_market`` that plant events."""

    n_flash_crashes: int | None
    n_pumps: int | None
    n_foreshocks: int | None
    n_decoys: int | None
    foreshock_lead: tuple[int, int]
    foreshock_size: tuple[float, float]


@door(
    n_symbols=count_of(1, 10_000),
    n_bars=count_of(2, 10_000_000),
    degrees_of_freedom=ANYTHING,
    **dict.fromkeys(MarketEvents.__annotations__, ANYTHING),
)
def simulate_market(
    seed: int = 7,
    n_symbols: int = DEFAULT_SYMBOLS,
    n_bars: int = DEFAULT_BARS,
    interval: Duration = "1h",
    start: str | np.datetime64 = "2022-01-01",
    *,
    annual_volatility: float = 0.8,
    correlation: float = 0.6,
    persistence: float = 0.98,
    degrees_of_freedom: float = 6.0,
    **events: Unpack[MarketEvents],
) -> SimulatedMarket:
    """A multi-asset market with planted events of known time, size and lead.

    Returns are a common factor plus a part of each symbol's own, both GJR-GARCH(1,1) with Student-t shocks, times an
    hour-of-day and weekday season. With h the conditional variance in units of its mean, p the persistence and z the
    shock::

        h[t] = 1 - p + h[t-1] (p - 0.07 + (0.045 + 0.05 [z[t-1] < 0]) z[t-1]**2)

    Log volume is an AR(1) plus season, volatility and the size of the bar's own move. A bar opens at the previous close
    plus a gap of 2 % of its volatility; its high and low are those of a Brownian bridge. Without events, prices are
    martingales: no strategy earns anything but luck.

    A *foreshock* is a bar with 8 to 20 times its volume and a long wick, whose close is untouched, followed
    ``lead_bars`` later by 6 to 24 bars of abnormal moves. A *decoy* has the same signature and nothing after it. A
    *flash crash* falls 8 to 25 % in one or two bars and retraces in part, a *pump* rises 10 to 60 % in one to three
    bars and falls back. All events of a symbol are at least 72 bars apart.

    Parameters
    ----------
    seed : int
        Seed of all random numbers. The path without events does not depend on the event counts, and a further symbol or bar
        does not change the others.
    n_symbols, n_bars : int
        Number of symbols, at least 1, and of bars, at least 2.
    interval : str
        Length of a bar. Event shapes, the clearance and ``persistence`` count bars.
    start : str or datetime64
        Open of the first bar, UTC.
    n_flash_crashes, n_pumps, n_foreshocks, n_decoys : int, optional
        Number of events over all symbols; by default 12, 16, 60 and 20 for 17,520 bars of 8 symbols, and in proportion (crashes
        to the bars, the others to bars times symbols) for other sizes. A third of the crashes are market-wide. All four 0 gives
        the null market: the same shocks, no events.
    foreshock_lead : (int, int), default (1, 6)
        Smallest and largest number of bars from signature to onset, from 1 to 1,000.
    foreshock_size : (float, float), default (2.5, 4.0)
        Smallest and largest size, from 1, which is no effect, to 20.
    annual_volatility : float
        Usual annual volatility as a fraction, from 0.01 to 5; a symbol has 0.70 to 1.40 times that.
    correlation : float
        Correlation between the returns of any two symbols, from 0 to 0.99.
    persistence : float
        Persistence of the variance per bar, from 0.07 to 0.999.
    degrees_of_freedom : float
        Degrees of freedom of the Student-t shocks, at least 2.1; the kurtosis is finite above 4.

    Raises
    ------
    ConfigError
        If a parameter is out of range or not finite, or the bars have no room for the events.
    TypeError
        If a keyword is unknown.

    References
    ----------
    Glosten, Jagannathan, Runkle (1993), On the relation between the expected value and the volatility of the nominal
    excess return on stocks, Journal of Finance 48.

    Examples
    --------
    >>> import foreshock as fs
    >>> market = fs.simulate_market(seed=7, n_symbols=2, n_bars=4_000)
    >>> market.events.groupby("kind").size().to_dict()
    {'decoy': 1, 'flash_crash': 4, 'foreshock': 3, 'pump': 1}
    >>> pump = market.events.query("kind == 'pump'").iloc[0]
    >>> pump["symbol"], int(pump["row"]), round(float(pump["log_move"]), 4)
    ('ETH/USDT', 3717, 0.3091)
    """
    check_options(simulate_market, events, MarketEvents)
    lead, size = events.get("foreshock_lead", (1, 6)), events.get("foreshock_size", (2.5, 4.0))
    step = parse_duration(interval, "interval")
    per_bar = n_bars / DEFAULT_BARS if n_bars >= SHORTEST_WITH_EVENTS else 0.0
    per_cell = per_bar * n_symbols / DEFAULT_SYMBOLS
    counts = {
        "n_flash_crashes": _count("n_flash_crashes", events.get("n_flash_crashes"), 12 * per_bar),
        "n_pumps": _count("n_pumps", events.get("n_pumps"), 16 * per_cell),
        "n_foreshocks": _count("n_foreshocks", events.get("n_foreshocks"), 60 * per_cell),
        "n_decoys": _count("n_decoys", events.get("n_decoys"), 20 * per_cell),
    }
    _check_pair("foreshock_lead", lead, 1_000)
    _check_pair("foreshock_size", size, 20)
    for bound in lead:
        check_whole("foreshock_lead", bound, 1)
    _check_number("annual_volatility", annual_volatility, 0.01, 5)
    _check_number("correlation", correlation, 0, 0.99)
    _check_number("persistence", persistence, ARCH + LEVERAGE / 2, 0.999)
    _check_number("degrees_of_freedom", degrees_of_freedom, 2.1, 1e6)

    drafts = draw_events(seed, **counts, lead=lead, size=size)
    placed = place_events(seed, drafts, n_bars, n_symbols)
    time = _first_open(start) + step * np.arange(n_bars)
    path = null_path(
        seed,
        n_symbols,
        time,
        step,
        annual_volatility=annual_volatility,
        correlation=correlation,
        persistence=persistence,
        degrees_of_freedom=degrees_of_freedom,
    )
    overlay = plant(path, placed)
    return SimulatedMarket(
        bars=_build_bars(time, step, path, overlay),
        events=truth_table(time, path, overlay, placed),
        volatility=path.volatility,
        seed=int(seed),
        annual_volatility=float(annual_volatility),
    )


def _build_bars(time: np.ndarray, step: np.timedelta64, path: NullPath, overlay: Overlay) -> Bars:
    """Prices and volumes of the path with the overlay on it."""
    returns = overlay.factor * path.returns + overlay.added
    log_close = np.log(path.first_price) + np.cumsum(returns, axis=0)
    log_open = np.vstack([np.log(path.first_price), log_close[:-1]]) + path.gap
    # The maximum of a Brownian bridge from 0 to x with variance v is (x + sqrt(x**2 + 2 v e)) / 2, e standard exponential.
    # High and low are drawn independently: the mean square range is 3 % wider than drawn jointly, 1.5 % in Parkinson volatility.
    body = log_close - log_open
    reach = np.sqrt(body**2 + 2 * overlay.factor**2 * path.bar_variance * path.tails)
    top, bottom = np.maximum(log_open, log_close), np.minimum(log_open, log_close)
    high = np.exp(np.maximum(log_open + (body + reach[0]) / 2, top + overlay.wick_up))
    low = np.exp(np.minimum(log_open + (body - reach[1]) / 2, bottom - overlay.wick_down))
    open_, close = np.exp(log_open), np.exp(log_close)
    volume = np.exp(path.log_volume + overlay.log_volume)
    return Bars(
        time=time,
        symbols=path.symbols,
        open=open_,
        high=np.maximum(high, np.maximum(open_, close)),
        low=np.minimum(low, np.minimum(open_, close)),
        close=close,
        volume=volume,
        interval=step,
        extras={"quote_volume": volume * np.exp((log_open + log_close) / 2)},
    )


def _first_open(start: str | np.datetime64) -> np.datetime64:
    try:
        first = pd.Timestamp(start)
    except (ValueError, TypeError):
        first = pd.NaT
    if not isinstance(first, pd.Timestamp):
        raise ConfigError(f"start must be a date or time in UTC, got {shown(start)}; write it like '2022-01-01'")
    return np.datetime64(first.tz_convert(None) if first.tzinfo else first, "us")


def _count(name: str, value: int | None, default: float) -> int:
    if value is None:
        return round(default)
    check_whole(name, value, 0)
    return int(value)


def _check_number(name: str, value: object, low: float, high: float) -> None:
    # NaN fails every comparison, so it is refused like a number out of range.
    if not isinstance(value, Real) or isinstance(value, np.timedelta64) or not low <= float(value) <= high:
        raise ConfigError(f"{name} must be a number from {low:g} to {high:g}, got {shown(value)}; pass one in that range")


def _check_pair(name: str, value: object, high: float) -> None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"{name} must be a pair (smallest, largest), got {shown(value)}; repeat the number to fix it")
    for number in value:
        _check_number(name, number, 1, high)
    if value[0] > value[1]:
        raise ConfigError(f"{name} must be a pair (smallest, largest), got {shown(value)}; swap the two")

"""ccxt, built by name and called with retries; only this module maps its errors to foreshock's."""

from __future__ import annotations

import difflib
import json
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import ccxt
import requests.adapters
import urllib3
import urllib3.connection

from foreshock.data.errors import ConfigError, ExchangeError, ForeshockError
from foreshock.data.exchange.addresses import is_address, masked, split_login
from foreshock.data.exchange.answers import Late, OnLine, Stop, TooLarge, open_line, read_whole
from foreshock.data.exchange.patience import Pace, Patience, retry_after
from foreshock.data.exchange.profiles import Profile, profile_of
from foreshock.data.show.shown import shown
from foreshock.data.store.series import market_of

T = TypeVar("T")
TOO_OFTEN, BLOCKED = (418, 429), (403, 451)
# The exchange's clock has whole seconds, and the answer takes time to arrive.
CLOCKS_APART_MS = 2_000
# Without the exchange's clock, ours may be so fast: what is younger may still change.
NO_CLOCK_MS = 86_400_000
# A Date header of before 2015 is no clock.
OLDEST_CLOCK_MS = 1_420_070_400_000
# Errors that a parser may raise for an answer that is JSON but not of the expected form.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)


class _Watched:
    """Mixin for ccxt's classes: it keeps the last answer with all of its rows, and shares one pace among all threads."""

    status = 0
    answer: Any = None
    answer_headers: Mapping[str, str]
    pace: Pace
    rateLimit: float

    def on_rest_response(self, code: int, *rest: Any) -> str:
        # ``rest`` holds reason, url, method, response headers, response body, request headers, request body.
        self.status, self.answer_headers, response_body = code, rest[3], rest[4]
        if code == 200:
            try:
                self.answer = json.loads(response_body)
            except (ValueError, RecursionError):
                self.answer = None
            # ccxt reads a page of HTML, truncated JSON and an empty body as a market without trades.
            if not isinstance(self.answer, list | dict):
                raise ccxt.BadResponse(f"the body is not JSON: {response_body[:60]!r}")
        return response_body.strip()

    def throttle(self, cost: float | None = None) -> None:
        self.pace.turn(self.rateLimit / 1000 * (1 if cost is None else cost))

    # ccxt drops rows before ``since`` and beyond the limit. They are kept here, because such a row shows that the page is wrong.
    def filter_by_since_limit(self, array: Any, *_: Any, **__: Any) -> list[Any]:
        return list(array or [])

    def filter_by_value_since_limit(self, array: Any, *_: Any, **__: Any) -> list[Any]:
        return list(array or [])


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = type("PlainLine", (OnLine, urllib3.connection.HTTPConnection), {})  # pyright: ignore[reportAssignmentType]


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = type("SecureLine", (OnLine, urllib3.connection.HTTPSConnection), {})  # pyright: ignore[reportAssignmentType]


class _Bounded(requests.adapters.HTTPAdapter):
    """Reads answers to their end, which must come in time and be of a size; ccxt itself would wait for a drip for ever."""

    def __init__(self, stopped: Stop, patience: Patience) -> None:
        self.stopped, self.patience = stopped, patience
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
        return manager

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        patience = self.patience
        try:
            with open_line(self.stopped, patience.longest_answer) as line:
                answer = super().send(*args, **{**kwargs, "stream": True})
                answer.raw.decode_content = True
                try:
                    # What ``requests`` itself sets when it reads a body.
                    answer._content = read_whole(answer.raw, line, patience.largest_answer)
                    answer._content_consumed = True
                except BaseException:
                    answer.close()
                    raise
                answer.raw.release_conn()
        except Late as error:
            raise ccxt.RequestTimeout(f"the answer did not end within {patience.longest_answer:g} s") from error
        except TooLarge as error:
            raise ccxt.BadResponse(str(error)) from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, requests.RequestException):
                raise
            raise ccxt.NetworkError(f"the answer broke off: {error}") from error
        return answer


class Connection:
    """One exchange's public REST interface, for any number of threads.

    Parameters
    ----------
    exchange : str
        ccxt's name, such as ``"binance"``, ``"binanceusdm"``, ``"bybit"``, ``"upbit"``, ``"coinbase"`` or ``"kraken"``.
    base_url : str, optional
        Host of every request instead of the exchange's own: a public data host, a proxy, a loopback server. A user name and
        password in it reach that host, and no message.
    patience : Patience, optional
        Number of attempts and waits between them; by default ``Patience()``.
    clock : callable
        Returns the seconds since 1970.

    Raises
    ------
    ConfigError
        If ccxt has no such exchange, or ``base_url`` is not an address. No request is sent yet.
    """

    def __init__(
        self,
        exchange: str,
        base_url: str | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if exchange not in ccxt.exchanges:
            near = difflib.get_close_matches(str(exchange).lower(), ccxt.exchanges, 3) or ["binance", "bybit", "kraken"]
            raise ConfigError(f"exchange must be one that ccxt knows, got {shown(exchange)}; did you mean {' or '.join(near)}?")
        if base_url is not None and not is_address(base_url):
            raise ConfigError(f"base_url must start with http:// or https:// and name a host, got {shown(masked(base_url))}")
        self.exchange = exchange
        # ccxt writes the address into its errors and its log.
        self.base_url, self._login = (None, None) if base_url is None else split_login(base_url)
        self.patience = patience or Patience()
        self.profile: Profile = profile_of(exchange)
        self.pace = Pace(self.patience.scale)
        self.clock = clock
        self._class: Any = type(exchange, (_Watched, getattr(ccxt, exchange)), {})
        self._local = threading.local()
        self._lock = threading.Lock()
        self._first: Any = None
        self._types: set[str] = set()
        self._answered = False
        self.offline = self._build()

    def _build(self) -> Any:
        made: Any = self._class({"timeout": round(self.patience.timeout * 1000), "enableRateLimit": True})
        made.pace = self.pace
        for scheme in ("http://", "https://"):
            made.session.mount(scheme, _Bounded(self.pace.stopped, self.patience))
        if self._login is not None:
            made.session.auth = self._login
        if self.profile.markets:
            # These exchanges require a key for their currencies, which are not needed here.
            made.has["fetchCurrencies"] = False
        if self.base_url is not None:
            made.urls["api"] = _moved(made.urls["api"], self.base_url.rstrip("/"))
        return made

    def now(self) -> int:
        """The time in epoch ms: the earlier one of the exchange's clock and our own.

        If our clock is fast, a bar that is still open would otherwise count as closed.
        """
        own, theirs = self._clocks()
        return own if theirs is None else min(own, theirs)

    def latest(self) -> int:
        """The latest time in epoch ms that anything may have that has happened, by either clock."""
        own, theirs = self._clocks()
        return max(own, own if theirs is None else theirs) + CLOCKS_APART_MS

    def final(self, settled: int) -> int:
        """The time in epoch ms before which rows change no more: ``settled`` ago, or a day, if only our own clock says so."""
        own, theirs = self._clocks()
        return own - NO_CLOCK_MS if theirs is None else min(own, theirs) - settled

    def _clocks(self) -> tuple[int, int | None]:
        """Our own time and the exchange's, epoch ms; None if the last answer does not say it, or a year before any exchange."""
        own = int(self.clock() * 1000)
        try:
            theirs = int(parsedate_to_datetime(self._instance().answer_headers["Date"]).timestamp() * 1000)
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
            return own, None
        return own, theirs if theirs > OLDEST_CLOCK_MS else None

    def moment(self) -> int:
        """When an answer came, in epoch ms: our own time, unless the exchange's, in whole seconds, is well behind it."""
        own = int(self.clock() * 1000)
        theirs = self.now()
        return own if own - theirs < CLOCKS_APART_MS else theirs

    def _instance(self) -> Any:
        """This thread's own ccxt object: it keeps the last answer, which another thread would overwrite."""
        if not hasattr(self._local, "made"):
            self._local.made = self._build()
        return self._local.made

    def market(self, symbol: str) -> dict[str, Any]:
        """ccxt's description of a market; the markets are loaded first if necessary.

        Raises
        ------
        ConfigError
            If the exchange has no such market, or it is an option.
        """
        exchange = self._loaded(market_of(symbol))
        found = exchange.markets.get(symbol)
        if found is None:
            near = difflib.get_close_matches(symbol.upper(), exchange.symbols, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else "write it as ccxt does, BTC/USDT or BTC/USDT:USDT"
            raise ConfigError(f"{self.exchange} has no market {shown(symbol)}; {hint}")
        if found.get("option"):
            raise ConfigError(f"{symbol} is an option; only spot markets, swaps and futures are fetched")
        return found

    def _loaded(self, kind: str) -> Any:
        mine = self._instance()
        with self._lock:
            if self._first is None or (self.profile.markets and kind not in self._types):
                self._types.add(kind)
                try:
                    self._first = self.call(self._load_markets, "its markets")
                except BaseException:
                    self._types.discard(kind)
                    raise
            if mine.markets is not self._first.markets:
                for name in ("markets", "markets_by_id", "symbols", "ids", "currencies", "currencies_by_id", "codes"):
                    setattr(mine, name, getattr(self._first, name))
        return mine

    def _load_markets(self, exchange: Any) -> Any:
        if self.profile.markets:
            exchange.options["fetchMarkets"] = {**exchange.options["fetchMarkets"], "types": sorted(self._types)}
        exchange.load_markets(True)
        if not exchange.markets:
            raise ccxt.BadResponse("there is not one market in the answer")
        return exchange

    def call(self, ask: Callable[[Any], T], what: str) -> T:
        """The answer to a request, which is repeated with growing waits as long as that can help.

        Parameters
        ----------
        ask : callable
            Called with ccxt's object; raises ``ccxt.BadResponse`` for an invalid answer.
        what : str
            The request in words, for messages.

        Raises
        ------
        ExchangeError
            If another attempt cannot help.
        """
        n_failed = n_blocked = 0
        exchange = self._instance()
        while True:
            exchange.status, exchange.answer, exchange.answer_headers = 0, None, {}
            try:
                answer = ask(exchange)
            except ccxt.BaseError as error:
                failure: Exception = error
            except ForeshockError:
                raise
            except UNREADABLE as error:
                failure = ccxt.BadResponse(f"it cannot be read ({type(error).__name__}: {error})")
                failure.__cause__ = error
            else:
                self._answered = True
                return answer
            n_failed += 1
            n_blocked += exchange.status in BLOCKED or isinstance(failure, ccxt.RestrictedLocation)
            asked = retry_after(exchange.answer_headers.get("Retry-After"), self.clock())
            self._give_up(failure, exchange.status, what, n_failed, n_blocked, asked)
            wait = self.patience.wait(n_failed, asked)
            if exchange.status in TOO_OFTEN or isinstance(failure, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
                self.pace.hold(wait)
            else:
                self.pace.rest(wait)

    def _give_up(self, error: Exception, status: int, what: str, n_failed: int, n_blocked: int, asked: float | None) -> None:
        """Raise an error if another attempt cannot help."""
        reason = f"HTTP {status}" if status >= 400 else type(error).__name__
        said = f" ({_brief(error)})" if status < 500 and str(error) else ""
        if n_blocked >= self.patience.blocked_attempts:
            host = self.profile.host
            other = f"its public data host (base_url {host}, spot only)" if host else "a host of your own (base_url)"
            raise ExchangeError(
                f"{self.exchange} does not serve this location or address: {reason} for {what}; use {other}, or another exchange"
            ) from error
        if asked is not None and asked > self.patience.longest_ban:
            raise ExchangeError(
                f"{self.exchange} has banned this address for {asked / 60:.0f} minutes: {reason} for {what}; fetch again after "
                "that, what has arrived is kept"
            ) from error
        if isinstance(error, ccxt.BadSymbol | ccxt.ArgumentsRequired | ccxt.NotSupported):
            raise ConfigError(f"{self.exchange} cannot be asked for {what}{said}") from error
        if isinstance(error, ccxt.AuthenticationError) or status == 401:
            raise ExchangeError(f"{self.exchange} gives {what} only with a key: {reason}; use another exchange") from error
        if not _passing(error, status):
            raise ExchangeError(f"{self.exchange} refuses {what}: {reason}{said}") from error
        if n_failed >= (self.patience.attempts if self._answered else self.patience.first_attempts):
            host = self.base_url or f"{self.exchange}'s host"
            # An answer that came and is wrong is no fault of the network.
            advice = f"check {host}" if status == 200 and isinstance(error, ccxt.BadResponse) else f"check the network and {host}"
            raise ExchangeError(
                f"{self.exchange} gave no valid answer for {what} in {n_failed} attempts, at last {reason}{said}; {advice}, and "
                "fetch again later: what has arrived is kept"
            ) from error


def _passing(error: Exception, status: int) -> bool:
    """Whether a failure may be temporary. ccxt calls a 400 a network error, but not every 503."""
    if status >= 500 or status in (*TOO_OFTEN, *BLOCKED, 408):
        return True
    if status == 200 and type(error) is ccxt.ExchangeError:
        # The answer is JSON, but neither a valid answer nor an error that ccxt knows.
        return True
    return isinstance(error, ccxt.OperationFailed | ccxt.RestrictedLocation) and not 400 <= status < 500


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."


def _moved(urls: Any, base_url: str) -> Any:
    """The same paths on another host."""
    if isinstance(urls, dict):
        return {name: _moved(url, base_url) for name, url in urls.items()}
    return base_url + urlsplit(urls).path if isinstance(urls, str) else urls

"""What a study runs on: prices that are judged and traded, and features that detectors see, on the same rows."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_text, check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Instant, format_duration, parse_instant
from foreshock.data.quality.clean import QualityReport, clean
from foreshock.data.show.facts import Shown, grid_facts, symbols_fact
from foreshock.data.show.shown import few, shown
from foreshock.engine.features.features import Features
from foreshock.engine.features.roles import role_of
from foreshock.engine.sources.streams import SourceStream


@door
class Source(Shown):
    """Prices, features and marks on the same rows; see ``BarSource``, ``WindowSource``, ``BookSource`` and ``FeatureSource``.

    A subclass has a ``kind``, and makes ``_prices()`` and ``_features()``, which are asked for once.

    Examples
    --------
    >>> import foreshock as fs
    >>> source = fs.BarSource(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars, ["log_return", "range"])
    >>> source.kind, source.bars.n_bars, source.features.names
    ('bars', 300, ('log_return', 'range'))
    >>> source
    BarSource(BTC/USDT, 300 rows of 1h, 2022-01-01 to 2022-01-13)
    """

    kind: ClassVar[str]

    @cached_property
    def bars(self) -> Bars:
        """The prices that are judged and traded."""
        return self._prices()

    @cached_property
    def features(self) -> Features:
        """What the detectors see, on the rows and symbols of ``bars``; where no feature is a return, with that of the bars."""
        found = self._features()
        if not np.array_equal(found.time, self.bars.time) or found.symbols != self.bars.symbols:
            raise DataError(
                f"features must have the rows and symbols of the bars, {self.bars.n_bars} rows of {few(self.bars.symbols, 3)}, "
                f"got {found.n_rows} of {few(found.symbols, 3)}; compute them from the same bars"
            )
        return with_return(found, self.bars)

    @property
    def marks(self) -> dict[str, np.ndarray] | None:
        """What the verdict's second forecast also sees, each (n_rows, n_symbols) and at least 0; None for the bars' volume."""
        return None

    @property
    def redraw(self) -> Callable[[Bars], Features] | None:
        """The features of a surrogate history of bars; None where none can honestly be drawn."""
        return None

    def stream(self) -> SourceStream:
        """The features row by row, before the first row, with the bits of ``features``; see ``live_rows`` for its rows.

        Raises
        ------
        ConfigError
            If the source cannot be streamed.
        """
        raise ConfigError(
            f"{self.kind} cannot be streamed, got a {type(self).__name__}; use a source of bars, windows, books or features"
        )

    def live_rows(self) -> Iterator[Any]:
        """The rows of the history as they would have come one by one: what the stream's ``update`` takes.

        Examples
        --------
        >>> import numpy as np
        >>> import foreshock as fs
        >>> source = fs.BarSource(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars, ["log_return", "volatility_20"])
        >>> stream = source.stream()
        >>> found = [one.values for row in source.live_rows() for one in stream.update(row)]
        >>> np.array_equal(np.array(found), source.features.values, equal_nan=True)
        True
        """
        raise ConfigError(
            f"{self.kind} has no rows of its own, got a {type(self).__name__}; use a source of bars, windows or books"
        )

    @property
    def drawn(self) -> Features:
        """Features that a page draws by regime."""
        return self.features

    @property
    def identity(self) -> str:
        """Digest of the kind, the symbols, the interval and the features, not of the values, the path or the range of time."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True, default=str).encode()).hexdigest()[:16]

    def facts(self) -> dict[str, Any]:
        """What ``identity`` is the digest of, in JSON types."""
        return {
            "kind": self.kind,
            "symbols": list(self.bars.symbols),
            "interval": format_duration(self.bars.interval),
            "features": list(self.names),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return self.features.names

    def raw_rows(self, symbol: str, start: Instant, stop: Instant) -> tuple[str, pd.DataFrame]:
        """What was recorded of a symbol: the kind of its rows, and those from ``start`` to before ``stop``.

        Trades where the windows were made of them, windows, snapshots of the book, or bars; nothing after the last row of the
        source, and no row at all where nothing was recorded.

        Raises
        ------
        ConfigError
            If the source has no such symbol.

        Examples
        --------
        >>> import foreshock as fs
        >>> trades = fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars)
        >>> kind, rows = fs.WindowSource(trades, "5m").raw_rows("asset", "2022-01-01T00:00", "2022-01-01T00:05")
        >>> kind, len(rows), list(rows.columns)
        ('trades', 37, ['time', 'price', 'size', 'quote', 'is_buy', 'ids'])
        """
        check_text("symbol", symbol)
        if symbol not in self.bars.symbols:
            raise ConfigError(f"the source has no symbol {shown(symbol)}; it has {few(self.bars.symbols, 5)}")
        first, last = parse_instant(start, "start"), parse_instant(stop, "stop")
        return self._raw_rows(symbol, first, min(last, self.bars.time[-1] + self.bars.interval))

    def _raw_rows(self, symbol: str, start: np.datetime64, stop: np.datetime64) -> tuple[str, pd.DataFrame]:
        first, last = (int(k) for k in np.searchsorted(self.bars.time, [start, stop]))
        if first >= last:
            return "bars", self.bars.head(1).select(symbol).to_frame().head(0)
        return "bars", self.bars.rows(slice(first, last)).select(symbol).to_frame()

    def head(self, n: int) -> Self:
        """The source as it was after its first ``n`` rows, at least one."""
        check_whole("n", n, 1)
        return self._head(min(n, self.bars.n_bars))

    def disturbed(self, cut: int, rng: np.random.Generator) -> Self:
        """The source with everything from row ``cut`` on multiplied by noise, for the causality gate."""
        check_whole("cut", cut, 0)
        check_type("rng", rng, np.random.Generator, "such as np.random.default_rng(0)")
        if cut >= self.bars.n_bars:
            raise ConfigError(f"cut must be one of the {self.bars.n_bars} rows, got {cut}; pass an earlier row")
        return self._disturbed(cut, rng)

    def cleaned(self) -> tuple[Source, QualityReport]:
        """The source without malformed bars, and what was found."""
        _, report = clean(self.bars)
        return self, report

    @abstractmethod
    def _head(self, n: int) -> Self:
        raise NotImplementedError

    @abstractmethod
    def _disturbed(self, cut: int, rng: np.random.Generator) -> Self:
        raise NotImplementedError

    @abstractmethod
    def _prices(self) -> Bars:
        raise NotImplementedError

    @abstractmethod
    def _features(self) -> Features:
        raise NotImplementedError

    def _facts(self) -> Iterator[str]:
        yield symbols_fact(self.bars.symbols)
        yield from grid_facts(self.bars.time, self.bars.interval)


def with_return(features: Features, bars: Bars) -> Features:
    """The features with the log return of the bars, ``log_return``, unless one of them is a return: baselines need one."""
    if any(role_of(name) == "return" for name in features.names):
        return features
    values = np.concatenate([features.values, bars.returns()[:, :, None]], axis=2)
    return replace(features, names=(*features.names, "log_return"), values=values)


def by_symbol(given: Any, kinds: tuple[type, ...], what: str, symbol: str) -> dict[str, Any]:
    """One object, or a dict of symbol to object, as a dict.

    Raises
    ------
    ConfigError
        If it is neither, is empty, or a name is not a text.
    """
    found = dict(given) if isinstance(given, Mapping) else {symbol: given}
    if not found:
        raise ConfigError(f"{what} must be of at least one symbol, got an empty dict")
    for name, value in found.items():
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"a symbol of {what} must be a text, got {shown(name)}; such as 'BTC/USDT'")
        if not isinstance(value, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ConfigError(
                f"{what} must be {wanted}, or a dict of symbol to them, got {shown(value)}; read a file with "
                f"fs.read_{'trades' if what == 'trades' else 'book'}, or make them of a table with {kinds[0].__name__}.from_frame"
            )
    return found

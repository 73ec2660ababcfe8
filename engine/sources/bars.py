"""A source of OHLCV bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_texts, check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import apart, called
from foreshock.data.quality.clean import QualityReport, clean
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, ohlcv_features
from foreshock.engine.out_of_sample.causality import corrupt_from
from foreshock.engine.sources.source import Source
from foreshock.engine.sources.streams import BarRows


@door(features=ANYTHING)
class BarSource(Source):
    """OHLCV bars, and features of them.

    Parameters
    ----------
    bars : Bars
        The history; a study cleans it first.
    features : sequence of str, or callable
        Names for ``ohlcv_features``, or any function of ``Bars`` to ``Features`` with their rows and symbols.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> fs.BarSource(bars, lambda b: fs.ohlcv_features(b, ["range", "log_return"])).features.names
    ('range', 'log_return')
    """

    kind = "bars"

    def __init__(self, bars: Bars, features: Sequence[str] | Callable[[Bars], Features] = OHLCV_FEATURES) -> None:
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        if not callable(features):
            check_texts("features", features)
        self._bars, self._wanted = bars, features

    def _head(self, n: int) -> Self:
        return type(self)(self._bars.head(n), self._wanted)

    def _disturbed(self, cut: int, rng: np.random.Generator) -> Self:
        return type(self)(corrupt_from(self._bars, cut, rng), self._wanted)

    def cleaned(self) -> tuple[BarSource, QualityReport]:
        bars, report = clean(self._bars)
        return type(self)(bars, self._wanted), report

    @property
    def names(self) -> tuple[str, ...]:
        return self.features.names if callable(self._wanted) else tuple(self._wanted)

    @property
    def drawn(self) -> Features:
        return ohlcv_features(self._bars)

    @property
    def redraw(self) -> Callable[[Bars], Features] | None:
        # A surrogate history has prices and volumes, and nothing else.
        extras = () if callable(self._wanted) else set(self._wanted) & set(self._bars.extras)
        return None if extras else self._of

    def _of(self, bars: Bars) -> Features:
        if not callable(self._wanted):
            return ohlcv_features(bars, self._wanted)
        # What it writes into them would change the prices of everyone.
        wanted = self._wanted
        found: Any = called("features", "function", lambda: wanted(apart(bars)))
        check_type("the result of features", found, Features, "such as fs.ohlcv_features(bars)")
        return found

    def stream(self) -> BarRows:
        bars = self._bars
        # Those that the function returns: a return that it lacks is added, as in a batch.
        names = self._of(bars).names if callable(self._wanted) else self.names
        extras = tuple(bars.extras) if callable(self._wanted) else [name for name in names if name in bars.extras]
        if bars.broken:
            raise ConfigError("bars with rows left out cannot be streamed, got broken bars; pass those of one run")
        return BarRows(bars.symbols, names, bars.interval, extras, self._of if callable(self._wanted) else None)

    def live_rows(self) -> Iterator[Bars]:
        yield from (self._bars.rows(slice(row, row + 1)) for row in range(self._bars.n_bars))

    def _prices(self) -> Bars:
        return self._bars

    def _features(self) -> Features:
        return self._of(self._bars)

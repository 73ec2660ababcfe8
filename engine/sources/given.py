"""A source of features that were computed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.causality import corrupt_from
from foreshock.engine.sources.source import Source
from foreshock.engine.sources.streams import GivenRows


@door
class FeatureSource(Source):
    """Any features, and the bars that belong to them.

    Features that come ready cannot be held against the causality gate: whether row t knows later rows cannot be seen from them.

    Parameters
    ----------
    features : Features
        On the rows and symbols of ``bars``; row t must be known at the close of bar t.
    bars : Bars
        The prices that are judged and traded.

    Raises
    ------
    ConfigError
        If an argument has another type.
    DataError
        If rows or symbols differ, as soon as the features are asked for.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> fs.FeatureSource(fs.ohlcv_features(bars, ["range"]), bars)
    FeatureSource(BTC/USDT, 300 rows of 1h, 2022-01-01 to 2022-01-13)
    """

    kind = "features"

    def __init__(self, features: Features, bars: Bars) -> None:
        check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        self._given, self._bars = features, bars

    def _head(self, n: int) -> Self:
        return type(self)(self._given.rows(slice(0, n)), self._bars.head(n))

    def _disturbed(self, cut: int, rng: np.random.Generator) -> Self:
        values = self._given.values.copy()
        values[cut:] *= np.exp(rng.normal(0, 0.1, values[cut:].shape))
        return type(self)(replace(self._given, values=values), corrupt_from(self._bars, cut, rng))

    def stream(self) -> GivenRows:
        return GivenRows(self._given)

    def live_rows(self) -> Iterator[Features]:
        yield from (self._given.rows(slice(row, row + 1)) for row in range(self._given.n_rows))

    def _prices(self) -> Bars:
        return self._bars

    def _features(self) -> Features:
        return self._given

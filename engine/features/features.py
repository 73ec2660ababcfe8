"""Features: the input of detectors, computed from bars, books or trades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_names, check_switch, check_type, did_you_mean
from foreshock.data.doors.door import door
from foreshock.data.doors.times import check_step, rising_times
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import absolute_row
from foreshock.data.show.facts import Shown, counted, grid_facts, symbols_fact
from foreshock.data.show.shown import few, shown


@door
@dataclass(frozen=True, repr=False)
class Features(Shown):
    """Named features on the rows and symbols of their source.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_rows,)
        Open of each row, ascending; its features are known one interval later.
    symbols : tuple of str
        Symbol of each column, all different.
    names : tuple of str
        Name of each feature, all different.
    values : ndarray of float64, shape (n_rows, n_symbols, n_features)
        NaN means not known.
    interval : timedelta64[us]
        Length of a row.
    comparable : bool
        Whether features of different symbols have the same meaning, so that a symbol that a detector was not fitted on is scored by
        the scale of the others; otherwise it is not scored.

    Raises
    ------
    DataError
        If the shape of ``values`` does not match, times are not ascending, or a symbol or name occurs twice.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["log_return", "volatility_20"])
    >>> features
    Features(2 features, BTC/USDT, 300 rows of 1h, 2022-01-01 to 2022-01-13)
    >>> features.values.shape, features.column("log_return").shape
    ((300, 1, 2), (300, 1))
    >>> features.to_frame()["volatility_20"].tail(1).round(5).tolist()
    [0.00472]
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    interval: np.timedelta64
    comparable: bool = False

    def __post_init__(self) -> None:
        check_array("values", self.values)
        check_switch("comparable", self.comparable)
        object.__setattr__(self, "time", rising_times("time", self.time))
        check_step("interval", self.interval)
        check_names("symbols", self.symbols)
        check_names("names", self.names)
        shape = (len(self.time), len(self.symbols), len(self.names))
        if self.values.shape != shape:
            raise DataError(f"features must have the shape (n_rows, n_symbols, n_features) = {shape}, got {self.values.shape}")
        for what, several in (("names", self.names), ("symbols", self.symbols)):
            if len(set(several)) < len(several):
                raise DataError(f"the {what} of features must differ, got {few(several)}")

    @property
    def n_rows(self) -> int:
        return len(self.time)

    @property
    def start_row(self) -> int:
        """Number of the first row on the grid of whole intervals since 1970, rounded down; 0 without rows."""
        return absolute_row(self.time, self.interval)

    def rows(self, rows: slice) -> Features:
        """The features of a slice of rows, without a copy."""
        check_type("rows", rows, slice, "such as slice(0, 100)")
        return replace(self, time=self.time[rows], values=self.values[rows])

    def column(self, name: str) -> np.ndarray:
        """One feature, shape (n_rows, n_symbols)."""
        return np.ascontiguousarray(self.values[:, :, self.index(name)])

    def index(self, name: str) -> int:
        check_type("name", name, str, "the name of a feature")
        if name not in self.names:
            hint = did_you_mean(name, self.names)
            raise ConfigError(f"no such feature: {shown(name)}; these features have {few(self.names)}{hint}")
        return self.names.index(name)

    def select(self, names: Sequence[str]) -> Features:
        """A copy with the named features only, in that order."""
        check_names("names", names)
        cols = [self.index(name) for name in names]
        return replace(self, names=tuple(names), values=self.values[:, :, cols])

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.names), "feature")
        yield symbols_fact(self.symbols)
        yield from grid_facts(self.time, self.interval)

    def to_frame(self) -> pd.DataFrame:
        """One column a feature, by ``time`` (UTC) and ``symbol``."""
        time = pd.DatetimeIndex(self.time, tz="UTC")
        index = pd.MultiIndex.from_product([time, self.symbols], names=["time", "symbol"])
        return pd.DataFrame(self.values.reshape(-1, len(self.names)), index, list(self.names))

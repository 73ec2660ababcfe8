"""A function of one symbol's features as a detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import called
from foreshock.data.show.shown import shown
from foreshock.detectors.own.base import OwnThing, checked_name, source_digest
from foreshock.engine.features.features import Features


class FunctionDetector(OwnThing):
    """A function from the features of one symbol to a score for each row.

    The function gets a DataFrame of one symbol, indexed by time (UTC), whose columns are the features, and returns a Series on
    that index or an array of its length; higher is stranger. It learns nothing. How many earlier rows a score needs is measured.
    A row without any known feature gets NaN.

    Parameters
    ----------
    function : callable
        The function; ``params`` are passed to it by keyword.
    name : str, optional
        By default the name of the function.
    params : dict, optional
        Further keywords of the function.

    Examples
    --------
    >>> import foreshock as fs
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
    >>> def last_move(frame):
    ...     return frame["log_return"].abs()
    >>> detector = fs.as_detector(last_move).fit(features)
    >>> detector.name, detector.score(features).values[-2:].ravel().round(5)
    ('last_move', array([0.00433, 0.00287]))
    """

    # pandas and BLAS may round a sum by where the history begins.
    tolerance = 1e-9

    def __init__(
        self, function: Callable[..., Any] | None = None, name: str | None = None, params: dict[str, Any] | None = None
    ) -> None:
        self.function = function
        self.name = checked_name(name, getattr(function, "__name__", type(function).__name__).strip("<>"))
        self.params = params

    def described(self) -> dict[str, Any]:
        return {"name": self.name, "function": getattr(self.function, "__qualname__", self.name), **self._code()}

    def _code(self) -> dict[str, Any]:
        return {"sha256": source_digest(self.function), **(self.params or {})}

    def _score(self, features: Features) -> np.ndarray:
        assert self.function is not None
        index = pd.DatetimeIndex(features.time, tz="UTC", name="time")
        out = np.full((features.n_rows, len(features.symbols)), np.nan)
        for i, symbol in enumerate(features.symbols):
            frame = pd.DataFrame(features.values[:, i].copy(), index, list(features.names))
            found = called(self.name, "function", lambda frame=frame: self.function(frame, **(self.params or {})))  # pyright: ignore[reportOptionalCall]
            out[:, i] = self._checked(found, index, symbol)
        out[np.isnan(features.values).all(axis=2)] = np.nan
        return out

    def _checked(self, found: Any, index: pd.DatetimeIndex, symbol: str) -> np.ndarray:
        if isinstance(found, pd.DataFrame) and found.shape[1] == 1:
            found = found.iloc[:, 0]
        if isinstance(found, pd.Series) and not found.index.equals(index):
            found = found.reindex(index) if found.index.isin(index).all() and found.index.is_unique else found.to_numpy()
        # numpy would convert dates, durations and complex numbers to numbers.
        kind = getattr(getattr(found, "dtype", None), "kind", "")
        try:
            if kind in ("m", "M", "c"):
                raise TypeError
            values = np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError):
            raise ConfigError(f"{self.name} must return numbers for {symbol}, got {shown(found)}; return a Series") from None
        if values.shape != (len(index),):
            raise ConfigError(
                f"{self.name} must return one score for each of the {len(index)} rows of {symbol}, got the shape {values.shape}; "
                f"return a Series on the index of the frame"
            )
        if np.isinf(values).any():
            row = index[int(np.flatnonzero(np.isinf(values))[0])]
            raise ConfigError(f"{self.name} gives {symbol} an infinite score at {row}; return NaN where none is known")
        return values

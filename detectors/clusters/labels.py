"""Regimes of rows and symbols: labels, names, and the rules that bars of a name satisfy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from foreshock.data.show.facts import Shown, counted, span_facts, symbols_fact
from foreshock.data.show.shown import few

# The number of regimes, its limits, and the features that name regimes by default; features that lack one have another that
# stands nearest to it.
N, FEWEST, MOST = 4, 2, 8
VOLATILITY, TREND = "volatility_20", "return_24"
REGIMES = ("calm", "high volatility", "bullish momentum", "bearish")
# What a bar of a named regime does, with the names of the two features by which regimes are named.
RULES = (
    "{volatility} below the upper quartile of the training bars of its symbol",
    "{volatility} above the median of the training bars of its symbol",
    "{trend} above 0",
    "{trend} below 0",
)
# A regime has a name if at least this share of its bars satisfies the rule of the name.
HOLDS = 0.9
UNKNOWN = np.int8(-1)


@dataclass(frozen=True, repr=False)
class Regimes(Shown):
    """Regime of each row and symbol: ``names[labels[t, i]]``, known at the close of row t.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_rows,)
        Open times of the rows, UTC.
    symbols : tuple of str
        Names of the columns of ``labels``.
    labels : ndarray of int8, shape (n_rows, n_symbols)
        Position of the regime in ``names``; -1 where a feature is unknown.
    names : tuple of str
        Names of the regimes; one without a name is called by its number, such as ``"regime 2"``.
    rules : tuple of str
        What the bars of each regime do; empty for a regime that is called by its number. May be left out.
    holds : tuple of float
        Share of the bars of each regime that satisfy its rule; NaN for one that is called by its number. May be left out.

    Examples
    --------
    >>> import foreshock as fs
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_bars=2_000).bars, ["volatility_20", "return_24"])
    >>> regimes = fs.make_detector("kmeans_regime", n_regimes=3).fit(features).regimes(features)
    >>> regimes.names
    ('calm', 'high volatility', 'bearish')
    >>> regimes.rules[2], min(regimes.holds) >= 0.9
    ('return_24 below 0', True)
    >>> regimes.labels.shape
    (2000, 8)
    >>> round(sum(regimes.share().values()), 6)
    1.0
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    labels: np.ndarray
    names: tuple[str, ...]
    rules: tuple[str, ...] = ()
    holds: tuple[float, ...] = ()

    def share(self) -> dict[str, float]:
        """Share of the known rows in each regime, from 0 to 1, all symbols together; NaN if no row is known."""
        known = self.labels[self.labels != UNKNOWN]
        return {name: float((known == i).mean()) if len(known) else float("nan") for i, name in enumerate(self.names)}

    def _facts(self) -> Iterator[str]:
        yield few(self.names)
        yield symbols_fact(self.symbols)
        yield counted(len(self.time), "row")
        yield from span_facts(self.time)

    def to_frame(self) -> pd.DataFrame:
        """Names of the regimes by time (UTC), one column per symbol; None where unknown."""
        names = np.array([*self.names, None], dtype=object)
        return pd.DataFrame(names[self.labels], pd.DatetimeIndex(self.time, name="time", tz="UTC"), list(self.symbols))

    def rows_frame(self) -> pd.DataFrame:
        """Long table of the rows whose regime is known: time (UTC without a zone), symbol, regime."""
        rows, cols = np.nonzero(self.labels != UNKNOWN)
        symbols, names = pd.CategoricalDtype(list(self.symbols)), pd.CategoricalDtype(list(self.names))
        return pd.DataFrame(
            {
                "time": self.time[rows],
                "symbol": pd.Categorical.from_codes(cols, dtype=symbols),
                "regime": pd.Categorical.from_codes(self.labels[rows, cols], dtype=names),
            }
        )

    def checked(self) -> Regimes:
        """The same labels; a regime whose rule fewer than 90 % of these bars satisfy is called by a number."""
        names, rules, holds = list(self.names), list(self.rules), list(self.holds)
        for k, share in enumerate(holds):
            if share < HOLDS:
                free = next(number for number in range(1, len(names) + 2) if f"regime {number}" not in names)
                names[k], rules[k], holds[k] = f"regime {free}", "", float("nan")
        return replace(self, names=tuple(names), rules=tuple(rules), holds=tuple(holds))


REGIME_FILES = ("regimes.parquet", "regimes.csv")


def write_regimes(regimes: Regimes, paths: Mapping[str, Path]) -> None:
    """Write time (UTC), symbol and regime of every row whose regime is known."""
    rows = regimes.rows_frame()
    rows.to_parquet(paths["regimes.parquet"], compression="zstd", index=False)
    rows.to_csv(paths["regimes.csv"], index=False)

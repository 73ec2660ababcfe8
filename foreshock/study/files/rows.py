"""Every row of a study in one Parquet file: what the tables of its page are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from foreshock.data.bars import Bars
from foreshock.detectors.clusters.regimes import Regimes
from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores, Signals

# Cells (rows times symbols) of a row group: a history of any length is written in little memory.
CELLS = 100_000
PRICES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class StudyRows:
    """What a study knows of its rows; see ``StudyResult.save`` for the columns.

    Parameters
    ----------
    bars : Bars
    features : Features or None
        What the detectors saw, on the rows of the bars.
    scores, signals : dict
        By detector.
    regimes : Regimes
    """

    bars: Bars
    features: Features | None
    scores: Mapping[str, Scores]
    signals: Mapping[str, Signals]
    regimes: Regimes

    def write(self, path: Path) -> int:
        """Write one row for each bar and symbol, by time; returns the number of rows."""
        writer, n_rows = None, 0
        try:
            for table in self.tables():
                writer = ParquetWriter(path, table.schema, compression="zstd") if writer is None else writer
                writer.write_table(table)
                n_rows += len(table)
        finally:
            if writer is not None:
                writer.close()
        return n_rows

    def tables(self) -> Iterator[pa.Table]:
        """The rows in runs of at most ``CELLS``, but at least one bar of every symbol."""
        n_bars, step = self.bars.n_bars, max(CELLS // self.bars.n_symbols, 1)
        for first in range(0, n_bars, step):
            yield self._table(slice(first, min(first + step, n_bars)))

    def _table(self, rows: slice) -> pa.Table:
        bars, features, regimes = self.bars, self.features, self.regimes
        n, n_symbols = rows.stop - rows.start, bars.n_symbols
        columns: dict[str, pa.Array] = {
            "time": pa.array(np.repeat(bars.time[rows], n_symbols).astype("datetime64[us]"), pa.timestamp("us", "UTC")),
            "symbol": _words(np.tile(np.arange(n_symbols), n), bars.symbols),
        }
        columns |= {name: _numbers(getattr(bars, name)[rows]) for name in PRICES}
        columns |= {name: _numbers(values[rows]) for name, values in bars.extras.items()}
        if features is not None:
            # A feature may be called like a column of the bars.
            named = [f"feature[{name}]" if name in columns else name for name in features.names]
            columns |= {name: _numbers(features.values[rows, :, at]) for at, name in enumerate(named)}
        columns["regime"] = _words(regimes.labels[rows].ravel(), regimes.names)
        for label, found in self.signals.items():
            columns[f"score[{label}]"] = _numbers(self.scores[label].values[rows])
            columns[f"threshold[{label}]"] = _numbers(found.threshold[rows])
            # Null where nothing was decided: neither an alert nor a quiet row.
            columns[f"alert[{label}]"] = pa.array(found.active[rows].ravel(), mask=~found.decided[rows].ravel())
        return pa.table(columns)


def _numbers(values: np.ndarray) -> pa.Array:
    flat = np.ascontiguousarray(values, dtype=np.float64).ravel()
    return pa.array(flat, mask=np.isnan(flat))


def _words(codes: np.ndarray, names: tuple[str, ...]) -> pa.Array:
    """Names by number; null below 0."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(list(names), pa.string()))

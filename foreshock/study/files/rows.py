"""Every row of a study in one Parquet file: what the tables of its page are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def write_rows(
    path: Path,
    bars: Bars,
    features: Features | None,
    scores: Mapping[str, Scores],
    signals: Mapping[str, Signals],
    regimes: Regimes,
) -> int:
    """Write one row for each bar and symbol, by time; returns the number of rows. See ``StudyResult.save`` for the columns."""
    writer, n_rows = None, 0
    try:
        for table in row_tables(bars, features, scores, signals, regimes):
            writer = ParquetWriter(path, table.schema, compression="zstd") if writer is None else writer
            writer.write_table(table)
            n_rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    return n_rows


def row_tables(
    bars: Bars, features: Features | None, scores: Mapping[str, Scores], signals: Mapping[str, Signals], regimes: Regimes
) -> Iterator[pa.Table]:
    """The rows in runs of at most ``CELLS``, but at least one bar of every symbol."""
    step = max(CELLS // bars.n_symbols, 1)
    for first in range(0, bars.n_bars, step):
        yield _table(slice(first, min(first + step, bars.n_bars)), bars, features, scores, signals, regimes)


def _table(
    rows: slice,
    bars: Bars,
    features: Features | None,
    scores: Mapping[str, Scores],
    signals: Mapping[str, Signals],
    regimes: Regimes,
) -> pa.Table:
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
    for label, found in signals.items():
        columns[f"score[{label}]"] = _numbers(scores[label].values[rows])
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

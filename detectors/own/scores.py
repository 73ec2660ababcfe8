"""Scores that were made elsewhere, from a table or a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import format_duration
from foreshock.data.reading.kinds import Kinds, lowered, names_of, refuse_doubled
from foreshock.data.reading.rows import read_rows
from foreshock.data.show.shown import few, shown
from foreshock.data.tables import TIME_NAMES, numbers, parse_times
from foreshock.detectors.own.base import OwnThing, checked_name
from foreshock.engine.features.features import Features

# Times of scores within the rows of a study of which more than this share are no rows are those of another interval.
MOST_STRAY = 0.5
# Scores are of the kind that their values show, since each column of a wide table is one of scores.
COLUMNS = Kinds(times=TIME_NAMES, numbers=(), words=("symbol",))
KNOWN = frozenset((*TIME_NAMES, "symbol", "score"))


@door
class PrecomputedScores(OwnThing):
    """Scores from a table or a file, which are judged and traded as those of a detector.

    The time of a score is the open of its row (UTC); the score counts as known at the close of the row. Nothing is learned, and
    whether a score saw later rows cannot be checked: results and page say so. Rows without a score in the table have none.

    Parameters
    ----------
    scores : str, Path, DataFrame or Series
        CSV, Parquet or Feather file, or a table: *long*, with the columns ``time``, ``symbol`` and ``score``, of which ``symbol``
        may be missing if the study has one symbol; or *wide*, with times as index or as the column ``time``, and a column for
        each symbol.
    name : str, optional
        By default the name of the file, or ``"scores"``.

    Raises
    ------
    DataError
        If the file is missing or unreadable; if a time is no time, a score no number or infinite, or every score unknown; if a
        time and symbol stand there twice; by a study, if the scores have other times, or symbols, than the study.

    Examples
    --------
    >>> import pandas as pd
    >>> import foreshock as fs
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
    >>> table = pd.DataFrame({"time": features.time, "symbol": "BTC/USDT", "score": range(300)})
    >>> fs.PrecomputedScores(table, "theirs").fit(features).score(features).values[-2:].ravel()
    array([298., 299.])
    """

    by_row = True
    from_table = True
    keeps_typical = False

    def __init__(self, scores: Any = None, name: str | None = None) -> None:
        self.scores = scores
        path = isinstance(scores, str | Path)
        self.name = checked_name(name, Path(scores).name.split(".")[0] if path else "scores")
        self._table: pd.DataFrame | None = None

    def __sklearn_clone__(self) -> Self:
        # A clone shares the table, which is not changed and may be large.
        other = type(self)(self.scores, self.name)
        other._table = self._table
        return other

    def described(self) -> dict[str, Any]:
        table = self.table()
        digest = hashlib.sha256(np.ascontiguousarray(table.to_numpy()).tobytes())
        digest.update(np.ascontiguousarray(table.index.to_numpy()).tobytes())
        return {"name": self.name, "scores": "from a table", "n_scores": int(table.size), "sha256": digest.hexdigest()[:12]}

    def table(self) -> pd.DataFrame:
        """The scores as a wide table: times (UTC, without a zone) by symbols; the one column is "" where no symbol is named."""
        if self._table is None:
            table = _read(self.scores, self.name)
            try:
                self._table = _wide(table)
            except DataError as error:
                where = f"{self.name} ({self.scores})" if isinstance(self.scores, str | Path) else self.name
                raise DataError(f"{where}: {error}") from error
        return self._table

    def check_rows(self, features: Features) -> None:
        """Refuse scores whose times or symbols are not those of the rows.

        Raises
        ------
        DataError
            If no symbol of the scores is one of the rows, if a time in that span lies between rows, or if more than half of the
            times are none of the rows.
        """
        check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
        table = self.table()
        if list(table.columns) == [""] and len(features.symbols) > 1:
            raise DataError(
                f"{self.name} names no symbols, and the study has {len(features.symbols)}; add a column 'symbol' to the scores"
            )
        if not (set(self._columns(features)) - {None}):
            raise DataError(
                f"{self.name} has scores of {few(list(table.columns), 4)} and none of {few(features.symbols, 4)}; name the symbols "
                f"as the study does"
            )
        time = table.index.to_numpy()
        within = time[(time >= features.time[0]) & (time <= features.time[-1])]
        strays = int(np.logical_not(np.isin(within, features.time)).sum())
        if not len(within) or strays > MOST_STRAY * len(within):
            what = f"{strays} of {len(within)} are no rows" if len(within) else f"from {time[0]} to {time[-1]}"
            raise DataError(
                f"{self.name} has scores at other times than the study, whose rows open from {features.time[0]} to "
                f"{features.time[-1]}: {what}; stamp each score with the open of its bar, in UTC"
            )
        off = (within - features.time[0]) % features.interval != np.timedelta64(0)
        if off.any():
            raise DataError(
                f"{self.name} has scores at {int(off.sum())} times between the rows of the study, which are "
                f"{format_duration(features.interval)} apart, the first at {within[off][0]}; stamp each score with the open of its "
                f"bar, in UTC"
            )
        values = self._score(features)
        if np.isnan(values).all():
            raise DataError(f"{self.name} has no known score on the rows of the study, NaN everywhere; pass scores of these rows")

    def _columns(self, features: Features) -> list[str | None]:
        """The column of the scores of each symbol."""
        known = self.table().columns
        if list(known) == [""] and len(features.symbols) == 1:
            return [""]
        return [name if name in known else None for name in features.symbols]

    def _score(self, features: Features) -> np.ndarray:
        columns = self._columns(features)
        out = np.full((features.n_rows, len(features.symbols)), np.nan)
        places = self.table().index.get_indexer(pd.DatetimeIndex(features.time))
        for i, column in enumerate(columns):
            if column is not None:
                out[:, i] = np.where(places >= 0, self.table()[column].to_numpy()[places], np.nan)
        return out

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:  # noqa: ARG002
        # Nobody knows what they were made of.
        return np.full((len(rows), len(features.names)), np.nan)


def _read(scores: Any, name: str) -> pd.DataFrame:
    if isinstance(scores, pd.Series):
        return scores.rename("score").to_frame()
    if isinstance(scores, pd.DataFrame):
        return scores
    if not isinstance(scores, str | Path):
        raise ConfigError(f"scores must be a file or a table with time, symbol and score, got {shown(scores)}; pass a DataFrame")
    path = Path(scores)
    if not path.is_file():
        raise DataError(f"no such file of scores: {path} of {name}; pass a CSV, Parquet or Feather file")
    return read_rows(path, COLUMNS, "scores")


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    refuse_doubled(table.columns)
    # Names of columns that are symbols keep their case.
    table = table.set_axis([lowered(one) if lowered(one) in KNOWN else str(one).strip() for one in table.columns], axis=1)
    # Numbers of rows, which a table has unless it has another index, are no times.
    if isinstance(table.index, pd.MultiIndex) or (_time_name(table) is None and not isinstance(table.index, pd.RangeIndex)):
        levels = [str(one or "time") for one in table.index.names]
        table = table.reset_index(names=[lowered(one) if lowered(one) in KNOWN else one for one in levels])
    named = _time_name(table)
    if named is None:
        raise DataError(
            f"scores need times as the column 'time' or as index, got the columns {few(list(map(str, table.columns)), 6)}; name it"
        )
    time = parse_times(table[named])
    if "score" in table.columns:
        codes, symbols = names_of(table["symbol"]) if "symbol" in table.columns else (np.zeros(len(table), dtype=np.int64), [""])
        nameless = codes < 0
        if nameless.any():
            raise DataError(
                f"column symbol must have a name in every row, got {int(nameless.sum())} without, the first in row "
                f"{int(np.argmax(nameless))}; fill them in, or remove those rows"
            )
        symbol = np.array([*symbols, ""], dtype=object)[codes]
        rows = pd.DataFrame({"time": time, "symbol": symbol, "score": _numbers(table["score"])})
        twice = rows.duplicated(["time", "symbol"])
        if twice.any():
            first = rows[twice].iloc[0]
            raise DataError(f"got two scores of {first['symbol'] or 'one row'} at {first['time']}; leave one of them")
        wide = rows.pivot(index="time", columns="symbol", values="score")
    else:
        columns = {one: _numbers(table[one]) for one in table.columns if one != named}
        wide = pd.DataFrame(columns, pd.DatetimeIndex(time, name="time")).sort_index()
        if wide.index.has_duplicates:
            raise DataError(f"got two rows of scores at {wide.index[wide.index.duplicated()][0]}; leave one of them")
    values = wide.to_numpy()
    if not values.size or np.isnan(values).all():
        raise DataError("no score is known, NaN everywhere; pass a table with scores")
    if np.isinf(values).any():
        row = int(np.argwhere(np.isinf(values))[0][0])
        raise DataError(f"got an infinite score at {wide.index[row]}; write NaN where none is known")
    return wide


def _time_name(table: pd.DataFrame) -> str | None:
    return next((name for name in TIME_NAMES if name in table.columns), None)


def _numbers(column: pd.Series) -> np.ndarray:
    # A score of yes and no is 1 and 0.
    return numbers(column.astype(np.float64) if column.dtype.kind == "b" and not column.hasnans else column)

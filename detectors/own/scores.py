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
from foreshock.data.reading.kinds import Kinds, lowered
from foreshock.data.reading.rows import read_rows
from foreshock.data.show.shown import few, shown
from foreshock.data.tables import TIME_NAMES, parse_times
from foreshock.detectors.own.base import OwnThing, checked_name
from foreshock.engine.features.features import Features

# Times of scores within the rows of a study of which more than this share are no rows are those of another interval.
MOST_STRAY = 0.5
SCORES = Kinds(TIME_NAMES, ("score",), ("symbol",))


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
            self._table = _wide(_read(self.scores), self.name)
        return self._table

    def check_rows(self, features: Features) -> None:
        """Refuse scores whose times or symbols are not those of the rows.

        Raises
        ------
        DataError
            If no symbol of the scores is one of the rows, or if more than half of their times in that span are none of the rows.
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


def _read(scores: Any) -> pd.DataFrame:
    if isinstance(scores, pd.Series):
        return scores.rename("score").to_frame()
    if isinstance(scores, pd.DataFrame):
        return scores
    if not isinstance(scores, str | Path):
        raise ConfigError(f"scores must be a file or a table with time, symbol and score, got {shown(scores)}; pass a DataFrame")
    return read_rows(Path(scores), SCORES, "scores")


def _wide(table: pd.DataFrame, name: str) -> pd.DataFrame:
    dated = {lowered(one) for one in table.columns} & set(TIME_NAMES)
    # Numbers of rows, which a table has unless it has another index, are no times.
    if isinstance(table.index, pd.MultiIndex) or (not dated and not isinstance(table.index, pd.RangeIndex)):
        table = table.reset_index(names=[str(one or "time") for one in table.index.names])
    # Names of columns in any case, and those of times as in other tables; symbols keep theirs.
    known = {one: lowered(one) for one in table.columns if lowered(one) in (*TIME_NAMES, "symbol", "score")}
    table = table.rename(columns=known)
    dated = next((one for one in ("time", *TIME_NAMES) if one in table.columns), None)
    if dated is None:
        raise DataError(
            f"{name} needs times as the column 'time' or as index, got the columns {few(list(map(str, table.columns)), 6)}; name it"
        )
    table = table.rename(columns={dated: "time"})
    time = _times(table["time"], name)
    if "score" in table.columns:
        symbol = table["symbol"].astype(str) if "symbol" in table.columns else pd.Series("", table.index)
        values = _numbers(table["score"], name)
        rows = pd.DataFrame({"time": time, "symbol": symbol.to_numpy(), "score": values})
        twice = rows.duplicated(["time", "symbol"])
        if twice.any():
            first = rows[twice].iloc[0]
            raise DataError(f"{name} has two scores of {first['symbol'] or 'one row'} at {first['time']}; leave one of them")
        wide = rows.pivot(index="time", columns="symbol", values="score")
    else:
        columns = {str(one): _numbers(table[one], name) for one in table.columns if one != "time"}
        wide = pd.DataFrame(columns, pd.DatetimeIndex(time, name="time")).sort_index()
        if wide.index.has_duplicates:
            raise DataError(f"{name} has two rows of scores at {wide.index[wide.index.duplicated()][0]}; leave one of them")
    values = wide.to_numpy()
    if not values.size or np.isnan(values).all():
        raise DataError(f"{name} has no known score, NaN everywhere; pass a table with scores")
    if np.isinf(values).any():
        row = int(np.argwhere(np.isinf(values))[0][0])
        raise DataError(f"{name} has an infinite score at {wide.index[row]}; write NaN where none is known")
    return wide


def _times(column: pd.Series, name: str) -> pd.DatetimeIndex:
    try:
        return pd.DatetimeIndex(parse_times(column))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    try:
        return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:120]
        raise DataError(f"{name} has a score in {shown(str(column.name))} that is no number: {said}; leave it empty") from error

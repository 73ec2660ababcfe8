"""A study's result read back from the folder that it was saved in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from foreshock.comparison.comparison import load_results
from foreshock.data.bars import Bars
from foreshock.data.checks import check_names, check_path, check_switch
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import parse_duration
from foreshock.data.reading.kinds import Kinds
from foreshock.data.reading.rows import naming, read_rows
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, one_line, shown
from foreshock.data.system.disk import write_whole
from foreshock.data.tables import parse_times
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.validation.verdict import Verdict
from foreshock.study.files.alerts import WORDS, with_words
from foreshock.study.files.manifest import as_written, check_of_run, read_manifest
from foreshock.study.files.rows import PRICES
from foreshock.study.files.summary import summary_table, told_beside
from foreshock.text_table import summary_in_words


@door
@dataclass(frozen=True, repr=False)
class SavedResult(Shown):
    """The result of a study, from its files; ``fs.load_result`` makes one. It runs no code but foreshock's own.

    Parameters
    ----------
    folder : Path
        The folder that ``foreshock run`` or ``StudyResult.save`` wrote.
    results : dict
        The content of results.json: JSON types, fractions, None where not known.
    digests : dict of str to str, optional
        SHA-256 of each file of the run, by name, from files.json; None for a folder of a version that wrote none.

    Examples
    --------
    >>> import foreshock as fs
    >>> result = fs.load_result("foreshock-out/study")  # doctest: +SKIP
    >>> result.summary()  # doctest: +SKIP
    >>> result.alerts_frame().groupby("detector")["tail_probability"].min()  # doctest: +SKIP
    """

    folder: Path
    results: dict[str, Any]
    digests: dict[str, str] | None = None

    @property
    def title(self) -> str:
        """Heading of the report."""
        with self._reading():
            return str(self.results["config"].get("title", ""))

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Verdict by detector label."""
        with self._reading():
            found = self.results["detectors"].items()
            return {label: Verdict(one["verdict"], one["verdict_horizon"], one["sentence"]) for label, one in found}

    @property
    def bars(self) -> Bars:
        """The cleaned history."""
        table = self.rows_frame(["time", "symbol", *PRICES])
        with self._reading():
            symbols = tuple(self.results["data"]["symbols"])
            columns = {name: table[name].to_numpy(dtype=np.float64).reshape(-1, len(symbols)) for name in PRICES}
            return Bars(time=self._times(table), symbols=symbols, interval=self._interval(), **columns)

    @property
    def scores(self) -> dict[str, Scores]:
        """Scores by detector label, on the rows of ``bars``, without their folds."""
        with self._reading():
            return {
                label: Scores(time, symbols, columns["score"].astype(np.float64), self._interval())
                for label, (time, symbols, columns) in self._by_detector(["score"]).items()
            }

    @property
    def signals(self) -> dict[str, Signals]:
        """Alerts by detector label, on the rows of ``bars``."""
        found = {}
        with self._reading():
            for label, (time, symbols, columns) in self._by_detector(["threshold", "alert"]).items():
                decided = ~pd.isna(columns["alert"])
                active = np.where(decided, columns["alert"], False).astype(bool)
                rate = self.results["detectors"][label]["alert_rate"]["nominal"]
                level = columns["threshold"].astype(np.float64)
                nominal = float("nan") if rate is None else float(rate)
                found[label] = Signals(time, symbols, active, level, decided, self._interval(), nominal)
        return found

    def _by_detector(self, names: Sequence[str]) -> dict[str, tuple[np.ndarray, tuple[str, ...], dict[str, np.ndarray]]]:
        """Time, symbols and some columns of each detector, (n_rows, n_symbols)."""
        labels, symbols = list(self.results["detectors"]), tuple(self.results["data"]["symbols"])
        table = self.rows_frame(["time", *(f"{name}[{label}]" for label in labels for name in names)])
        time = self._times(table)
        return {
            label: (
                time,
                symbols,
                {name: table[f"{name}[{label}]"].to_numpy(dtype=object).reshape(-1, len(symbols)) for name in names},
            )
            for label in labels
        }

    def _reading(self) -> AbstractContextManager[None]:
        return as_written(self.folder / "results.json")

    def _interval(self) -> np.timedelta64:
        return parse_duration(self.results["data"]["interval"])

    def _times(self, table: pd.DataFrame) -> np.ndarray:
        every = table["time"].dt.tz_convert(None).to_numpy(dtype="datetime64[us]")
        return np.ascontiguousarray(every[:: len(self.results["data"]["symbols"])])

    def __str__(self) -> str:
        """The short summary, one row for each detector, in at most 80 columns."""
        with self._reading():
            table = summary_in_words(self.summary(short=True).reset_index().to_dict("records"))
            return "\n".join([table, *told_beside(self.results)])

    def summary(self, short: bool = False) -> pd.DataFrame:
        """One row for each detector; see ``StudyResult.summary``."""
        check_switch("short", short)
        with self._reading():
            return summary_table(self.results, short)

    def to_frame(self) -> pd.DataFrame:
        """``summary()``: one row a detector, by ``detector``."""
        return self.summary()

    def report(self, path: str | Path) -> Path:
        """Write the page as it was saved.

        Parameters
        ----------
        path : str or Path
            File to write.
        """
        check_path("path", path)
        path = Path(path)
        write_whole(path, self._file("report.html").read_bytes())
        return path

    def scores_frame(self) -> pd.DataFrame:
        """Long table of the decided rows: time, symbol, detector, score, threshold, alert."""
        return self._table("scores.parquet")

    def trades_frame(self) -> pd.DataFrame:
        """Long table of all fills; the first column is the strategy's name."""
        return self._table("trades.parquet")

    def alerts_frame(self) -> pd.DataFrame:
        """One row for each alert, by detector and time; see ``StudyResult.alerts_frame``."""
        path = self._file("alerts.csv")
        table = read_rows(path, Kinds(times=("time",), numbers=(), words=WORDS), "alerts")
        with naming(path):
            table = table.assign(time=parse_times(table["time"]) if len(table) else np.zeros(0, dtype="datetime64[us]"))
        return with_words(table)

    def rows_frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Every bar of every symbol, by time: prices, features, regime, and each detector's score, threshold and alert.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns to read, such as ``["time", "symbol", "score[zscore]"]``; all by default.

        Raises
        ------
        ConfigError
            If there is no such column.
        """
        if columns is not None:
            check_names("columns", columns)
            columns = [str(name) for name in columns]
            with naming(self._file("rows.parquet")):
                known = pq.read_schema(self._file("rows.parquet")).names
            missing = [name for name in columns if name not in known]
            if missing:
                raise ConfigError(f"rows.parquet has no column {few(missing)}; it has {few(known, 8)}")
        return self._table("rows.parquet", columns)

    def _table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        path = self._file(name)
        with naming(path):
            return pq.read_table(path, columns=None if columns is None else list(columns)).to_pandas()

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise DataError(f"no {name} in {shown(self.folder)}; run the study again, which writes it")
        check_of_run(path, self.digests)
        return path

    def _facts(self) -> Iterator[str]:
        yield shown(self.title, 40)
        yield f"of {self.folder.name}"
        yield "; ".join(f"{one_line(label, 30)} {one['verdict']}" for label, one in self.results["detectors"].items())

    def _preview(self) -> pd.DataFrame:
        return self.summary(short=True)


@door
def load_result(folder: str | Path) -> SavedResult:
    """The result of a study from the folder that it was saved in.

    Parameters
    ----------
    folder : str or Path
        A folder that ``foreshock run --out`` or ``StudyResult.save`` wrote.

    Returns
    -------
    SavedResult
        With ``summary()``, ``report()`` and the tables of a ``StudyResult``. Only JSON, CSV and Parquet are read, never pickles.

    Raises
    ------
    DataError
        If the folder has no results.json, or that of another version, it was changed, or two runs are mixed in the folder. The
        tables raise it when they are read and belong to another run.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.load_result("nowhere")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.DataError: no results.json in nowhere; pass a folder that foreshock run wrote, or a study file
    """
    check_path("folder", folder)
    folder = Path(folder)
    # Before the results: a run that is written meanwhile is found.
    digests = read_manifest(folder)
    found = SavedResult(folder, load_results(folder), digests)
    if digests is not None:
        check_of_run(folder / "results.json", digests)
    return found

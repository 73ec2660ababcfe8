"""Detectors on the Numenta Anomaly Benchmark, and on its first series in TSB-AD compared with the published figures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foreshock.benchmarks.common import published_row, report_row
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import bars_in, format_duration, parse_instant
from foreshock.data.reading.kinds import Kinds
from foreshock.data.reading.rows import naming, read_rows
from foreshock.data.show.shown import few, one_line, shown
from foreshock.data.system.parsed import parse_json, read_limited
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.data.tables import numbers, parse_times
from foreshock.detectors.registry import detectors, make_detector
from foreshock.engine.detection import DetectionReport, Events, detection_report, pooled_report, vus_pr
from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.quantiles import RollingQuantile

NAB_SOURCE = "https://github.com/numenta/NAB"
LABELS = Kinds(times=("timestamp",), numbers=("value", "data", "label"), words=("file",))
SHARED_DATA = "FORESHOCK_SHARED_DATA"
TSB_FILE = "001_NAB_id_1_Facility_tr_1007_1st_2014.csv"
PUBLISHED_FILE = "tsb_ad_u_vus_pr_published.csv"
TSB_SOURCE = "TSB-AD (Liu and Paparrizos 2024)"
# Mean VUS-PR over the 350 univariate series of TSB-AD.
PUBLISHED_MEANS = {"Sub-PCA": 0.423, "KMeansAD": 0.366, "LSTMAD": 0.325, "IForest": 0.298, "AutoEncoder": 0.261}
# Columns to show from the table of each series: methods with a counterpart here, and ones still planned.
PUBLISHED_METHODS = ("AutoEncoder", "Sub-PCA", "IForest", "Sub-IForest", "OFA", "MOMENT (FT)")
# Numenta's rule: the first 15 % of the rows, at most 750, are for training and are not scored.
PROBATION, MOST_PROBATION = 0.15, 750
LAGS = 100
# One alert in 500 rows: windows of NAB hold about 400 rows, which 1 % of alerts would hit by chance.
QUANTILE, THRESHOLD_ROWS = 0.998, 1000
SHORTEST_PERIOD, LONGEST_PERIOD, UNKNOWN_PERIOD = 3, 300, 125

# Detectors that see the last 100 values themselves, as Sub-PCA and the AutoEncoder of TSB-AD do.
LAGGED = ("pca", "autoencoder")

_COLUMNS = ("value", "change")
_SMALL_CODES = ("sparse_autoencoder", "denoising_autoencoder", "vae", "beta_vae", "conditional_autoencoder")
# Detectors whose defaults name columns of bars get the columns of a single series instead.
_PARAMS: dict[str, dict[str, Any]] = {
    "zscore": {"columns": _COLUMNS},
    "iqr": {"columns": _COLUMNS},
    "mad": {"columns": _COLUMNS},
    "kmeans_regime": {"volatility": f"deviation_{LAGS}", "trend": f"zscore_{LAGS}"},
    # There are four input columns, so the latent size must be below 4.
    **{name: {"latent": 2} for name in _SMALL_CODES},
    "ensemble": {"params": {"zscore": {"columns": _COLUMNS}, "pca": {"n_components": 2}}},
}


@dataclass(frozen=True)
class Series:
    """One labelled series.

    ``values`` has shape (n_rows,), and the first ``n_train`` rows are for training. ``n_doubled``, ``n_backward`` and ``n_late``
    count the time stamps of the file that equal the previous one, lie before it, or come more than one interval after it.
    """

    name: str
    time: np.ndarray
    values: np.ndarray
    interval: np.timedelta64
    events: Events
    n_train: int
    n_doubled: int = 0
    n_backward: int = 0
    n_late: int = 0


@with_one_blas_thread
def nab_benchmark(folder: Path, seed: int = 0, on_step: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Run every registered detector that works on a single column on each series of NAB and on the first of TSB-AD.

    A detector is fitted on the rows before the first scored one (NAB: the first 15 %, at most 750; TSB-AD: the number in the
    file's name) and is not refitted; the figures count the later rows only. Features are the value, its change from the row before,
    and deviation and z-score over 100 rows; ``pca`` and ``autoencoder`` see the last 100 values instead. The rows called ``all
    series`` pool the events, average AUC-PR and VUS-PR, and get their intervals by resampling series. The buffers of VUS-PR are
    one period of the series long, the lag of the highest peak of its autocorrelation, as in TSB-AD.

    Parameters
    ----------
    folder : Path
        Folder with ``combined_windows.json`` and ``data/*.csv`` of NAB; the series and the table of TSB-AD are optional.
    seed : int
        Seed of the bootstrap intervals and of the chance level.
    on_step : callable
        Called with the name of each series when it is done, once for each of ``nab_files(folder)``.

    Returns
    -------
    dict
        ``rows``, ``notes``, ``settings``, ``seeds``.

    Raises
    ------
    DataError
        If a file is missing or malformed.
    """
    reports: dict[str, dict[str, DetectionReport]] = {}
    rows: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    clocks: list[dict[str, Any]] = []
    for path in nab_files(folder):
        series = read_tsb(path) if path.name == TSB_FILE else read_nab(path, folder / "combined_windows.json")
        if series.n_doubled or series.n_backward or series.n_late:
            clocks.append(
                {"series": series.name, "doubled": series.n_doubled, "backward": series.n_backward, "late": series.n_late}
            )
        window = period(series.values)
        for name, scores in scored_series(series, refused):
            report = _report(series, scores, window, seed)
            row = report_row(name, report, series=series.name, window_rows=window)
            if path.name == TSB_FILE:
                labels = series.events.labels()
                filled = np.where(np.isnan(scores.values), np.nanmin(scores.values), scores.values)
                row["vus_pr_all_rows"] = vus_pr(filled, labels, window)
            else:
                reports.setdefault(name, {})[series.name] = report
            rows.append(row)
        on_step(series.name)
    pooled = [
        report_row(name, pooled_report(list(found.values()), seed=seed), series="all series", n_series=len(found))
        for name, found in reports.items()
    ]
    notes = [f"{name} does not run on a single column: {reason}" for name, reason in refused.items()]
    notes.append(
        "published figures score the series they were fitted on (IForest, Sub-PCA) or windows around a row (Sub-PCA, AutoEncoder); "
        "ours learn from the rows before and use no later row; vus_pr_all_rows counts the training rows, as theirs does"
    )
    settings = {"quantile": QUANTILE, "threshold_rows": THRESHOLD_ROWS, "cooldown": "1d", "lags": LAGS, "clock": clocks}
    return {"rows": pooled + rows + _published(folder), "notes": notes, "settings": settings, "seeds": {"bootstrap": seed}}


def nab_folder(data: Path | None) -> Path:
    """The folder to read: ``data``, or ``nab`` in the folder that the variable FORESHOCK_SHARED_DATA names.

    Raises
    ------
    ConfigError
        If neither is given. There is no default folder, because the series do not come with the package.
    """
    shared = os.environ.get(SHARED_DATA)
    if data is None and not shared:
        raise ConfigError(
            "the NAB benchmark needs a folder with combined_windows.json and data/*.csv: copy labels/combined_windows.json and the "
            f"series under data/ from {NAB_SOURCE}, and pass --data DIR"
        )
    return Path(shared or "") / "nab" if data is None else data


def nab_files(folder: Path) -> list[Path]:
    """The series of NAB in order of name, then that of TSB-AD.

    Raises
    ------
    DataError
        If there are none.
    """
    files = sorted((folder / "data").glob("*.csv"))
    if not files or not (folder / "combined_windows.json").is_file():
        raise DataError(f"{folder} must hold combined_windows.json and data/*.csv of NAB; pass the folder that does")
    return files + [path for path in [folder / TSB_FILE] if path.is_file()]


def read_nab(path: Path, windows: Path) -> Series:
    """A series of NAB with its labelled windows.

    Rows keep the order of the file: a repeated or backward time stamp (a clock change) counts as an ordinary reading. Row r opens
    at the first stamp plus r times the most common step; labelled windows are located by the stamps of the file.

    Raises
    ------
    DataError
        If a file is missing or malformed, or a labelled window is no pair of times, ends before it begins, or holds no row of the
        series.
    """
    table = _read(path, ["timestamp", "value"])
    with naming(path):
        stamps = parse_times(table["timestamp"])
    spans = [_rows_of(stamps, window, path, windows) for window in _labelled(path, windows)]
    start, stop = (np.array([span[side] for span in spans], dtype=np.int64) for side in (0, 1))
    steps = np.diff(stamps)
    kinds, counts = np.unique(steps, return_counts=True)
    interval = kinds[np.argmax(counts)].astype("timedelta64[us]")
    n, zero = len(table), np.timedelta64(0, "us")
    return Series(
        path.stem,
        stamps[0] + interval * np.arange(n),
        numbers(table["value"]),
        interval,
        Events(np.zeros(len(start), dtype=np.int64), start, stop, (n, 1)),
        min(int(PROBATION * n), MOST_PROBATION),
        *(int(found.sum()) for found in (steps == zero, steps < zero, steps > interval)),
    )


def _labelled(path: Path, windows: Path) -> list[Any]:
    """The labelled windows of one series of NAB."""
    try:
        labelled = parse_json(read_limited(windows))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{windows} cannot be read as JSON: {one_line(str(error), 160)}; pass NAB's combined_windows.json"
        ) from error
    named = {Path(name).name: spans for name, spans in labelled.items()} if isinstance(labelled, dict) else {}
    if path.name not in named:
        raise DataError(f"{windows} has no windows of {path.name}; pass the file that belongs to the data")
    if not isinstance(named[path.name], list):
        raise DataError(f"{windows} must have a list of windows for {path.name}, got {shown(named[path.name])}; correct it")
    return named[path.name]


def _rows_of(stamps: np.ndarray, window: Any, path: Path, windows: Path) -> tuple[int, int]:
    """The first row of a labelled window and the first row after it."""
    try:
        first, last = (parse_instant(edge) for edge in window)
    except (ConfigError, TypeError, ValueError) as error:
        raise DataError(f"{windows}: a window of {path.name} must be two times, got {shown(window)}; correct it") from error
    inside = np.flatnonzero((stamps >= first) & (stamps <= last))
    if not inside.size:
        why = "it ends before it begins" if last < first else f"the series runs from {stamps.min()} to {stamps.max()} with gaps"
        raise DataError(
            f"{windows}: the window from {first} to {last} holds no row of {path.name}: {why}; correct it, or remove it"
        )
    return int(inside[0]), int(inside[-1]) + 1


def read_tsb(path: Path) -> Series:
    """A series of TSB-AD, whose file name holds the number of training rows; times are those of the source series in NAB."""
    table = _read(path, ["Data", "Label"])
    label = numbers(table["Label"]) > 0
    edges = np.diff(np.concatenate([[0], label.astype(np.int8), [0]]))
    start, stop = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    matched = re.search(r"_tr_(\d+)_", path.name)
    if not matched:
        raise DataError(f"{path.name} has no number of training rows (_tr_<n>_) in its name; keep the file name of TSB-AD")
    interval = np.timedelta64(300_000_000, "us")
    time = np.datetime64("2014-03-07T03:46", "us") + interval * np.arange(len(table))
    events = Events(np.zeros(len(start), dtype=np.int64), start, stop, (len(table), 1))
    return Series(path.stem, time, numbers(table["Data"]), interval, events, int(matched[1]))


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    table = read_rows(path, LABELS, "a series")
    missing = [name for name in columns if name not in table]
    if missing or table[columns].isna().any(axis=None):
        raise DataError(f"{path} must have the columns {', '.join(columns)} without gaps, got {few(table.columns)}")
    return table


def scored_series(series: Series, refused: dict[str, str]) -> Iterator[tuple[str, Scores]]:
    """Scores of every detector that works on the series, fitted on its training rows; ``refused`` gets the others and why."""
    general, lagged, bar_like = series_features(series), lag_features(series), bar_features(series)
    for name in detectors():
        if name.startswith("pyod:"):
            continue
        features = lagged if name in LAGGED else bar_like if name in ("rolling_volatility", "volatility_only") else general
        try:
            fitted = make_detector(name, **_PARAMS.get(name, {})).fit(features.rows(slice(0, series.n_train)))
            yield name, fitted.score(features)
        except ConfigError as error:
            refused[name] = str(error)


def series_features(series: Series) -> Features:
    """Value, change from the previous row, and standard deviation and z-score over 100 rows (z-score NaN where these are flat)."""
    x = series.values
    change = np.full(len(x), np.nan)
    change[1:] = np.diff(x)
    # Each window is computed from its 100 values: running sums would lose precision, and the series are short.
    spans = np.lib.stride_tricks.sliding_window_view(x, LAGS)
    deviation, score = np.full(len(x), np.nan), np.full(len(x), np.nan)
    deviation[LAGS - 1 :] = spans.std(axis=1, ddof=1)
    flat = spans.max(axis=1) == spans.min(axis=1)
    deviation[LAGS - 1 :][flat] = 0.0
    np.divide(x[LAGS - 1 :] - spans.mean(axis=1), deviation[LAGS - 1 :], out=score[LAGS - 1 :], where=~flat)
    return _features(series, ("value", "change", f"deviation_{LAGS}", f"zscore_{LAGS}"), [x, change, deviation, score])


def lag_features(series: Series) -> Features:
    """The last 100 values, newest first."""
    spans = np.full((len(series.values), LAGS), np.nan)
    spans[LAGS - 1 :] = np.lib.stride_tricks.sliding_window_view(series.values, LAGS)[:, ::-1]
    return _features(series, tuple(f"lag_{i}" for i in range(LAGS)), list(spans.T))


def bar_features(series: Series) -> Features:
    """The change, named ``log_return`` for the volatility detectors; values may be zero or negative, so there is no logarithm."""
    change = np.full(len(series.values), np.nan)
    change[1:] = np.diff(series.values)
    return _features(series, ("log_return",), [change])


def _features(series: Series, names: tuple[str, ...], columns: list[np.ndarray]) -> Features:
    return Features(series.time, (series.name,), names, np.column_stack(columns)[:, None, :], series.interval)


def period(x: np.ndarray, n_lags: int = 400) -> int:
    """Lag of the highest peak of the autocorrelation between 3 and 300 rows; 125 if there is no peak."""
    x = x - x.mean()
    power = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    lags = np.fft.irfft(power)[SHORTEST_PERIOD - 1 : min(n_lags, len(x) - 1) + 1]
    peaks = np.flatnonzero((lags[1:-1] > lags[:-2]) & (lags[1:-1] > lags[2:])) + 1
    if not len(peaks):
        return UNKNOWN_PERIOD
    best = int(peaks[np.argmax(lags[peaks])]) + SHORTEST_PERIOD - 1
    return best if best <= LONGEST_PERIOD else UNKNOWN_PERIOD


def _report(series: Series, scores: Scores, window: int, seed: int) -> DetectionReport:
    signals = scores.signals(RollingQuantile(QUANTILE, window=format_duration(THRESHOLD_ROWS * series.interval)))
    counted = np.zeros(scores.values.shape, dtype=bool)
    counted[series.n_train :] = True
    cooldown = bars_in("1d", series.interval)
    return detection_report(scores, signals, series.events, cooldown=cooldown, window=window, counted=counted, seed=seed)


def _published(folder: Path) -> list[dict[str, Any]]:
    rows = [
        published_row(name, TSB_SOURCE, value, series="TSB-AD-U, mean of 350 series", n_series=350)
        for name, value in PUBLISHED_MEANS.items()
    ]
    path = folder / PUBLISHED_FILE
    if not path.is_file():
        return rows
    table = _read(path, ["file", *PUBLISHED_METHODS])
    of_series = table[table["file"] == TSB_FILE]
    return rows + [
        published_row(name, TSB_SOURCE, value, series=Path(TSB_FILE).stem, vus_pr_all_rows=value)
        for name in PUBLISHED_METHODS
        for value in map(float, of_series[name])
    ]

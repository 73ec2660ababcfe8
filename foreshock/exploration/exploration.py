"""Exploration of a history before any detector is run on it: faults, returns, features, volatility and regimes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_duration, check_path, check_seed, check_text
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.interval import Duration
from foreshock.data.quality.clean import QualityReport, clean
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import shown
from foreshock.data.system.disk import written_together
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.detectors.clusters.labels import REGIME_FILES, N, Regimes, write_regimes
from foreshock.detectors.clusters.regimes import check_regimes
from foreshock.exploration import sections
from foreshock.plain import bars_section, plain, versions

SCHEMA_VERSION = 1
# At most this many runs of findings are listed; all are counted.
RUNS_LISTED = 2_000


@door
@dataclass(frozen=True, repr=False)
class Exploration(Shown):
    """Description of a history. It uses all bars at once, so it is for plots, and no signal may be built on it.

    Parameters
    ----------
    title : str
        Heading of the page.
    results : dict
        The content of eda.json: JSON types, fractions, None where not known. ``omitted`` lists what could not be computed, and why.
    bars : Bars
        The history after cleaning.
    quality : QualityReport
        Findings of the cleaning.
    regimes : Regimes, optional
        Regime of each row, learned from the whole history; None if it is too short.

    Examples
    --------
    >>> import foreshock as fs
    >>> found = fs.explore(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
    >>> found.summary().loc["BTC/USDT", ["n_bars", "gaps", "findings"]].astype(int).tolist()
    [300, 0, 0]
    """

    title: str
    results: dict[str, Any]
    bars: Bars
    quality: QualityReport
    regimes: Regimes | None = None

    def summary(self) -> pd.DataFrame:
        """One row for each symbol: bars, gaps, findings, and moments of its log returns."""
        counts = self.quality.table
        rows = {
            symbol: {
                "n_bars": counts.loc[symbol, "n_bars"],
                "gaps": counts.loc[symbol, "gaps"],
                "findings": counts.loc[symbol].drop(["n_bars", "gaps"]).sum(),
                **{key: moments[key] for key in ("mean", "std", "skew", "kurtosis", "far", "min", "max")},
            }
            for symbol, moments in self.results["returns"].items()
        }
        table = pd.DataFrame.from_dict(rows, orient="index")
        table.index.name = "symbol"
        return table.astype(dict.fromkeys(table.columns.drop(["n_bars", "gaps", "findings"]), float))

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write eda.json; an earlier file stays until the new one is complete."""
        check_path("path", path)
        from foreshock.reports.parts.html import save

        save(json.dumps(self.results, indent=1, allow_nan=False), path)
        return Path(path)

    def report(self, path: str | os.PathLike[str], command: str = "foreshock eda DATA") -> Path:
        """Write the self-contained HTML page; an earlier file stays until the new one is complete."""
        check_path("path", path)
        from foreshock.reports.exploration.page import EdaReport

        EdaReport(self.title, self.results, command).save(path)
        return Path(path)

    def save(self, folder: str | os.PathLike[str], command: str = "foreshock eda DATA") -> Path:
        """Write ``eda.html``, ``eda.json``, and the regime of each row as ``regimes.parquet`` and ``regimes.csv`` into a folder."""
        check_path("folder", folder)
        folder = Path(folder)
        with written_together(folder, ("eda.html", "eda.json", *(REGIME_FILES if self.regimes is not None else ()))) as partial:
            self.to_json(partial["eda.json"])
            self.report(partial["eda.html"], command)
            if self.regimes is not None:
                write_regimes(self.regimes, partial)
        return folder

    def _facts(self) -> Iterator[str]:
        yield shown(self.title, 40)
        yield from self.bars._facts()
        yield counted(len(self.quality.findings), "finding")

    def _preview(self) -> pd.DataFrame:
        return self.summary()

    def to_frame(self) -> pd.DataFrame:
        """``summary()``: one row a symbol, by ``symbol``."""
        return self.summary()


# One thread: the matrices are small, and the sums are then bit-equal in every run.
@door(bars=ANYTHING)
@with_one_blas_thread
def explore(
    bars: Bars | pd.DataFrame,
    interval: Duration | None = None,
    title: str = "What the data look like",
    seed: int = 0,
    n_regimes: int = N,
) -> Exploration:
    """Clean a history, and describe it.

    Parameters
    ----------
    bars : Bars or DataFrame
        History to describe; see ``fs.clean``. A table may hold duplicate, unsorted and malformed bars, which are reported.
    interval : str, optional
        Bar length of a table, such as ``"1h"``; by default its most common step.
    title : str
        Heading of the page.
    seed : int
        Seed of k-means and of the choice of rows drawn in the projection.
    n_regimes : int
        Number of regimes, 2 to 8.

    Returns
    -------
    Exploration

    Raises
    ------
    ConfigError
        If ``bars`` is neither, such as a path, or ``seed`` is not a non-negative integer.
    DataError
        If ``fs.clean`` cannot use the history. A history too short for a part of the report is not an error:
        ``results["omitted"]`` names the part.

    Examples
    --------
    >>> import foreshock as fs
    >>> found = fs.explore(fs.simulate_market(seed=7, n_symbols=2, n_bars=600).bars)
    >>> found.results["data"]["n_bars"], found.quality.count("missing"), found.results["omitted"]
    (600, 0, [])
    """
    if interval is not None:
        check_duration("interval", interval)
    check_text("title", title)
    check_seed("seed", seed)
    check_regimes(n_regimes)
    bars, quality = clean(bars, interval)
    omitted: list[dict[str, str]] = []
    content = {
        "version": SCHEMA_VERSION,
        "title": title,
        "data": _data(bars),
        "quality": _quality(quality),
        "returns": sections.returns_section(bars, omitted),
        "boxes": sections.boxes_section(bars),
        **sections.features_section(bars, omitted),
        "correlation": sections.correlation_section(bars),
        "autocorrelation": sections.autocorrelation_section(bars, omitted),
    }
    paths, regimes = sections.paths_section(bars, seed, omitted, n_regimes)
    content |= {**paths, "omitted": omitted, "seeds": {"exploration": seed}, "versions": versions()}
    return Exploration(title, plain(content), bars, quality, regimes)


def _data(bars: Bars) -> dict[str, Any]:
    return {
        **bars_section(bars),
        "extras": list(bars.extras),
        "listed": {symbol: sections.listed(bars, i) for i, symbol in enumerate(bars.symbols)},
    }


def _quality(quality: QualityReport) -> dict[str, Any]:
    table = {str(symbol): row for symbol, row in quality.table.to_dict("index").items()}
    listed = quality.runs.head(RUNS_LISTED).to_dict("records")
    return {"table": table, "n_findings": len(quality.findings), "n_runs": len(quality.runs), "runs": listed}

"""The result of a study: in memory, as tables and as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_path, check_switch
from foreshock.data.doors.door import door
from foreshock.data.quality.clean import QualityReport
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import one_line, shown
from foreshock.data.system.disk import written_together
from foreshock.detectors.clusters.labels import REGIME_FILES, Regimes, write_regimes
from foreshock.engine.features.features import Features
from foreshock.engine.risk.forecasts.path import RiskPath
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.validation.moves.forward import ForwardMoves
from foreshock.engine.validation.verdict import Verdict
from foreshock.strategies.backtest.closed_trades import closed_trades
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.identity import RANDOM
from foreshock.study.files.alerts import write_alerts
from foreshock.study.files.manifest import MANIFEST, write_manifest
from foreshock.study.files.rows import StudyRows
from foreshock.study.files.summary import summary_table, told_beside
from foreshock.text_table import summary_in_words

if TYPE_CHECKING:
    from foreshock.reports.study.page import StudyReport

FILES = ("report.html", "results.json", "alerts.csv", "rows.parquet", "scores.parquet", "trades.parquet")


@door
@dataclass(frozen=True, repr=False)
class StudyResult(Shown):
    """Result of a study, out of sample throughout.

    Parameters
    ----------
    title : str
        Heading of the report.
    results : dict
        The content of results.json: JSON types, fractions, None where not known.
    bars : Bars
        The cleaned history.
    regimes : Regimes
        Market regimes, out of sample, on the rows of ``bars``.
    scores, signals, forward, verdicts : dict
        Scores, alerts, forward moves and verdict by detector label.
    backtests : dict of str to BacktestResult
        By strategy, on the rows from the first test block on.
    risk_paths : dict of str to RiskPath
        Forecasts of value at risk by strategy; empty if the history is too short for them.
    quality : QualityReport
        Findings of the cleaning.
    alerts : DataFrame, optional
        What ``alerts_frame`` returns.
    features : Features, optional
        What the detectors saw, on the rows of ``bars``.

    Examples
    --------
    Running a study takes seconds to hours.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=7, n_symbols=2).bars
    >>> result = fs.Study(bars, ["zscore"], n_surrogates=0).run()  # doctest: +SKIP
    >>> print(result)  # doctest: +SKIP
    >>> result.verdicts["zscore"].label, result.equity.iloc[-1]  # doctest: +SKIP
    >>> result.report("study.html")  # doctest: +SKIP
    """

    title: str
    results: dict[str, Any]
    bars: Bars
    regimes: Regimes
    scores: dict[str, Scores]
    signals: dict[str, Signals]
    forward: dict[str, ForwardMoves]
    verdicts: dict[str, Verdict]
    backtests: dict[str, BacktestResult]
    risk_paths: dict[str, RiskPath]
    quality: QualityReport
    alerts: pd.DataFrame | None = None
    features: Features | None = None

    def _facts(self) -> Iterator[str]:
        yield shown(self.title, 40)
        yield from self.bars._facts()
        yield "; ".join(f"{one_line(label, 30)} {verdict.label}" for label, verdict in self.verdicts.items())

    def __str__(self) -> str:
        """The short summary, one row for each detector, in at most 80 columns; then what looks ahead and what failed."""
        table = summary_in_words(self.summary(short=True).reset_index().to_dict("records"))
        return "\n".join([table, *told_beside(self.results)])

    def summary(self, short: bool = False) -> pd.DataFrame:
        """One row for each detector: verdict and its horizon, events, ratios, q, alert rate, and what avoidance earned.

        ``expected_ratio`` is activity after alerts over that which the forecast from past prices expects, with its 95 % interval
        ``expected_low`` to ``expected_high``; ``volume_ratio`` is the same with past volumes in the forecast; both are calibrated
        by the negative controls. ``q`` belongs to ``expected_ratio``, and ``detectable`` is the smallest ratio that would have
        been found four times in five. ``matched_ratio``, from ``ci_low`` to ``ci_high``, compares with equally volatile bars.
        ``luck_below`` is the share of random timings of the same exits that earned less than ``avoidance_return``.

        Parameters
        ----------
        short : bool
            Whether to return only ``verdict``, ``horizon``, ``alerts`` (``n_events``), ``beyond`` (``expected_ratio``), ``q``,
            ``avoidance_return`` and ``luck_below``.

        Notes
        -----
        ``print(result)`` shows the short summary.
        """
        check_switch("short", short)
        return summary_table(self.results, short)

    def to_frame(self) -> pd.DataFrame:
        """``summary()``: one row a detector, by ``detector``."""
        return self.summary()

    @property
    def equity(self) -> pd.DataFrame:
        """Equity of each strategy at the bar closes (UTC without a zone), starting from 1."""
        return self._at_closes({name: result.equity for name, result in self.backtests.items()})

    @property
    def exposure(self) -> pd.DataFrame:
        """Value of the positions of each strategy as a fraction of its equity, at the bar closes (UTC without a zone)."""
        return self._at_closes({name: result.exposure for name, result in self.backtests.items()})

    def _at_closes(self, columns: dict[str, np.ndarray]) -> pd.DataFrame:
        first = next(iter(self.backtests.values()))
        return pd.DataFrame(columns, index=pd.DatetimeIndex(first.time + first.interval, name="time"))

    def scores_frame(self) -> pd.DataFrame:
        """Long table of the decided rows: time, symbol, detector, score, threshold, alert."""
        parts: list[pd.DataFrame] = []
        labels = pd.CategoricalDtype(list(self.signals))
        for label, signals in self.signals.items():
            symbols = pd.CategoricalDtype(list(signals.symbols))
            rows, cols = np.nonzero(signals.decided)
            parts.append(
                pd.DataFrame(
                    {
                        "time": signals.time[rows],
                        "symbol": pd.Categorical.from_codes(cols, dtype=symbols),
                        "detector": pd.Categorical.from_codes(np.full(len(rows), len(parts)), dtype=labels),
                        "score": self.scores[label].values[rows, cols],
                        "threshold": signals.threshold[rows, cols],
                        "alert": signals.active[rows, cols],
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def alerts_frame(self) -> pd.DataFrame:
        """One row for each alert, by detector and time.

        ``time`` (UTC, the open of the row), ``symbol``, ``detector``, ``score``, ``threshold``; ``tail_probability``, the share of
        the symbol's own out-of-sample scores of the threshold's window, up to the row itself, that are at least as high, and above
        all of them what a Pareto tail implies; ``regime`` of the bar before; ``price_change`` of the bar, a fraction; ``driver_1``
        to ``driver_3``, the features that added most to the score, each with how much it ``_added``; and ``move_6h`` for the
        horizon ``"6h"``, the log move from the open at which a strategy could have traded. What is not known is NaN or None.
        """
        if self.alerts is not None:
            return self.alerts.copy()
        table = self.scores_frame().query("alert").drop(columns="alert").reset_index(drop=True)
        return table.astype({"symbol": object, "detector": object})

    def trades_frame(self) -> pd.DataFrame:
        """Long table of all fills; the first column is the strategy's name."""
        parts = [result.trades.assign(strategy=name) for name, result in self.backtests.items()]
        trades = pd.concat(parts, ignore_index=True)
        return trades[["strategy", *trades.columns.drop("strategy")]]

    def regimes_frame(self) -> pd.DataFrame:
        """Long table of the rows whose regime is known out of sample: time, symbol, regime."""
        return self.regimes.rows_frame()

    def closed_trades_frame(self) -> pd.DataFrame:
        """Long table of all closed trades except those of random timing; the first column is the strategy's name."""
        parts = [
            closed_trades(result).assign(strategy=name)
            for name, result in self.backtests.items()
            if self.results["backtests"][name]["role"] != RANDOM
        ]
        trades = pd.concat(parts, ignore_index=True)
        return trades[["strategy", *trades.columns.drop("strategy")]]

    def report(self, path: str | Path, command: str = "") -> Path:
        """Write the self-contained HTML report; an earlier file stays until the new one is complete.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.
        command : str
            Command that runs the study again, to show on the page.

        Raises
        ------
        ConfigError
            If the path is a folder.
        """
        check_path("path", path)
        path = Path(path)
        self._page(command).save(path)
        return path

    def figures(self) -> dict[str, Any]:
        """Every chart of the report as a plotly figure, by name, for notebooks."""
        from foreshock.reports.parts.still import every_chart, figure_of

        return {chart.name: figure_of(chart) for chart in every_chart(self._page().charts())}

    def save_figures(self, folder: str | Path, kind: str = "svg") -> list[Path]:
        """Write every chart of the report as a picture, "svg", "png" or "pdf"; needs ``pip install foreshock[figures]``."""
        check_path("folder", folder)
        from foreshock.reports.parts.still import every_chart, save_figures

        return save_figures(every_chart(self._page().charts()), folder, kind)

    def _page(self, command: str = "") -> StudyReport:
        from foreshock.reports.price.chart import PriceHistory
        from foreshock.reports.study.page import StudyReport

        draws = self.results["random_draws"]
        quality, trades = self.quality.table, self.closed_trades_frame()
        alerts = {label: (found.active, self.scores[label].values) for label, found in self.signals.items()}
        prices = PriceHistory(self.bars, alerts, (self.regimes.names, self.regimes.labels))
        parts = (draws, command, self.risk_paths, trades, prices, self.exposure)
        return StudyReport(self.title, self.results, self.equity, quality, *parts)

    def _repr_html_(self) -> str:
        from foreshock.reports.study.page import study_excerpt

        return study_excerpt(self.title, self.results)

    def save(self, folder: str | Path, command: str = "") -> Path:
        """Write the files of the study into a folder.

        All are written under temporary names and renamed when the last is complete.

        =============== =============================================================================================
        report.html     the page
        results.json    every figure of the page
        alerts.csv      one row for each alert; see ``alerts_frame``
        rows.parquet    one row for each bar and symbol, what the tables are made of: time, symbol, prices, features,
                        regime, and for each detector its score, threshold and alert, such as ``score[zscore]``
        scores.parquet  time, symbol, detector, score, threshold and alert of every decided row
        trades.parquet  every fill
        regimes.parquet the regime of each row; also as regimes.csv
        files.json      the SHA-256 of each of these files; readers refuse a file of another run
        =============== =============================================================================================

        ``rows.parquet`` takes some 6 bytes a number, 150 MB for a million rows of twenty features; it is written in runs of rows.
        """
        check_path("folder", folder)
        folder = Path(folder)
        with written_together(folder, (MANIFEST, *FILES, *REGIME_FILES)) as partial:
            write_alerts(self.alerts_frame(), str(partial["alerts.csv"]))
            StudyRows(self.bars, self.features, self.scores, self.signals, self.regimes).write(partial["rows.parquet"])
            partial["report.html"].write_bytes(self._page(command).to_html().encode())
            partial["results.json"].write_text(json.dumps(self.results, indent=1, allow_nan=False), encoding="utf-8")
            self.scores_frame().to_parquet(partial["scores.parquet"], compression="zstd", index=False)
            self.trades_frame().to_parquet(partial["trades.parquet"], compression="zstd", index=False)
            write_regimes(self.regimes, partial)
            write_manifest(partial)
        return folder

    def save_verdicts(self, folder: str | Path) -> Path:
        """Write ``results.json`` and ``scores.parquet``; for a result without backtests, which has no page yet."""
        check_path("folder", folder)
        folder = Path(folder)
        with written_together(folder, (MANIFEST, "results.json", "scores.parquet")) as partial:
            partial["results.json"].write_text(json.dumps(self.results, indent=1, allow_nan=False), encoding="utf-8")
            self.scores_frame().to_parquet(partial["scores.parquet"], compression="zstd", index=False)
            write_manifest(partial)
        return folder

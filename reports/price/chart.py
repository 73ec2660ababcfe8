"""The price chart of a report: candles of every bar, a band of regimes, and the alerts of a detector."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from foreshock.data.bars import PRICES, Bars
from foreshock.data.checks import check_mapping, check_pair, check_path, check_shape, check_text, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import format_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts import html
from foreshock.reports.parts.tables import Cell, Column, Table, header
from foreshock.reports.price.payload import candle_columns, decimals_of, deflated, packed
from foreshock.reports.price.still import Still, still

# For each symbol and detector, this many alerts with the highest scores are marked and listed.
N_MARKED = 20
# At most this many symbols get a picture for print.
N_STILLS = 8
DAY = 86_400
RANGES = (("All", 0), ("Last year", 365), ("Last 90 days", 90))
UNKNOWN = -1
SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class PriceChart:
    """Values for the template: names and texts, and the packed prices and alerts of each symbol.

    ``head`` is JSON: first bar and step in seconds, number of bars, names of the regimes, and for each symbol the decimals of its
    prices and the bytes of its columns. ``bars`` and ``alerts`` hold one text for each symbol.
    """

    name: str
    symbols: tuple[str, ...]
    detectors: tuple[str, ...]
    regimes: tuple[str, ...]
    ranges: list[tuple[str, int]]
    title: str
    note: str
    head: str
    bars: list[str]
    alerts: list[str]
    stills: list[Still]
    table: Table | None


@door
@dataclass(frozen=True, repr=False)
class PriceHistory(Shown):
    """Interactive price chart of bars, with alerts of detectors and regimes.

    Parameters
    ----------
    bars : Bars
        Bars to draw; NaN bars stay empty. The interval must be a whole number of seconds.
    alerts : dict of str to tuple of two ndarrays, shape (n_bars, n_symbols)
        By detector: where it raised an alert (bool), and its scores. For each symbol and detector, the 20 alerts with the
        highest scores are marked and listed; a bar chart below the candles counts all alerts.
    regimes : tuple of names and ndarray of int, shape (n_bars, n_symbols), optional
        ``names[labels[t, i]]`` is the regime of symbol i at bar t; -1 where it is not known.

    Raises
    ------
    ConfigError
        If shapes or types disagree, a label has no name, or the interval is not a whole number of seconds.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> close = np.array([[100.0], [101.5], [96.0]])
    >>> time = np.datetime64("2024-01-01") + np.arange(3) * np.timedelta64(1, "h")
    >>> bars = fs.Bars(time, ("BTC/USDT",), close, close, close, close, np.ones((3, 1)), np.timedelta64(1, "h"))
    >>> chart = fs.PriceHistory(bars, {"zscore": (close < 100, 100 - close)}).chart()
    >>> chart.title, [cell.text for cell in chart.table.rows[0]]
    ('BTC/USDT: price and the alerts of zscore', ['2024-01-01 02:00', 'BTC/USDT', 'zscore', '4', '–', '96.000'])
    """

    bars: Bars
    alerts: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    regimes: tuple[Sequence[str], np.ndarray] | None = None

    def __post_init__(self) -> None:
        check_mapping("alerts", self.alerts)
        check_type("bars", self.bars, Bars, "read a file with fs.read_bars")
        shape = self.bars.close.shape
        if self.bars.interval % SECOND:
            raise ConfigError(
                f"the interval of a price chart must be a whole number of seconds, got {format_duration(self.bars.interval)}; "
                "use longer bars"
            )
        for name, pair in self.alerts.items():
            check_pair(f"alerts of {shown(name)}", pair)
            active, scores = map(np.asarray, pair)
            if active.shape != shape or scores.shape != shape or active.dtype != bool:
                raise ConfigError(
                    f"alerts of {shown(name)} must be a bool and a float array of the shape (n_bars, n_symbols) = {shape}, "
                    f"got {active.dtype} {active.shape} and {scores.dtype} {scores.shape}; take both on the rows of the bars"
                )
        if self.regimes is not None:
            check_pair("regimes", self.regimes)
            names, labels = self.regimes
            check_shape("regimes", labels, shape)
            if labels.shape != shape or labels.dtype.kind != "i":
                raise ConfigError(
                    f"regimes must be integers of the shape (n_bars, n_symbols) = {shape}, got {labels.dtype} {labels.shape}"
                )
            if labels.min() < UNKNOWN or labels.max() >= len(names):
                raise ConfigError(
                    f"regimes must be numbered from -1 (not known) to {len(names) - 1}, got {labels.min()} to {labels.max()}"
                )

    def chart(self, name: str = "prices") -> PriceChart:
        """The value for the template macro ``price``; ``name`` is the id of the element."""
        check_text("name", name)
        bars = self.bars
        every = [self._symbol(column) for column in range(bars.n_symbols)]
        seconds = int(bars.interval // SECOND)
        names = tuple(map(str, self.regimes[0])) if self.regimes else ()
        times = bars.time.astype("datetime64[s]").astype(np.int64)
        jumps = [[int(row), int(times[row])] for row in np.flatnonzero(np.diff(bars.time) > bars.interval) + 1]
        head = {
            "start": int(times[0]),
            "step": seconds,
            "n": bars.n_bars,
            # Rows before which time jumps, and their times.
            **({"jumps": jumps} if jumps else {}),
            "regimes": names,
            "symbols": [{"decimals": decimals, "widths": widths} for decimals, widths, _ in every],
        }
        views = [self._views(column) for column in range(bars.n_symbols)]
        first = views[0][0]
        return PriceChart(
            name,
            bars.symbols,
            tuple(map(str, self.alerts)),
            names,
            [(label, days * DAY // seconds) for label, days in RANGES if days * DAY < bars.n_bars * seconds],
            first["title"],
            first["note"],
            json.dumps(head),
            [text for *_, text in every],
            [deflated(json.dumps(found, default=_plain).encode()) for found in views],
            [self._still(column, views[column][0]) for column in range(min(bars.n_symbols, N_STILLS))],
            self._table(name, first["top"]),
        )

    def to_html(self, title: str = "Prices, regimes and alerts") -> str:
        """A page with only this chart, as text."""
        check_text("title", title)
        return html.render("price.html.j2", {"title": title, "chart": self.chart()}, html.PRICE)

    def save(self, path: str | os.PathLike[str], title: str = "Prices, regimes and alerts") -> None:
        """Write a page with only this chart."""
        check_path("path", path)
        html.save(self.to_html(title), path)

    def _symbol(self, column: int) -> tuple[int, list[int], str]:
        """Decimals of a symbol's prices, bytes of its columns, and the columns."""
        prices = [getattr(self.bars, name)[:, column] for name in PRICES]
        decimals = decimals_of(np.concatenate(prices))
        columns = candle_columns(prices, decimals)
        if self.regimes is not None:
            columns.append(self.regimes[1][:, column].astype(np.int64) - UNKNOWN)
        return decimals, *packed(columns)

    def _views(self, column: int) -> list[dict[str, Any]]:
        """For each detector, or once without detectors: texts, rows of all alerts as differences, and rows of the table."""
        if not self.alerts:
            none = np.zeros(self.bars.n_bars, dtype=bool)
            return [{**self._words(column, None, none), "rows": [], "top": []}]
        views = []
        for name, (active, scores) in self.alerts.items():
            rows = np.flatnonzero(active[:, column])
            views.append(
                {
                    **self._words(column, name, active[:, column]),
                    "rows": np.diff(rows, prepend=0).tolist(),
                    "top": [[int(row), self._cells(int(row), column, name, scores)] for row in _highest(rows, scores[:, column])],
                }
            )
        return views

    def _words(self, column: int, detector: str | None, active: np.ndarray) -> dict[str, str]:
        symbol, known = self.bars.symbols[column], np.flatnonzero(~np.isnan(self.bars.close[:, column]))
        shown = ["price", *(["regimes"] if self.regimes else []), *([f"the alerts of {detector}"] if detector is not None else [])]
        listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
        missing = int(known[-1] - known[0] + 1 - len(known)) if len(known) else 0
        n, marked = int(active.sum()), min(int(active.sum()), N_MARKED)
        note = (
            f"candles of {format_duration(self.bars.interval)}, price in {_quote(symbol)}, log scale, UTC; "
            f"n = {fmt.counted(len(known), 'bar')}"
            + (f", {fmt.count(missing)} missing between them" if missing else "")
            + (f"; {fmt.counted(n, 'alert')}" if detector is not None else "")
            + (f", ▼ the {fmt.count(marked)} with the highest scores" if n > marked else ", each marked ▼" if n else "")
        )
        return {"title": f"{symbol}: {listed}", "note": note}

    def _cells(self, row: int, column: int, detector: str, scores: np.ndarray) -> list[Cell]:
        bars = self.bars
        # The bar of an alert is seldom calm, whatever was before it: an alert belongs to the regime that it came out of.
        regime = int(self.regimes[1][row - 1, column]) if self.regimes and row else UNKNOWN
        name = str(self.regimes[0][regime]) if self.regimes and regime != UNKNOWN else None
        score, close, time = float(scores[row, column]), float(bars.close[row, column]), str(bars.time[row])
        return [
            Cell(fmt.moment(time), sort=time),
            header(bars.symbols[column]),
            header(str(detector)),
            Cell(fmt.number(score), sort=score if fmt.known(score) else None),
            Cell(name or fmt.DASH, sort=name),
            Cell(fmt.price(close), sort=close if fmt.known(close) else None),
        ]

    def _table(self, name: str, top: Sequence[tuple[int, list[Cell]]]) -> Table | None:
        if not self.alerts:
            return None
        columns = [
            Column("Time", "UTC, open of the bar", "text"),
            *(Column(label, kind="text") for label in ("Symbol", "Detector")),
            Column("Score"),
            Column("Regime", "of the bar before", "text"),
            Column("Close", "quote currency"),
        ]
        return Table(f"{name}-table", "The marked alerts, highest score first", columns, [cells for _, cells in top])

    def _still(self, column: int, view: Mapping[str, Any]) -> Still:
        bars = self.bars
        active = next(iter(self.alerts.values()))[0][:, column] if self.alerts else np.zeros(bars.n_bars, dtype=bool)
        return still(
            (view["title"], view["note"]),
            bars.time,
            (bars.high[:, column], bars.low[:, column], bars.close[:, column]),
            self.regimes[1][:, column] if self.regimes else None,
            active,
            np.array([row for row, _ in view["top"]], dtype=np.int64),
        )

    def _facts(self) -> Iterator[str]:
        yield from self.bars._facts()
        yield f"alerts of {few(self.alerts, 4)}" if self.alerts else "no alerts"


def _highest(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The rows with the highest scores; in a tie the earlier row first, unknown scores last."""
    return rows[np.argsort(-scores[rows], kind="stable")][:N_MARKED]


def _quote(symbol: str) -> str:
    """The quote currency of a symbol, if its name has one.

    >>> _quote("BTC/USDT:USDT"), _quote("AAPL")
    ('USDT', 'quote currency')
    """
    return symbol.partition("/")[2].partition(":")[0] or "quote currency"


def _plain(cell: Cell) -> list[Any]:
    """A cell for the script: text and sort key."""
    return [cell.text, cell.sort]

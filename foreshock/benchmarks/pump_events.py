"""Announced pumps that show in the price, each with the trades around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from foreshock.benchmarks.pump_alerts import EARLIEST, LATEST
from foreshock.data.errors import DataError
from foreshock.data.labels import Labels
from foreshock.data.reading.kinds import Kinds
from foreshock.data.reading.rows import read_rows
from foreshock.data.show.shown import few
from foreshock.data.tables import numbers, parse_times
from foreshock.data.trades.trades import Trades, read_trades

# A pump is visible if the price rose by more than this fraction within 11 minutes.
VISIBLE = 0.10
EVENTS = Kinds(times=("event",), numbers=("max_up_11min",), words=("event_id",))


@dataclass(frozen=True)
class PumpEvent:
    """One announced pump, with the trades around it."""

    name: str
    announced: np.datetime64
    trades: Trades


def pump_labels(pumps: Sequence[PumpEvent]) -> Labels:
    """Each pump as a label, by the name of its trades: the time in which an alert catches it."""
    second = np.timedelta64(1_000_000, "us")
    rows = [
        {"symbol": pump.name, "start": pump.announced + int(EARLIEST) * second, "stop": pump.announced + int(LATEST) * second}
        for pump in pumps
    ]
    return Labels.from_frame(pd.DataFrame(rows).assign(kind="pump"))


def read_pumps(trades: Path, events: Path) -> list[PumpEvent]:
    """The visible pumps, in order of their announced time."""
    table = read_rows(Path(events), EVENTS, "announced events")
    missing = [name for name in ("event_id", "event", "max_up_11min") if name not in table]
    if missing:
        raise DataError(f"{events} lacks the column {', '.join(missing)}; got {few(table.columns)}")
    visible = table[numbers(table["max_up_11min"]) > VISIBLE]
    series = read_trades(trades).split()
    unknown = [name for name in visible["event_id"] if name not in series]
    if unknown:
        raise DataError(
            f"{trades} has no trades of {len(unknown)} events, the first {unknown[0]}; pass the file that belongs to {events}"
        )
    if visible.empty:
        raise DataError(f"{events} has no event with max_up_11min above {VISIBLE}; there is nothing to detect")
    found = [
        PumpEvent(name, time, series[name]) for name, time in zip(visible["event_id"], parse_times(visible["event"]), strict=True)
    ]
    return sorted(found, key=lambda pump: pump.announced)

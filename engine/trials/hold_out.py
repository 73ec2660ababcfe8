"""The last part of a history, set aside until all decisions are made, and opened once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_number, check_path, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import bars_in, format_duration, parse_duration, parse_instant
from foreshock.data.show.facts import Shown
from foreshock.engine.trials.chain import Entry
from foreshock.engine.trials.ledger import OPENING, SEAL, Ledger


@door
@dataclass(frozen=True, repr=False)
class HoldOut(Shown):
    """Bars to work on, and later bars that are withheld from every search until they are opened, once.

    The seal is in a ledger, not in the code: anyone with the file of the bars can read it. The ledger shows whether the hold-out
    was opened, when, and how many configurations had been tried by then. A period of a symbol can be opened once: a hold-out
    that overlaps an opened one in time and symbol is refused, even if its bars start elsewhere or have another interval or source.

    Parameters
    ----------
    visible : Bars
        All bars before the hold-out; search on these.
    history_hash, sealed_hash : str
        Fingerprints of the complete history and of its held-out part.
    seal : Entry
        The ledger's entry of the seal.
    ledger : Ledger
        Ledger that records the seal and the opening.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=2_000).bars
    >>> ledger = fs.Ledger(Path(mkdtemp()) / "ledger.jsonl", clock=lambda: datetime(2024, 5, 6, tzinfo=UTC))
    >>> held = fs.HoldOut.reserve(bars, 0.25, ledger)
    >>> held.visible.n_bars, held.open(bars).n_bars
    (1500, 500)
    >>> held.open(bars)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    foreshock.data.errors.DataError: the hold-out from 2022-03-04T12:00:00.000000 on was opened before, at 2024-05-06T00:00:00...
    """

    visible: Bars
    history_hash: str
    sealed_hash: str
    seal: Entry
    ledger: Ledger

    @classmethod
    def reserve(cls, bars: Bars, share: float = 0.2, ledger: Ledger | str | Path | None = None) -> HoldOut:
        """Set aside the last ``share`` of the bars and seal it in the ledger; repeating the same seal adds no entry.

        Parameters
        ----------
        bars : Bars
            The complete history.
        share : float
            Fraction of the bars that is held out, between 0 and 1.
        ledger : Ledger, str or Path, optional
            The ledger or its path; by default that of ``Ledger()``.

        Raises
        ------
        ConfigError
            If ``share`` leaves no bar on either side.
        DataError
            If the ledger is broken, or a hold-out of any of these symbols that overlaps in time was opened already.
        """
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        check_type("share", share, (float, int), "0.2 is the last fifth")
        if ledger is not None and not isinstance(ledger, Ledger):
            check_path("ledger", ledger)
        ledger = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        n_held = round(bars.n_bars * share) if 0 < share < 1 else 0
        if not 0 < n_held < bars.n_bars:
            raise ConfigError(f"share must lie between 0 and 1 and leave bars on both sides, got {share} of {bars.n_bars} bars")
        visible, held = _cut(bars, bars.n_bars - n_held)
        history_hash, sealed_hash = bars.fingerprint(), held.fingerprint()
        entries = ledger.entries()
        configuration = _described(bars, held, history_hash)
        _refuse_opened(entries, configuration)
        seals = [e for e in entries if e.kind == SEAL and e.data_hash == sealed_hash and e.configuration == configuration]
        seal = seals[0] if seals else ledger.append(configuration, sealed_hash, {}, SEAL)
        return cls(visible, history_hash, sealed_hash, seal, ledger)

    def open(self, bars: Bars, configuration: dict[str, Any] | None = None) -> Bars:
        """Return the held-out bars and record it in the ledger; neither they nor any part of them can be opened again.

        Parameters
        ----------
        bars : Bars
            The complete history as it was when the hold-out was sealed; its hash is compared with the seal.
        configuration : dict, optional
            What is to be tested on them, in JSON types, for the record.

        Raises
        ------
        DataError
            If the bars are not those that were sealed, the seal is not in the ledger, the ledger is broken, or a hold-out of any of
            these symbols that overlaps in time was opened before.
        """
        check_type("bars", bars, Bars, "pass the history that was sealed")
        if configuration is not None:
            check_type("configuration", configuration, dict, "pass a dict that says what is to be tested; nothing was opened")
        if bars.fingerprint() != self.history_hash:
            raise DataError(
                f"the bars are not those that were sealed: hash {bars.fingerprint()[:12]}…, sealed {self.history_hash[:12]}…; "
                "pass the history as it was, or seal a new one"
            )
        _, held = _cut(bars, self.visible.n_bars)
        if held.fingerprint() != self.sealed_hash:
            raise DataError(
                "the held-out bars are not those that were sealed: visible bars were added or removed; reserve them again"
            )

        def allowed(entries: tuple[Entry, ...]) -> None:
            if self.seal not in entries:
                raise DataError(f"the seal of this hold-out is not in {self.ledger.path}; use the ledger that it was sealed in")
            _refuse_opened(entries, _described(bars, held, self.history_hash))

        # The entry is written first: bars handed out without a record would not be a hold-out.
        result = {
            "seal": self.seal.sha256,
            "history_hash": self.history_hash,
            "start": str(held.time[0]),
            "n_trials": self.ledger.count(),
        }
        self.ledger.append(configuration or {}, self.sealed_hash, result, OPENING, allowed)
        return held

    def _facts(self) -> Iterator[str]:
        yield f"visible={self.visible!r}"
        yield f"sealed at {self.seal.time}"


def n_held(bars: Bars, held: float | str | None) -> int:
    """Number of bars at the end that a share or a duration holds out; 0 for None, and for what is no share.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> n_held(bars, 0.2), n_held(bars, "2D"), n_held(bars, None)
    (60, 48, 0)
    """
    if held is None:
        return 0
    if isinstance(held, str):
        return bars_in(held, bars.interval, "sealed")
    check_number("sealed", held)
    return round(bars.n_bars * held) if 0 < held < 1 else 0


def _cut(bars: Bars, first: int) -> tuple[Bars, Bars]:
    return bars.rows(slice(None, first)), bars.rows(slice(first, None))


def _described(bars: Bars, held: Bars, history_hash: str) -> dict[str, Any]:
    return {
        "history_hash": history_hash,
        "symbols": list(bars.symbols),
        "interval": format_duration(bars.interval),
        "n_visible": bars.n_bars - held.n_bars,
        "n_held": held.n_bars,
        "start": str(held.time[0]),
        "end": str(held.time[-1]),
    }


def _refuse_opened(entries: tuple[Entry, ...], wanted: dict[str, Any]) -> None:
    """Refuse any overlap in time and symbol, even if values or intervals differ: the outcome of that period is known."""
    seals = {entry.sha256: entry.configuration for entry in entries if entry.kind == SEAL}
    first, stop = _span(wanted)
    for entry in entries:
        opened = seals.get(entry.result.get("seal", "")) if entry.kind == OPENING else None
        if opened is None:
            continue
        shared = [symbol for symbol in wanted["symbols"] if symbol in opened["symbols"]]
        opened_first, opened_stop = _span(opened)
        if shared and first < opened_stop and opened_first < stop:
            raise DataError(
                f"the hold-out from {opened['start']} on was opened before, at {entry.time} (entry {entry.sequence} of the ledger, "
                f"with {', '.join(shared)}); what it showed cannot be unseen: hold out bars that open at or after {opened_stop}"
            )


def _span(described: dict[str, Any]) -> tuple[np.datetime64, np.datetime64]:
    """Open of the first held-out bar and close of the last."""
    return parse_instant(described["start"]), parse_instant(described["end"]) + parse_duration(described["interval"])

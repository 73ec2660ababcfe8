"""Events planted in a simulated market: their sizes, their positions and their effect on the bars."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from foreshock.data.errors import ConfigError
from foreshock.data.simulate.paths import NullPath, stream

# Bars without other events on both sides of each event, and at both ends of the history.
CLEARANCE = 72
# Bars over which a crash or pump retraces and its volume and volatility die down, and their decay time.
AFTERMATH, DECAY = 24, 6.0
AFTERSHOCK = 1.5
# Smallest and largest fall of a crash, as a fraction; one crash in CRASHES_PER_MARKET_WIDE is market-wide.
CRASH_FALL = (0.08, 0.25)
CRASHES_PER_MARKET_WIDE = 3
# Smallest and largest size of a market-wide crash in one symbol, relative to that of the market.
MARKET_SPREAD = (0.85, 1.15)


class Draft(NamedTuple):
    """An event before it has a position. ``length`` counts bars from the onset, ``wick`` and ``volume`` as in `plant`."""

    kind: str
    form: str
    size: float
    direction: int
    onset: int
    length: int
    lead: int
    volume: float
    wick: float
    retrace: float


class Placed(NamedTuple):
    """An event at its onset ``row`` in the symbol number ``col``; the rows of a market-wide event share a number."""

    event: int
    draft: Draft
    row: int
    col: int


@dataclass(frozen=True)
class Overlay:
    """What events do to the null path, arrays (n_bars, n_symbols): returns become ``factor * returns + added``,
    ``log_volume`` is added to log volume, and the wicks are the least log distance from the body to high and low."""

    factor: np.ndarray
    added: np.ndarray
    log_volume: np.ndarray
    wick_up: np.ndarray
    wick_down: np.ndarray


def draw_events(
    seed: int,
    *,
    n_flash_crashes: int,
    n_pumps: int,
    n_foreshocks: int,
    n_decoys: int,
    lead: tuple[int, int],
    size: tuple[float, float],
) -> list[Draft]:
    """Kinds, sizes and shapes; each kind has its own random stream, so that its count does not change other kinds."""
    crash, pump, fore, decoy = (stream(seed, "events", 0, kind) for kind in ("crash", "pump", "foreshock", "decoy"))
    n_market = n_flash_crashes // CRASHES_PER_MARKET_WIDE
    return (
        [_flash_crash(crash, "market" if i < n_market else "symbol") for i in range(n_flash_crashes)]
        + [_pump(pump) for _ in range(n_pumps)]
        + [_foreshock(fore, "swell" if i % 2 == 0 else "jump", lead, size) for i in range(n_foreshocks)]
        + [_decoy(decoy) for _ in range(n_decoys)]
    )


def _flash_crash(rng: np.random.Generator, form: str) -> Draft:
    onset = int(rng.integers(1, 3))
    smallest, largest = -np.log1p(-np.array(CRASH_FALL))
    if form == "market":
        # The bounds leave room for the differences between symbols.
        smallest, largest = smallest / MARKET_SPREAD[0], largest / MARKET_SPREAD[1]
    return Draft(
        kind="flash_crash",
        form=form,
        size=rng.uniform(smallest, largest),
        direction=-1,
        onset=onset,
        length=onset + AFTERMATH,
        lead=0,
        volume=rng.uniform(8, 25),
        wick=rng.uniform(0.2, 0.5),
        retrace=rng.uniform(0.3, 0.7),
    )


def _pump(rng: np.random.Generator) -> Draft:
    onset = int(rng.integers(1, 4))
    return Draft(
        kind="pump",
        form="symbol",
        size=np.log1p(rng.uniform(0.10, 0.60)),
        direction=1,
        onset=onset,
        length=onset + AFTERMATH,
        lead=0,
        volume=rng.uniform(10, 50),
        wick=rng.uniform(0.1, 0.3),
        retrace=rng.uniform(0.7, 1.0),
    )


def _foreshock(rng: np.random.Generator, form: str, lead: tuple[int, int], size: tuple[float, float]) -> Draft:
    # A jump of the same root mean square as a long swell would be a flash crash, so jumps have shorter periods.
    length = int(rng.integers(6, 25 if form == "swell" else 13))
    return Draft(
        kind="foreshock",
        form=form,
        size=rng.uniform(*size),
        direction=int(rng.choice([-1, 1])),
        onset=length if form == "swell" else 1,
        length=length,
        lead=int(rng.integers(lead[0], lead[1] + 1)),
        retrace=0.0,
        **_signature(rng),
    )


def _decoy(rng: np.random.Generator) -> Draft:
    return Draft("decoy", "none", size=1.0, direction=0, onset=1, length=1, lead=0, retrace=0.0, **_signature(rng))


def _signature(rng: np.random.Generator) -> dict[str, float]:
    """Volume factor and signed wick, drawn alike for foreshocks and decoys, which differ only in what follows."""
    return {"volume": rng.uniform(8, 20), "wick": rng.uniform(3, 6) * rng.choice([-1, 1])}


def place_events(seed: int, drafts: list[Draft], n_bars: int, n_symbols: int) -> list[Placed]:
    """A row and a symbol for each event, uniform over the positions that keep the clearance.

    Raises
    ------
    ConfigError
        If no such position is left.
    """
    rng = stream(seed, "events", 0, "place")
    taken = np.zeros((n_bars, n_symbols), dtype=bool)
    taken[:CLEARANCE] = taken[max(n_bars - CLEARANCE, 0) :] = True
    placed = []
    for number, draft in enumerate(drafts):
        span = draft.lead + draft.length
        before = np.zeros((n_bars + 1, n_symbols), dtype=np.int64)
        np.cumsum(taken, axis=0, out=before[1:])
        free = before[span:] == before[: n_bars + 1 - span] if span <= n_bars else np.zeros((0, n_symbols), dtype=bool)
        market = draft.form == "market"
        places = np.argwhere(free.all(axis=1, keepdims=True) if market else free)
        if not len(places):
            raise ConfigError(
                f"n_bars must leave {CLEARANCE} bars between the events of a symbol, got {n_bars} bars of {n_symbols} symbols, "
                f"which hold {number} of the {len(drafts)} events asked for; ask for fewer events or for more bars"
            )
        first, col = map(int, places[rng.integers(len(places))])
        for symbol in range(n_symbols) if market else [col]:
            taken[max(first - CLEARANCE, 0) : first + span + CLEARANCE, symbol] = True
            scaled = draft._replace(size=draft.size * rng.uniform(*MARKET_SPREAD)) if market else draft
            placed.append(Placed(number, scaled, first + draft.lead, symbol))
    return placed


def plant(path: NullPath, placed: list[Placed]) -> Overlay:
    """The overlay of all events.

    Crash and pump: the log move ``direction * size`` over ``onset`` bars, larger ones first, of which the share ``retrace``
    is reversed over the aftermath; volume ``volume`` times as large, volatility raised, both dying down; a wick of
    ``wick * size`` at the last onset bar. Foreshock and decoy: on the signature bar volume ``volume`` times as large and a
    wick of ``|wick|`` times the bar's volatility or body, whichever is larger, with the close untouched. Then for a swell,
    returns ``size`` times as large; for a jump, one log move of sqrt(size**2 - 1) times the standard deviation of the
    period: either way the root mean square of the move over the period is ``size`` times the ordinary one.
    """
    shape = path.returns.shape
    overlay = Overlay(np.ones(shape), *(np.zeros(shape) for _ in range(4)))
    for _, draft, row, col in placed:
        if draft.kind in ("foreshock", "decoy"):
            _plant_signature(overlay, path, draft, row - draft.lead, col)
        if draft.kind == "foreshock":
            _plant_abnormal_moves(overlay, path, draft, row, col)
        elif draft.kind != "decoy":
            _plant_burst(overlay, draft, row, col)
    return overlay


def _plant_burst(overlay: Overlay, draft: Draft, row: int, col: int) -> None:
    peak = row + draft.onset
    share = np.arange(draft.onset, 0, -1.0)
    decay = np.exp(-np.arange(1, AFTERMATH + 1) / DECAY)
    move = draft.direction * draft.size
    overlay.added[row:peak, col] = move * share / share.sum()
    overlay.added[peak : peak + AFTERMATH, col] = -draft.retrace * move * decay / decay.sum()
    overlay.factor[peak : peak + AFTERMATH, col] = 1 + AFTERSHOCK * decay
    overlay.log_volume[row:peak, col] = np.log(draft.volume)
    overlay.log_volume[peak : peak + AFTERMATH, col] = np.log(draft.volume) * decay
    wick = overlay.wick_up if draft.direction > 0 else overlay.wick_down
    wick[peak - 1, col] = draft.wick * draft.size


def _plant_signature(overlay: Overlay, path: NullPath, draft: Draft, row: int, col: int) -> None:
    body = abs(path.returns[row, col] - path.gap[row, col])
    wick = overlay.wick_up if draft.wick > 0 else overlay.wick_down
    wick[row, col] = abs(draft.wick) * max(body, path.volatility[row, col])
    overlay.log_volume[row, col] = np.log(draft.volume)


def _plant_abnormal_moves(overlay: Overlay, path: NullPath, draft: Draft, row: int, col: int) -> None:
    stop = row + draft.length
    overlay.log_volume[row:stop, col] = np.log(draft.size)
    if draft.form == "swell":
        overlay.factor[row:stop, col] = draft.size
    else:
        period = path.volatility[row, col] * np.sqrt(draft.length)
        overlay.added[row, col] = draft.direction * np.sqrt(draft.size**2 - 1) * period


def truth_table(time: np.ndarray, path: NullPath, overlay: Overlay, placed: list[Placed]) -> pd.DataFrame:
    """One row per event and symbol, ascending by onset; the columns are those of ``SimulatedMarket.events``."""
    extra = (overlay.factor - 1) * path.returns + overlay.added
    events = sorted(placed, key=lambda item: (item.row, item.col))
    row = np.array([item.row for item in events], dtype=np.int64)
    lead = np.array([item.draft.lead for item in events], dtype=np.int64)
    onset = np.array([item.draft.onset for item in events], dtype=np.int64)
    stop = row + np.array([item.draft.length for item in events], dtype=np.int64)
    moves = np.array([extra[item.row : item.row + item.draft.onset, item.col].sum() for item in events], dtype=float)
    return pd.DataFrame(
        {
            "event": np.array([item.event for item in events], dtype=np.int64),
            "kind": pd.Series([item.draft.kind for item in events], dtype=object),
            "form": pd.Series([item.draft.form for item in events], dtype=object),
            "symbol": pd.Series([path.symbols[item.col] for item in events], dtype=object),
            "time": time[row],
            "stop": time[stop],
            "row": row,
            "peak_row": row + onset - 1,
            "stop_row": stop,
            "lead_bars": lead,
            "signature_time": time[row - lead],
            "signature_row": row - lead,
            "size": np.array([item.draft.size for item in events], dtype=float),
            "direction": np.sign(moves).astype(np.int64),
            "log_move": moves,
        }
    )

"""The price chart as a static picture, for print and for browsers without JavaScript."""

from dataclasses import dataclass
from math import ceil, floor, isfinite, log, log10

import numpy as np

from foreshock.reports.parts import format as fmt

WIDTH, HEIGHT = 960, 340
LEFT, RIGHT, TOP, BOTTOM = 8, 72, 16, 22
# Number of runs of bars in a picture; each run is drawn from its lowest to its highest price.
N_STRETCHES = 500
# Heights in px from the bottom of the picture: regime band, gap, and bars that count alerts.
BAND, GAP, COUNTS = 8, 3, 16
MOST_TICKS = 7
TIME_STEPS = (
    *(("m", step) for step in (1, 5, 15, 30)),
    *(("h", step) for step in (1, 3, 6, 12)),
    *(("D", step) for step in (1, 2, 7)),
    *(("M", step) for step in (1, 3, 6)),
    *(("Y", step) for step in (1, 2, 5, 10)),
)


@dataclass(frozen=True)
class Tick:
    """A label of an axis and its position in px."""

    at: float
    text: str


@dataclass(frozen=True)
class Still:
    """The parts of an SVG picture of WIDTH by HEIGHT px; paths are SVG path data."""

    title: str
    note: str
    range: str
    close: str
    bands: list[tuple[int, str]]
    counts: str
    marks: str
    prices: list[Tick]
    times: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def still(
    words: tuple[str, str],
    time: np.ndarray,
    prices: tuple[np.ndarray, np.ndarray, np.ndarray],
    labels: np.ndarray | None,
    active: np.ndarray,
    marked: np.ndarray,
) -> Still:
    """The close as a line over the range from low to high, a regime band, and alerts; thinned to runs of equal length.

    Each run keeps its highest high, lowest low, last known close, most frequent regime and number of alerts.

    Parameters
    ----------
    words : tuple of title and note
    time : ndarray of datetime64, shape (n_bars,)
        A regular grid.
    prices : tuple of three ndarrays of float64, shape (n_bars,)
        High, low, close; positive, NaN where not known.
    labels : ndarray of int8, shape (n_bars,), or None
        Regimes, -1 where not known.
    active : ndarray of bool, shape (n_bars,)
        Where there is an alert.
    marked : ndarray of int
        Rows of the alerts that get a mark.
    """
    n = len(time)
    edges = np.linspace(0, n, min(n, N_STRETCHES) + 1).round().astype(int)
    starts = edges[:-1]
    high, low, close = thinned(*prices, starts)
    x = LEFT + (edges[:-1] + edges[1:]) / 2 / n * (WIDTH - RIGHT - LEFT)
    floor_ = HEIGHT - BOTTOM - BAND - GAP - COUNTS - GAP
    lowest, highest = (float(np.nanmin(low)), float(np.nanmax(high))) if np.isfinite(close).any() else (1.0, 1.0)
    margin = 0.03 * log(highest / lowest) or 0.01
    bottom, top = log(lowest) - margin, log(highest) + margin

    def y(price: np.ndarray) -> np.ndarray:
        return TOP + (top - np.log(price)) / (top - bottom) * (floor_ - TOP)

    bands = []
    if labels is not None:
        regime = most_frequent(labels, starts)
        wide = (WIDTH - RIGHT - LEFT) / len(starts)
        for k in range(int(regime.max(initial=-1)) + 1):
            # Slightly wider than the run, so that rounding leaves no white lines between rectangles.
            box = f"{HEIGHT - BOTTOM - BAND}h{wide + 0.3:.1f}v{BAND}h{-wide - 0.3:.1f}z"
            bands.append((k, "".join(f"M{at - wide / 2:.1f} {box}" for at in x[regime == k])))
    n_alerts = np.add.reduceat(active.astype(int), starts)
    most = max(int(n_alerts.max(initial=0)), 1)
    foot = HEIGHT - BOTTOM - BAND - GAP
    places = np.searchsorted(edges, marked, side="right") - 1
    shown = np.isfinite(high[places])
    return Still(
        *words,
        "".join(f"M{at:.1f} {up:.1f}V{down:.1f}" for at, up, down in zip(x, y(high), y(low), strict=True) if isfinite(up)),
        _line(x, y(close)),
        bands,
        "".join(f"M{at:.1f} {foot}v{-2 - (COUNTS - 2) * k / most:.1f}" for at, k in zip(x, n_alerts, strict=True) if k),
        "".join(f"M{at:.1f} {tip - 4:.1f}l-4 -7h8z" for at, tip in zip(x[places[shown]], y(high)[places[shown]], strict=True)),
        [Tick(round(float(y(np.array(price))), 1), text) for price, text in price_ticks(np.exp(bottom), np.exp(top))],
        [
            Tick(round(LEFT + (row + 0.5) / n * (WIDTH - RIGHT - LEFT), 1), text)
            for row, text in time_ticks(time)
            if 30 < (row + 0.5) / n * (WIDTH - RIGHT - LEFT) < WIDTH - RIGHT - LEFT - 20
        ],
    )


def thinned(high: np.ndarray, low: np.ndarray, close: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Highest, lowest and last known price of the runs that begin at ``starts``; NaN where no price is known.

    Examples
    --------
    >>> nan = np.nan
    >>> close = np.array([1.0, 3.0, nan, 2.0, nan, nan])
    >>> thinned(close, close, close, np.array([0, 3, 4]))
    (array([ 3.,  2., nan]), array([ 1.,  2., nan]), array([ 3.,  2., nan]))
    """
    last = np.maximum.reduceat(np.where(np.isnan(close), -1, np.arange(len(close))), starts)
    known = last >= starts
    return np.fmax.reduceat(high, starts), np.fmin.reduceat(low, starts), np.where(known, close[np.where(known, last, 0)], np.nan)


def most_frequent(labels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The most frequent label of each run, the lowest in a tie; -1 where no label is known.

    Examples
    --------
    >>> most_frequent(np.array([0, 1, 1, -1, -1, 2]), np.array([0, 3, 5]))
    array([ 1, -1,  2])
    """
    counts = np.array([np.add.reduceat((labels == k).astype(int), starts) for k in range(max(int(labels.max(initial=-1)), 0) + 1)])
    return np.where(counts.any(axis=0), counts.argmax(axis=0), -1)


def _line(x: np.ndarray, y: np.ndarray) -> str:
    """A path through the known points, with gaps at unknown ones."""
    known = np.isfinite(y)
    parts = []
    for i in np.flatnonzero(known):
        parts.append(f"{'L' if i and known[i - 1] else 'M'}{x[i]:.1f} {y[i]:.1f}")
    return "".join(parts)


def price_ticks(lowest: float, highest: float) -> list[tuple[float, str]]:
    """Round prices for a log axis: 1, 2 and 5 of each decade, or equal steps if the range is short.

    Examples
    --------
    >>> [text for _, text in price_ticks(3.0, 220.0)], [text for _, text in price_ticks(0.0991, 0.1042)]
    (['5', '10', '20', '50', '100', '200'], ['0.100', '0.101', '0.102', '0.103', '0.104'])
    """
    decades = range(floor(log10(lowest)), ceil(log10(highest)) + 1)
    found: list[tuple[float, int]] = [(m * 10.0**e, -e) for e in decades for m in (1, 2, 5)]
    found = [(price, digits) for price, digits in found if lowest <= price <= highest]
    if len(found) < 3:
        found = _equal_steps(lowest, highest)
    while len(found) > MOST_TICKS:
        found = found[::2] if len(found) <= 2 * MOST_TICKS else found[::3]
    return [(price, fmt.price(price, max(digits, 0))) for price, digits in found]


def _equal_steps(lowest: float, highest: float) -> list[tuple[float, int]]:
    exponent = floor(log10((highest - lowest) / 3))
    step = max((m for m in (1, 2, 5) if m * 10.0**exponent <= (highest - lowest) / 3), default=1)
    first, last = ceil(lowest / (step * 10.0**exponent)), floor(highest / (step * 10.0**exponent))
    return [(k * step * 10.0**exponent, -exponent) for k in range(first, last + 1)]


def time_ticks(time: np.ndarray) -> list[tuple[int, str]]:
    """Rows at which a round time begins, and that time in UTC.

    Examples
    --------
    >>> time_ticks(np.datetime64("2024-01-30") + np.arange(100) * np.timedelta64(1, "D"))
    [(2, '2024-02'), (31, '2024-03'), (62, '2024-04'), (92, '2024-05')]
    """
    for unit, step in TIME_STEPS:
        first = time[0].astype(f"datetime64[{unit}]")
        stop = time[-1].astype(f"datetime64[{unit}]") + 1
        if (stop - first).astype(int) > MOST_TICKS * step + step and (unit, step) != TIME_STEPS[-1]:
            continue
        number = first.astype(int)
        # Weeks begin on Mondays: 1970-01-01 was a Thursday.
        offset = 4 if (unit, step) == ("D", 7) else 0
        begin = number + (offset - number) % step
        ticks = np.arange(begin, stop.astype(int), step).astype(f"datetime64[{unit}]")
        rows = np.searchsorted(time, ticks.astype(time.dtype))
        inside = (rows < len(time)) & (ticks.astype(time.dtype) >= time[0])
        return list(zip(rows[inside].tolist(), _spelled(ticks[inside], unit), strict=True))
    return []


def _spelled(ticks: np.ndarray, unit: str) -> list[str]:
    if unit in "mh":
        return [text[5:].replace("T", " ") for text in np.datetime_as_string(ticks, unit="m").tolist()]
    return np.datetime_as_string(ticks).tolist()

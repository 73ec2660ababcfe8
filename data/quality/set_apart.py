"""Bars under a symbol's name that are not its series: a ticker that was reused, prices in another unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foreshock.data.bars import FIELDS, Bars

JUMP = np.log(3.0)
DECADE = np.log(10.0)
# A bar has a unit of 10^k times the last one if open and close are both within this factor of 10^k times the price before.
UNIT_TOLERANCE = np.log(1.5)
LEAST_POWER = 2
LEAST_ABSENCE = np.timedelta64(1, "D")


def set_apart(bars: Bars) -> tuple[Bars, dict[str, np.ndarray], list[int]]:
    """Bars in which each symbol is one series, and the bars that were set apart, by kind.

    relisted
        After a day or more without a bar, the close is at least three times the last one, or at most a third: all bars from there
        on go to a separate symbol, ``X (relisted)``, then ``X (relisted 2)``.
    unit
        Open and close of a bar are both 10^k times the price before, k = 2, 3, ... or -2, -3, ..., within a factor of 1.5:
        bars go to ``X (x1000)`` until prices come back. No market moves a hundredfold from one bar to the next and lands on a
        power of ten; markets do move tenfold in a bar, so a factor of 10 is a ``jump`` and not a change of unit.

    The first bars of a symbol keep its name, and the part that a bar belongs to depends only on bars up to itself: later bars do
    not change what was set apart. No value is changed.

    Returns
    -------
    Bars, dict of str to ndarray of float64, list of int
        The bars; for each kind, the ratio of the close at the relisting to the last one, or 10^k, with the shape (n_bars,
        n_symbols) of the given bars, NaN in those that stayed; and, for each symbol, the number of the given symbol it comes
        from.
    """
    sizes = {kind: np.full(bars.shape, np.nan) for kind in ("relisted", "unit")}
    columns = [(symbol, col, np.ones(bars.n_bars, bool)) for col, symbol in enumerate(bars.symbols)]
    for col, symbol in enumerate(bars.symbols):
        rows = np.flatnonzero(~np.isnan(bars.close[:, col]))
        close = np.log(bars.close[rows, col])
        if not (np.abs(np.diff(close)) >= JUMP).any():
            continue
        listing, power, size = _parts(np.log(bars.open[rows, col]), close, np.diff(rows) - 1 >= LEAST_ABSENCE / bars.interval)
        sizes["relisted"][rows, col] = size
        sizes["unit"][rows, col] = np.where(power != 0, 10.0**power, np.nan)
        for part in dict.fromkeys(zip(listing.tolist(), power.tolist(), strict=True)):
            mine = np.zeros(bars.n_bars, bool)
            mine[rows[(listing == part[0]) & (power == part[1])]] = True
            if part == (0, 0):
                columns[col] = (symbol, col, mine)
            else:
                columns.append((_name(symbol, *part), col, mine))
    if len(columns) > bars.n_symbols or not all(mine.all() for _, _, mine in columns):
        names, cols, kept = zip(*columns, strict=True)
        keep = np.stack(kept, axis=1)
        fields = {name: np.where(keep, getattr(bars, name)[:, cols], np.nan) for name in FIELDS}
        extras = {name: np.where(keep, values[:, cols], np.nan) for name, values in bars.extras.items()}
        bars = replace(bars, symbols=names, **fields, extras=extras)
    return bars, sizes, [col for _, col, _ in columns]


def _parts(log_open: np.ndarray, log_close: np.ndarray, absent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each known bar: number of its listing, power of ten of its unit, ratio at its relisting (NaN in the first)."""
    n = len(log_close)
    listings, powers, ratios = np.zeros(n, int), np.zeros(n, int), np.full(n, np.nan)
    listing, power, ratio, last = 0, 0, np.nan, log_close[0]
    for k in range(1, n):
        opened, closed = log_open[k] - last, log_close[k] - last
        step = round(closed / DECADE)
        if absent[k - 1] and abs(log_close[k] - log_close[k - 1]) >= JUMP:
            listing, power, ratio, last = listing + 1, 0, np.exp(log_close[k] - log_close[k - 1]), log_close[k]
        elif abs(step) >= LEAST_POWER and max(abs(opened - step * DECADE), abs(closed - step * DECADE)) < UNIT_TOLERANCE:
            power, last = power + step, log_close[k]
        else:
            # The nearer of open and close, so that the next bar is not compared with a single wrong close.
            last = log_open[k] if abs(opened) < abs(closed) else log_close[k]
        listings[k], powers[k], ratios[k] = listing, power, ratio
    return listings, powers, ratios


def _name(symbol: str, listing: int, power: int) -> str:
    marks = [f"relisted {listing}" if listing > 1 else "relisted"] if listing else []
    marks += [f"x{10**power}" if power > 0 else f"x{10.0**power:.{-power}f}"] if power else []
    return f"{symbol} ({', '.join(marks)})"

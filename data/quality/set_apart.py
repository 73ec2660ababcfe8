"""Bars that carry a symbol's name and are not its series: a ticker used again, prices in another unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foreshock.data.bars import FIELDS, Bars

JUMP = np.log(3.0)
DECADE = np.log(10.0)
# A bar is in a unit 10^k times the one before if its open and close are within this factor of that.
UNIT_TOLERANCE = np.log(1.5)
LEAST_POWER = 2
LEAST_ABSENCE = np.timedelta64(1, "D")


def set_apart(bars: Bars) -> tuple[Bars, dict[str, np.ndarray], list[int]]:
    """Bars in which each symbol is one series, and what was set apart, by kind.

    relisted
        After a day or more without a bar, a close threefold the last one or more, or a third or less: all bars from there on go
        to a symbol of their own, ``X (relisted)``, then ``X (relisted 2)``.
    unit
        Open and close of a bar are both 10^k times the price before, k = 2, 3, ... or -2, -3, ..., within a factor of 1.5:
        bars go to ``X (x1000)`` until prices come back. No market moves a hundredfold from one bar to the next and lands on a
        power of ten; ten times in a bar it does, so that a factor of 10 is a ``jump`` and no unit.

    The first bars of a symbol name it, and the part of a bar depends on bars up to itself alone: what was set apart stays so
    when more bars come. No value is changed.

    Returns
    -------
    Bars, dict of str to ndarray of float64, list of int
        By how much the close at the relisting differs from the last one, or 10^k, shape (n_bars, n_symbols) of the bars given, NaN
        in those that stayed; and which of the symbols given each one comes from.
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
    """Number of the listing, power of ten of the unit, and ratio at the relisting (NaN in the first), of each known bar."""
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
            # The nearer of the two, lest a single wrong close be what the next bar is held against.
            last = log_open[k] if abs(opened) < abs(closed) else log_close[k]
        listings[k], powers[k], ratios[k] = listing, power, ratio
    return listings, powers, ratios


def _name(symbol: str, listing: int, power: int) -> str:
    marks = [f"relisted {listing}" if listing > 1 else "relisted"] if listing else []
    marks += [f"x{10**power}" if power > 0 else f"x{10.0**power:.{-power}f}"] if power else []
    return f"{symbol} ({', '.join(marks)})"

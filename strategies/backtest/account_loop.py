"""The account bar by bar: fills, funding, borrow, interest, stops and liquidation, in one jitted loop.

vectorbt has no funding, borrow, leverage limit or liquidation, all of which change the cash that later orders are sized with.
The account is therefore computed here; `foreshock.strategies.backtest.portfolio` has vectorbt fill the same orders and compares.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LINES = ("fee", "slippage", "funding", "borrow", "interest", "liquidation", "forgiven")
FEE, SLIPPAGE, FUNDING, BORROW, INTEREST, LIQUIDATION, FORGIVEN = range(len(LINES))
# Reasons of a fill.
ORDER, SETTLEMENT, STOP, FORCED = range(4)
# Columns of the table of fills.
FILL = ("batch", "row", "col", "size", "quote", "slip", "fee", "kind")
BATCH, ROW, COL, SIZE, QUOTE, SLIP, FEE_RATE, KIND = range(len(FILL))
# Orders below this fraction of the equity, or of the starting equity, are rounding errors and are not filled.
DUST = 1e-12
DUST_OF_START = 1e-18
# Largest slippage from impact, which is also used where the impact is unknown.
MAX_IMPACT = 0.1
# Relative tolerance: weights and lots that miss a bound by less count as at the bound.
ROUNDING = 1e-9


@njit(cache=True, error_model="numpy", nogil=True)
def _slip_nb(slippage, coefficient, value):
    """Slippage of an order of this value, with square-root impact of at most ``MAX_IMPACT``, also where it is unknown."""
    if coefficient == 0.0:
        return slippage
    impact = coefficient * np.sqrt(value)
    if not impact < MAX_IMPACT:
        impact = MAX_IMPACT
    return slippage + impact


@njit(cache=True, error_model="numpy", nogil=True)
def _recorded_nb(fills, n_fills, batch, row, col, size, quote, slip, fee, kind):
    """The table of fills with one more fill; a full table is copied to one of twice the size."""
    if n_fills == len(fills):
        grown = np.empty((2 * n_fills, fills.shape[1]))
        # Loops, not slices: assigning a slice takes numba seconds to compile.
        for k in range(n_fills):
            for j in range(fills.shape[1]):
                grown[k, j] = fills[k, j]
        fills = grown
    fill = fills[n_fills]
    fill[BATCH], fill[ROW], fill[COL], fill[SIZE] = batch, row, col, size
    fill[QUOTE], fill[SLIP], fill[FEE_RATE], fill[KIND] = quote, slip, fee, kind
    return fills


@njit(cache=True, error_model="numpy", nogil=True)
def _stopped_nb(
    t, open_, high, low, impact, fee, slippage, stop, take, at_open,
    units, entry, in_force, fills, n_fills, batch, cash, lines, turnover,
):  # fmt: skip
    """Close the positions whose stop or target lies in the bar; returns the fills, their number and the cash."""
    for s in range(len(units)):
        if units[s] == 0.0 or np.isnan(open_[t, s]):
            continue
        side = 1.0 if units[s] > 0.0 else -1.0
        adverse, better = (low[t, s], high[t, s]) if side > 0.0 else (high[t, s], low[t, s])
        level = 0.0
        # If the bar touches both, their order is unknown, and the stop is assumed to come first.
        if stop > 0.0 and (adverse / entry[s] - 1) * side <= -stop:
            level = entry[s] * (1 - side * stop)
        elif take > 0.0 and (better / entry[s] - 1) * side >= take:
            level = entry[s] * (1 + side * take)
        if level > 0.0:
            # Rounding must not move the level outside the bar.
            level = min(max(level, low[t, s]), high[t, s])
            held = abs(units[s])
            slip = _slip_nb(slippage, impact[t, s] if len(impact) > 0 else 0.0, held * level)
            fills = _recorded_nb(fills, n_fills, batch, t, s, -units[s], level, slip, fee, STOP)
            n_fills += 1
            price = level * (1 - side * slip)
            cash += units[s] * price - held * price * fee
            lines[t, FEE] -= held * price * fee
            lines[t, SLIPPAGE] -= held * level * slip
            turnover[t] += held * level / at_open
            units[s] = 0.0
            in_force[s] = 0.0
    return fills, n_fills, cash


@njit(cache=True, error_model="numpy", nogil=True)
def _liquidated_nb(
    t, moment, open_, high, low, quote, fee, maintenance, liquidation_fee,
    units, in_force, fills, n_fills, batch, cash, lines, turnover,
):  # fmt: skip
    """Close every position if the margin is used up at the open (moment 0) or on the way to the worst prices of the bar (1).

    Returns the fills, their number, the cash, and the debt that was forgiven.
    """
    # Equity and gross value now, and if every position is at its worst price of the bar at once.
    now, held, worst, held_worst, shorts = cash, 0.0, cash, 0.0, False
    for s in range(len(units)):
        if units[s] != 0.0:
            adverse = quote[s]
            if moment == 1 and not np.isnan(open_[t, s]):
                adverse = low[t, s] if units[s] > 0.0 else high[t, s]
            now += units[s] * quote[s]
            held += abs(units[s]) * quote[s]
            worst += units[s] * adverse
            held_worst += abs(units[s]) * adverse
            shorts = shorts or units[s] < 0.0
    if held == 0.0 or not (shorts or cash < 0.0) or worst > maintenance * held_worst:
        return fills, n_fills, cash, 0.0
    margin, least = now - maintenance * held, worst - maintenance * held_worst
    way = margin / (margin - least) if margin > 0.0 else 0.0
    for s in range(len(units)):
        if units[s] == 0.0:
            continue
        adverse = quote[s]
        if moment == 1 and not np.isnan(open_[t, s]):
            adverse = low[t, s] if units[s] > 0.0 else high[t, s]
        level = quote[s] + way * (adverse - quote[s])
        value = abs(units[s]) * level
        fills = _recorded_nb(fills, n_fills, batch, t, s, -units[s], level, 0.0, fee + liquidation_fee, FORCED)
        n_fills += 1
        cash += units[s] * level - value * (fee + liquidation_fee)
        lines[t, FEE] -= value * fee
        lines[t, LIQUIDATION] -= value * liquidation_fee
        if now > 0.0:
            turnover[t] += value / now
        units[s] = 0.0
        in_force[s] = 0.0
    forgiven = max(-cash, 0.0)
    lines[t, FORGIVEN] += forgiven
    return fills, n_fills, cash + forgiven, forgiven


@njit(cache=True, error_model="numpy", nogil=True)
def _next_batch_nb(flows, batch, flow):
    """Book the cash flow since the previous batch of fills; the array always has room for one more."""
    flows[batch] = flow
    if batch + 1 == len(flows):
        grown = np.zeros(2 * len(flows))
        for k in range(len(flows)):
            grown[k] = flows[k]
        flows = grown
    return flows, batch + 1, 0.0


@njit(cache=True, error_model="numpy", nogil=True)
def keep_books_nb(
    open_, high, low, last_close, orders, settled, funding, impact,
    fee, slippage, borrow, interest, leverage, maintenance, liquidation_fee, band, smallest, lot, by_signal, hold, stop, take,
):  # fmt: skip
    """The account of orders, which starts with a cash of 1.

    Parameters
    ----------
    open_, high, low, last_close : ndarray, shape (n_bars, n_symbols)
        Prices, NaN where there was no trade; ``last_close`` is the close carried forward.
    orders : ndarray, shape (n_bars, n_symbols)
        Target weights in the row in which they are filled; NaN is no order.
    settled : ndarray of bool, shape (n_bars, n_symbols)
        True where the position of a delisted symbol is closed.
    funding, impact : ndarray, shape (n_bars, n_symbols) or (0, 0)
        Funding rate settled at the open, NaN for none; impact of an order of the size of the starting equity. An empty array
        switches either off.
    fee, slippage, borrow, interest : float
        Rates as fractions; the latter two are per bar.
    leverage, maintenance, liquidation_fee, band : float
        As in ``Account``.
    smallest, lot : ndarray, shape (n_symbols,)
        Smallest value of an order and unit of its size, in units of the starting equity; 0 for none.
    by_signal : bool
        If True, orders are entries and exits: an entry of the side that is already held is ignored, and ``hold`` (bars), ``stop``
        and ``take`` (fractions of the entry price) close a position; 0 for none.

    Returns
    -------
    equity, gross, net, turnover : ndarray, shape (n_bars,)
        Equity, and gross and net value of the positions, at the close; value traded in the bar over the equity at the open.
    lines : ndarray, shape (n_bars, 7)
        Cash that each line of ``LINES`` added.
    fills, n_fills : ndarray, shape (n_fills or more, 8), int
        The fills with the columns of ``FILL``; the size is signed, and fills of one batch are simultaneous.
    flows, n_flows : ndarray, shape (n_flows or more,), int
        Cash from funding, borrow, interest and forgiven debt before each batch, and after the last.
    dropped : ndarray, shape (5,)
        Row, column, value, equity and sum of targets of the first order for which there was no room; the row is -1 if there is no
        such order.
    skipped : int
        Number of orders left out because of the band, the lot or the smallest value.
    """
    n_bars, n_symbols = open_.shape
    equity, gross, net = np.empty(n_bars), np.empty(n_bars), np.empty(n_bars)
    turnover, lines = np.zeros(n_bars), np.zeros((n_bars, 7))
    fills, n_fills = np.empty((64, 8)), 0
    flows, batch, flow = np.zeros(64), 0, 0.0
    dropped = np.zeros(5)
    dropped[0] = -1.0
    skipped = 0
    cash, peak = 1.0, 1.0
    units, quote = np.zeros(n_symbols), np.empty(n_symbols)
    entry, entered = np.zeros(n_symbols), np.zeros(n_symbols, dtype=np.int64)
    in_force, change = np.zeros(n_symbols), np.zeros(n_symbols)
    target, queue = np.empty(n_symbols), np.zeros(n_symbols, dtype=np.int64)
    for t in range(n_bars):
        worth, size_held = cash, 0.0
        for s in range(n_symbols):
            quote[s] = last_close[t, s] if np.isnan(open_[t, s]) else open_[t, s]
            if units[s] != 0.0:
                if len(funding) > 0 and not np.isnan(funding[t, s]):
                    paid = units[s] * quote[s] * funding[t, s]
                    cash -= paid
                    worth -= paid
                    flow -= paid
                    lines[t, FUNDING] -= paid
                worth += units[s] * quote[s]
                size_held += abs(units[s]) * quote[s]

        # The account is checked for liquidation twice: at the open before the orders, and at the worst prices of the bar after.
        for moment in range(2):
            if moment == 1:
                queued = 0
                for s in range(n_symbols):
                    target[s] = orders[t, s]
                    traded = not np.isnan(open_[t, s])
                    if by_signal and units[s] != 0.0 and traded:
                        if target[s] * units[s] > 0:
                            target[s] = np.nan
                        if np.isnan(target[s]):
                            gain = (quote[s] / entry[s] - 1) * (1.0 if units[s] > 0.0 else -1.0)
                            over = hold > 0 and t >= entered[s] + hold
                            if over or (stop > 0 and gain <= -stop) or (take > 0 and gain >= take):
                                target[s] = 0.0
                    if not np.isnan(target[s]):
                        in_force[s] = target[s]
                        change[s] = abs(target[s] * worth) - abs(units[s]) * quote[s]
                        at = queued
                        while at > 0 and change[queue[at - 1]] > change[s]:
                            queue[at] = queue[at - 1]
                            at -= 1
                        queue[at] = s
                        queued += 1
                at_open, before = worth, n_fills
                peak = max(peak, worth)
                for place in range(queued):
                    s = queue[place]
                    # An account without equity places no orders.
                    if not at_open > 0.0:
                        continue
                    wanted = target[s] * at_open / quote[s] - units[s]
                    closing = target[s] == 0.0
                    if closing:
                        wanted = -units[s]
                    if wanted == 0.0:
                        continue
                    kind = SETTLEMENT if settled[t, s] else ORDER
                    coefficient = impact[t, s] if len(impact) > 0 and kind == ORDER else 0.0
                    base = slippage if kind == ORDER else 0.0
                    size = abs(wanted)
                    if not closing and abs(target[s] - units[s] * quote[s] / at_open) < band:
                        skipped += 1
                        continue
                    reduced = min(size, abs(units[s])) if wanted * units[s] < 0 else 0.0
                    if size > reduced:
                        # Room left under the leverage limit after the costs of this order.
                        slip = _slip_nb(base, coefficient, size * quote[s])
                        cost = slip + fee * (1 + slip if wanted > 0 else 1 - slip)
                        room = leverage * (worth - reduced * quote[s] * cost) - (size_held - reduced * quote[s])
                        size = reduced + min(size - reduced, max(room, 0.0) / (quote[s] * (1 + leverage * cost)))
                    if size * quote[s] <= max(DUST * at_open, DUST_OF_START):
                        if abs(wanted) * quote[s] > ROUNDING * peak and dropped[0] < 0:
                            asked = 0.0
                            for other in range(n_symbols):
                                if not np.isnan(open_[t, other]):
                                    asked += abs(in_force[other])
                            if asked > leverage + ROUNDING:
                                dropped[0], dropped[1], dropped[2], dropped[3], dropped[4] = t, s, wanted * quote[s], at_open, asked
                        continue
                    if kind == ORDER and lot[s] > 0.0:
                        lots = size / lot[s]
                        near = np.floor(lots + 0.5)
                        # A size within rounding of a whole number of lots becomes that number; an order to close keeps its size.
                        if abs(lots - near) > ROUNDING * max(lots, 1.0):
                            size = np.floor(lots) * lot[s]
                        elif not closing:
                            size = near * lot[s]
                    if kind == ORDER and (size == 0.0 or size * quote[s] < smallest[s] * (1 - ROUNDING)):
                        skipped += 1
                        continue
                    slip = _slip_nb(base, coefficient, size * quote[s])
                    signed = size if wanted > 0 else -size
                    fills = _recorded_nb(fills, n_fills, batch, t, s, signed, quote[s], slip, fee, kind)
                    n_fills += 1
                    price = quote[s] * (1 + slip if signed > 0 else 1 - slip)
                    charged = size * price * fee
                    cash -= signed * price + charged
                    worth -= charged + size * quote[s] * slip
                    size_held += (abs(units[s] + signed) - abs(units[s])) * quote[s]
                    if units[s] == 0.0 or units[s] * (units[s] + signed) < 0:
                        entry[s], entered[s] = quote[s], t
                    units[s] += signed
                    lines[t, FEE] -= charged
                    lines[t, SLIPPAGE] -= size * quote[s] * slip
                    turnover[t] += size * quote[s] / at_open
                if n_fills > before:
                    flows, batch, flow = _next_batch_nb(flows, batch, flow)
                if by_signal and (stop > 0.0 or take > 0.0):
                    before = n_fills
                    fills, n_fills, cash = _stopped_nb(
                        t, open_, high, low, impact, fee, slippage, stop, take, at_open,
                        units, entry, in_force, fills, n_fills, batch, cash, lines, turnover,
                    )  # fmt: skip
                    if n_fills > before:
                        flows, batch, flow = _next_batch_nb(flows, batch, flow)

            before = n_fills
            fills, n_fills, cash, forgiven = _liquidated_nb(
                t, moment, open_, high, low, quote, fee, maintenance, liquidation_fee,
                units, in_force, fills, n_fills, batch, cash, lines, turnover,
            )  # fmt: skip
            if n_fills > before:
                flows, batch, flow = _next_batch_nb(flows, batch, flow)
                flow += forgiven
                worth, size_held = cash, 0.0

        long_, short = 0.0, 0.0
        for s in range(n_symbols):
            value = units[s] * last_close[t, s]
            if value > 0.0:
                long_ += value
            else:
                short -= value
        # The proceeds of short sales are locked: they earn no interest and cannot pay for purchases.
        free = cash - short
        if borrow != 0.0:
            paid = borrow * (short + max(-free, 0.0))
            cash -= paid
            flow -= paid
            lines[t, BORROW] -= paid
        if interest != 0.0:
            earned = interest * max(free, 0.0)
            cash += earned
            flow += earned
            lines[t, INTEREST] += earned
        equity[t] = cash + (long_ - short)
        gross[t] = long_ + short
        net[t] = long_ - short
    flows[batch] = flow
    return equity, gross, net, turnover, lines, fills, n_fills, flows, batch + 1, dropped, skipped

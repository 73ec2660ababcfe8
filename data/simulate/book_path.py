"""The mechanics of the simulated order book: what is placed, cancelled and traded at each price, snapshot by snapshot."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from foreshock.data.books.orderbook import N_LEVELS

# Ticks kept behind the touch, and the share of them that is occupied: more than twice the visible levels.
DEPTH_TICKS = 60
OCCUPIED = 0.8
# The touch moves by no more ticks in one step; it catches up with the fair price in later steps.
MAX_JUMP = 400
RING = 2_048


@dataclass(frozen=True)
class BookPath:
    """The inputs that drive the book; arrays have one row per snapshot.

    Parameters
    ----------
    fair : ndarray, shape (n_rows,)
        Fair price in ticks.
    half_spread : ndarray, shape (n_rows,)
        Half of the spread in ticks.
    depth : ndarray, shape (n_rows, 2)
        Value to which a level of either side returns, in quote currency.
    activity : ndarray, shape (n_rows,)
        Rate of placing and cancelling; 1 is ordinary.
    market : ndarray, shape (n_rows, 2)
        Value that takers demand at the touch of either side.
    traded_share : ndarray, shape (n_rows,)
        Share of the value behind a retreating touch that is traded; the rest is cancelled.
    iceberg : ndarray, shape (n_rows, 2)
        Value traded against and refilled at the touch, which does not retreat while this is positive.
    """

    fair: np.ndarray
    half_spread: np.ndarray
    depth: np.ndarray
    activity: np.ndarray
    market: np.ndarray
    traded_share: np.ndarray
    iceberg: np.ndarray


@njit(cache=True)
def book_nb(
    rng, fair, half_spread, depth, activity, market, traded_share, iceberg, levels, depth_ticks, occupied, max_jump, ring_size
):
    """The book along a path.

    Prices are keys: ticks for asks, minus ticks for bids, so that the best of either side has the lowest. At a price that stays,
    placing draws the value towards its depth and cancelling takes an exponential share::

        q[t] = q[t-1] + limit[t] - cancel[t] - market[t]

    Returns the keys, values, cancel, limit and market flow of the best levels, (n_rows, 2, levels) each, and of every trade its
    row, side, tick and value. The flow of a price that left the book in sight is booked at the nearest level, as in ``book_flows``.
    """
    n_rows = len(fair)
    shape = (n_rows, 2, levels)
    keys = np.zeros(shape, dtype=np.int64)
    value, cancel, limit, traded = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    n_trades, room = 0, 4 * n_rows + 1_024
    trade_at = np.empty((room, 3), dtype=np.int64)
    trade_value = np.empty(room)
    ring = np.zeros((2, ring_size))
    best = np.zeros(2, dtype=np.int64)
    new = np.zeros(2, dtype=np.int64)
    longest = max_jump + depth_ticks + 1
    gone_cancel, gone_traded = np.zeros(longest), np.zeros(longest)
    flow = np.zeros((3, longest))
    for row in range(n_rows):
        new[1] = int(np.ceil(fair[row] + half_spread[row]))
        new[0] = -min(int(np.floor(fair[row] - half_spread[row])), new[1] - 1)
        if row > 0:
            for side in range(2):
                new[side] = min(max(new[side], best[side] - max_jump // 2), best[side] + max_jump // 2)
                if iceberg[row, side] > 0.0 and new[side] > best[side]:
                    new[side] = best[side]
                    # The other side cannot cross it.
                    new[1 - side] = max(new[1 - side], 1 - new[side])
            if new[0] + new[1] < 1:
                new[0] = 1 - new[1]
        for side in range(2):
            first, old = new[side], best[side] if row > 0 else new[side]
            sight = keys[row - 1, side, levels - 1] if row > 0 else first + ring_size
            gone_cancel[:] = 0.0
            gone_traded[:] = 0.0
            flow[:] = 0.0
            for key in range(old, first):
                q = ring[side, key % ring_size]
                if q > 0.0:
                    gone_traded[key - old] = q * traded_share[row]
                    gone_cancel[key - old] = q - gone_traded[key - old]
            pace = 0.25 * activity[row]
            for key in range(first, first + depth_ticks + 1):
                at, d = key % ring_size, key - first
                usual = depth[row, side] * (1.0 + 1.5 * np.exp(-float(d)))
                size = usual * np.exp(rng.standard_normal() - 0.5)
                chance = rng.random()
                if row == 0 or key > old + depth_ticks:
                    # The price was out of sight, so its flows are not recorded.
                    ring[side, at] = size if d == 0 or chance < occupied else 0.0
                    continue
                # Prices better than the old touch are empty, even if the ring holds an old value there.
                q = ring[side, at] if key >= old else 0.0
                if q == 0.0:
                    if d == 0 or chance < (occupied if key < old else 0.2 * pace * occupied):
                        flow[1, d] = size
                elif d > 0 and chance > 1.0 - 0.2 * pace * (1.0 - occupied):
                    # The value left is exactly zero, not the rounding error of a sum.
                    flow[0, d] = q
                    ring[side, at] = 0.0
                    continue
                else:
                    taken = 1.0 - np.exp(-pace * rng.standard_exponential())
                    churn = 0.3 * activity[row] * usual * rng.standard_exponential()
                    flow[0, d] = q * taken + churn
                    flow[1, d] = size * pace / (1.0 + pace) + churn
                    if d == 0:
                        rest = q + flow[1, d] - flow[0, d]
                        flow[2, d] = min(market[row, side], 0.8 * rest)
                if d == 0:
                    flow[1, d] += iceberg[row, side]
                    flow[2, d] += iceberg[row, side]
                ring[side, at] = q + flow[1, d] - flow[0, d] - flow[2, d]
            # The visible levels.
            n = 0
            for key in range(first, first + depth_ticks + 1):
                q = ring[side, key % ring_size]
                if q > 0.0 and n < levels:
                    keys[row, side, n], value[row, side, n] = key, q
                    n += 1
            if row > 0:
                j = 0
                for key in range(first, keys[row, side, n - 1] + 1):
                    d = key - first
                    while j + 1 < n and keys[row, side, j + 1] - key < key - keys[row, side, j]:
                        j += 1
                    if ring[side, key % ring_size] > 0.0 or key <= sight:
                        cancel[row, side, j] += flow[0, d]
                        limit[row, side, j] += flow[1, d]
                        traded[row, side, j] += flow[2, d]
                for key in range(old, first):
                    traded[row, side, 0] += gone_traded[key - old]
                    if key <= sight:
                        cancel[row, side, 0] += gone_cancel[key - old]
                # Trades, from the old touch to the new.
                if n_trades + longest > room:
                    room *= 2
                    grown_at, grown_value = np.empty((room, 3), dtype=np.int64), np.empty(room)
                    grown_at[:n_trades], grown_value[:n_trades] = trade_at[:n_trades], trade_value[:n_trades]
                    trade_at, trade_value = grown_at, grown_value
                for key in range(old, first + 1):
                    paid = gone_traded[key - old] if key < first else flow[2, 0]
                    if paid > 0.0:
                        trade_at[n_trades, 0] = row
                        trade_at[n_trades, 1] = side
                        trade_at[n_trades, 2] = key if side == 1 else -key
                        trade_value[n_trades] = paid
                        n_trades += 1
                if first < old and flow[2, 0] > 0.0:
                    trade_at[n_trades, 0] = row
                    trade_at[n_trades, 1] = side
                    trade_at[n_trades, 2] = first if side == 1 else -first
                    trade_value[n_trades] = flow[2, 0]
                    n_trades += 1
            best[side] = first
    return keys, value, cancel, limit, traded, trade_at[:n_trades], trade_value[:n_trades]


@njit(cache=True)
def overlay_flows_nb(keys, extra):
    """Cancel and limit flow of extra values on the levels of a book.

    keys, extra : (n_rows, n_sides, n_levels). Prices are matched as in ``book_nb``; the first row has no flow.
    """
    n_rows, n_sides, n_levels = keys.shape
    cancel, limit = np.zeros(extra.shape), np.zeros(extra.shape)
    for row in range(1, n_rows):
        for side in range(n_sides):
            now, before = keys[row, side], keys[row - 1, side]
            i, j = 0, 0
            while i < n_levels or j < n_levels:
                if j == n_levels and i < n_levels:
                    # The remaining old levels are out of sight.
                    break
                if i == n_levels or (j < n_levels and now[j] < before[i]):
                    limit[row, side, j] += extra[row, side, j]
                    j += 1
                elif now[j] == before[i]:
                    change = extra[row, side, j] - extra[row - 1, side, i]
                    limit[row, side, j] += max(change, 0.0)
                    cancel[row, side, j] += max(-change, 0.0)
                    i += 1
                    j += 1
                else:
                    # Between level j - 1 and level j, or better than the best.
                    near = j if j == 0 or now[j] - before[i] < before[i] - now[j - 1] else j - 1
                    cancel[row, side, near] += extra[row - 1, side, i]
                    i += 1
    return cancel, limit


def book_along(rng: np.random.Generator, path: BookPath) -> tuple[np.ndarray, ...]:
    """The book along a path; see ``book_nb`` for the arrays."""
    driven = (path.fair, path.half_spread, path.depth, path.activity, path.market, path.traded_share, path.iceberg)
    return book_nb(rng, *driven, N_LEVELS, DEPTH_TICKS, OCCUPIED, MAX_JUMP, RING)

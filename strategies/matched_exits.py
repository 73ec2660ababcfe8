"""The exits of a strategy at random other times that are alike: the same symbols, listed as much and expected to move as much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from foreshock.data.bars import Bars

# Bars whose mean absolute returns tell what volatility to expect; with hourly bars, up to a week.
WINDOWS = (1, 6, 24, 168)
# Places are alike if the logs of the bet and of the weight differ by at most this. If fewer than NEAREST are alike, the nearest
# so many are taken.
ALIKE, NEAREST = 0.1, 20
# Exchanges tried for each block with exits: after as many, a draw has forgotten where the exits were.
PROPOSALS = 12
# The table of places has a row and a column for each block.
MOST_BLOCKS = 2_000


@dataclass(frozen=True)
class Exits:
    """Times outside the market, one entry for each run of rows of a symbol, sorted by their first row.

    Parameters
    ----------
    symbol, first, length : ndarray of int, shape (n_exits,)
        Column, first row and number of rows.
    block : ndarray of int, shape (n_blocks + 1,)
        Exits ``block[b]`` to ``block[b + 1] - 1`` begin in the b-th block of ``n_rows`` rows.
    n_rows : int
        Length of a block.
    """

    symbol: np.ndarray
    first: np.ndarray
    length: np.ndarray
    block: np.ndarray
    n_rows: int

    @classmethod
    def of(cls, outside: np.ndarray, n_rows: int) -> Exits:
        """The runs of True in each column of ``outside``, shape (n_bars, n_symbols)."""
        edge = np.zeros((1, outside.shape[1]), dtype=np.int8)
        steps = np.diff(np.concatenate([edge, outside.astype(np.int8), edge]), axis=0)
        symbol, first = np.nonzero((steps == 1).T)
        _, end = np.nonzero((steps == -1).T)
        order = np.lexsort((symbol, first))
        symbol, first, length = symbol[order], first[order], (end - first)[order]
        begins = np.arange(-(-len(outside) // n_rows) + 1) * n_rows
        return cls(symbol, first, length, np.searchsorted(first, begins), n_rows)

    @property
    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
        """The arguments that the kernels share."""
        return self.symbol, self.first, self.length, self.block, self.n_rows


def expected_moves(bars: Bars, n_ahead: int) -> np.ndarray:
    """Mean absolute log return expected at the close of each row for the next ``n_ahead``, shape (n_bars, n_symbols).

    A least squares fit of the log on the logs of the mean absolute returns over ``WINDOWS``, common to the symbols. Its five
    coefficients are those of the whole history, because draws are made with hindsight; apart from them, a value uses no later
    return. NaN where a symbol has no return yet.
    """
    size = pd.DataFrame(np.abs(bars.returns()))
    known_sizes = size.to_numpy()[size.notna().to_numpy()]
    # Prices at rest have no logs; where nothing ever moves, every row is alike.
    floor = 0.01 * known_sizes.mean() if known_sizes.any() else 1.0
    past = np.stack([np.log(size.rolling(n_back, min_periods=1).mean().to_numpy() + floor) for n_back in WINDOWS], axis=-1)
    ahead = size[::-1].rolling(n_ahead, min_periods=1).mean()[::-1].shift(-1).to_numpy()
    target = np.log(ahead + floor)
    design = np.concatenate([np.ones((*target.shape, 1)), past], axis=-1)
    known = np.isfinite(target) & np.isfinite(past).all(axis=-1)
    fitted = np.linalg.lstsq(design[known], target[known], rcond=None)[0]
    return np.exp(design @ fitted)


def matched_draws(
    outside: np.ndarray, n_hold: int, moves: np.ndarray, weight: np.ndarray, may_begin: np.ndarray, n_draws: int, seed: int
) -> Iterator[np.ndarray]:
    """Times outside the market of each draw in turn, each of shape (n_bars, n_symbols).

    The history is cut into blocks of ``n_hold`` rows, or more if there were more than ``MOST_BLOCKS``. A draw exchanges the exits
    that begin in one block with those of another, again and again: an exit begins as many rows after the start of its new block,
    exits of one block stay together, and as many blocks have exits as before. An exchange is tried only between blocks that are
    alike for the exits of both, and dropped if exits of one symbol would overlap or touch.

    Parameters
    ----------
    outside : ndarray of bool, shape (n_bars, n_symbols)
        Times outside the market of the strategy.
    n_hold : int
        Rows that an exit lasts without a further alert.
    moves : ndarray, shape (n_bars, n_symbols)
        Expected size of a move.
    weight : ndarray, shape (n_bars, n_symbols)
        Share of the equity that an exit sells.
    may_begin : ndarray of bool, shape (n_bars, n_symbols)
        True where an exit may begin.
    n_draws, seed : int
        Number of draws; draw i depends on (seed, i).
    """
    exits = Exits.of(outside, max(n_hold, -(-len(outside) // MOST_BLOCKS)))
    busy = np.flatnonzero(np.diff(exits.block))
    bets = weight * moves
    alike = _alike_nb(*exits.table, bets, weight, may_begin & np.isfinite(bets), ALIKE, NEAREST)
    choices = np.nonzero(alike)[1]
    ends = np.concatenate([[0], np.cumsum(alike.sum(axis=1))])
    for draw in range(n_draws):
        rng = np.random.default_rng([seed, draw])
        tried = np.concatenate([rng.permutation(busy) for _ in range(PROPOSALS)])
        yield _exchanged_nb(outside, *exits.table, alike, choices, ends, tried, rng.random(len(tried)))


def stake(outside: np.ndarray, bets: np.ndarray) -> float:
    """Sum over the rows of the square of the sum of the bets that are left out; bets that are not known count as 0."""
    rows = outside.any(axis=1)
    return float((np.where(outside[rows], np.nan_to_num(bets[rows]), 0.0).sum(axis=1) ** 2).sum())


@njit(cache=True, error_model="numpy", nogil=True)
def _sizes_nb(values, symbol, first, length, start, stop, n_rows, shift):
    """Sum over exits ``start`` to ``stop`` of the root of the sum of squares, a value holding for ``n_rows`` from its row on."""
    total = 0.0
    for k in range(start, stop):
        squares = 0.0
        for passed in range(0, length[k], n_rows):
            squares += values[first[k] + shift + passed, symbol[k]] ** 2 * min(n_rows, length[k] - passed)
        total += np.sqrt(squares)
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def _alike_nb(symbol, first, length, block, n_rows, bets, weight, may_begin, near, least):
    """True at [a, b] where the exits of block a may begin in block b instead; shape (n_blocks, n_blocks).

    All of them must be allowed to begin there and end within the history, and the sums of their bets and of their weights must be
    near those at home, or among the ``least`` nearest. A block without exits may be anywhere.
    """
    n_blocks = len(block) - 1
    alike = np.ones((n_blocks, n_blocks), dtype=np.bool_)
    distance = np.empty(n_blocks)
    for a in range(n_blocks):
        start, stop = block[a], block[a + 1]
        if start == stop:
            continue
        bet = _sizes_nb(bets, symbol, first, length, start, stop, n_rows, 0)
        held = _sizes_nb(weight, symbol, first, length, start, stop, n_rows, 0)
        possible = 0
        for b in range(n_blocks):
            shift = (b - a) * n_rows
            distance[b] = np.inf
            allowed = True
            for k in range(start, stop):
                row = first[k] + shift
                allowed = allowed and row + length[k] <= len(bets) and may_begin[row, symbol[k]]
            if allowed:
                far = abs(np.log(_sizes_nb(bets, symbol, first, length, start, stop, n_rows, shift) / bet))
                wide = abs(np.log(_sizes_nb(weight, symbol, first, length, start, stop, n_rows, shift) / held))
                # What is not known cannot differ.
                distance[b] = max(0.0 if np.isnan(far) else far, 0.0 if np.isnan(wide) else wide)
                possible += 1
        limit = near
        if possible > 0:
            limit = max(limit, np.sort(distance)[min(least, possible) - 1])
        for b in range(n_blocks):
            alike[a, b] = b == a or (distance[b] < np.inf and distance[b] <= limit)
    return alike


@njit(cache=True, error_model="numpy", nogil=True)
def _mark_nb(out, symbol, first, length, start, stop, shift, value):
    """Set the rows of exits ``start`` to ``stop``, moved by ``shift``."""
    for k in range(start, stop):
        for row in range(first[k] + shift, first[k] + shift + length[k]):
            out[row, symbol[k]] = value


@njit(cache=True, error_model="numpy", nogil=True)
def _free_nb(out, symbol, first, length, start, stop, shift):
    """Whether no exit of the same symbol overlaps or touches exits ``start`` to ``stop``, moved by ``shift``."""
    for k in range(start, stop):
        begin = first[k] + shift
        for row in range(max(begin - 1, 0), min(begin + length[k] + 1, len(out))):
            if out[row, symbol[k]]:
                return False
    return True


@njit(cache=True, error_model="numpy", nogil=True)
def _exchanged_nb(outside, symbol, first, length, block, n_rows, alike, choices, ends, tried, chance):
    """``outside`` after exchanges of the exits of block ``tried[i]`` with those now in one of its places, by ``chance[i]``.

    A pair of contents is exchanged with the same probability there and back, so that in the end every arrangement that is allowed
    is as likely as any other.
    """
    out = outside.copy()
    place, content = np.arange(len(block) - 1), np.arange(len(block) - 1)
    for i in range(len(tried)):
        a = tried[i]
        n_choices = ends[a + 1] - ends[a]
        here, there = place[a], choices[ends[a] + min(int(chance[i] * n_choices), n_choices - 1)]
        b = content[there]
        if here == there or not alike[b, here]:
            continue
        own, other = (block[a], block[a + 1]), (block[b], block[b + 1])
        _mark_nb(out, symbol, first, length, own[0], own[1], (here - a) * n_rows, False)
        _mark_nb(out, symbol, first, length, other[0], other[1], (there - b) * n_rows, False)
        done = _free_nb(out, symbol, first, length, own[0], own[1], (there - a) * n_rows)
        if done:
            _mark_nb(out, symbol, first, length, own[0], own[1], (there - a) * n_rows, True)
            done = _free_nb(out, symbol, first, length, other[0], other[1], (here - b) * n_rows)
            if not done:
                _mark_nb(out, symbol, first, length, own[0], own[1], (there - a) * n_rows, False)
        if done:
            place[a], place[b], content[here], content[there] = there, here, b, a
        else:
            _mark_nb(out, symbol, first, length, own[0], own[1], (here - a) * n_rows, True)
        _mark_nb(out, symbol, first, length, other[0], other[1], (place[b] - b) * n_rows, True)
    return out

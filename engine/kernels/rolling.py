"""Rolling moments, covariances and maxima by block merge, in batch and row by row.

Rows are cut into blocks as long as the window. A window that ends in a block consists of the end of the previous block and the
beginning of this one, so its sum is one suffix sum plus one prefix sum: O(1) per row, nothing is subtracted, no error
accumulates, and deleting later rows changes no bit of earlier results. Sums are taken about the first row of the block, the
anchor, which lies in every window that ends there: at a price of 6e4 with noise of 0.01 the differences are exact, and a flat
window sums to exactly zero. If the anchor is NaN, all those windows are NaN, as they should be.

A batch kernel processes four columns at a time; its stream performs the same steps for one row, so both give the same bits.

Blocks start at multiples of the window on the grid of all rows. ``phase`` is the number of the first row on that grid, modulo the
window; 0 counts from the first row. With the right phase, a history that is cut on the left gives the same bits in every full
window: the rows before the first multiple are the end of a block, and no full window ends in it.
"""

import numpy as np
from numba import njit

from foreshock.data.stream.state import Stream
from foreshock.engine.kernels.lanes import WIDTH, ZERO, add, larger, load, multiply, store, subtract

LEAST = (-np.inf, -np.inf, -np.inf, -np.inf)


@njit(cache=True, error_model="numpy", nogil=True)
def rolling_moments_nb(x, window, order, phase=0):
    """Deviation of the last row from the mean, standard deviation, and skewness (for ``order`` 3) of the last ``window`` rows.

    With ``r = pandas.DataFrame(x).rolling(window)`` they equal ``x - r.mean()``, ``r.std()``, ``r.skew()``. A window with a NaN
    gives NaN; a flat window has deviation and standard deviation exactly 0, and NaN for skewness.

    x : (n_rows, n_symbols); window >= 2; 0 <= phase < window. Returns (order, n_rows, n_symbols).
    """
    n_rows, n_symbols = x.shape
    flat = _flat(x)
    width = max(n_symbols, WIDTH)
    out = np.empty((order, n_rows, width))
    out[:, : window - 1] = np.nan
    planes = out.reshape((order, n_rows * width))
    # Per block: d is the row less the anchor; sums are over the window, of d, its square and its cube.
    d = np.empty(window * width)
    sums = np.empty((3, window * width))
    tails = np.empty((3, window * WIDTH))
    for start in range((window - phase) % window, n_rows, window):
        stop = min(start + window, n_rows)
        for lane in range(0, width, WIDTH):
            at = min(lane, width - WIDTH)
            if order == 3:
                _lane_sums(flat, start, stop, window, width, at, 3, d, sums, tails)
            else:
                _lane_sums(flat, start, stop, window, width, at, 2, d, sums, tails)
        first = max(start, window - 1)
        if first < stop:
            block = slice((first - start) * width, (stop - start) * width)
            to = slice(first * width, stop * width)
            _deviations(d[block], sums[0, block], sums[1, block], window, planes[0, to], planes[1, to])
            if order == 3:
                _skewness(sums[0, block], sums[1, block], sums[2, block], window, planes[2, to])
    return out if width == n_symbols else np.ascontiguousarray(out[:, :, :n_symbols])


@njit(error_model="numpy", nogil=True, forceinline=True)
def _flat(x):
    """All rows in one flat array, padded to at least four columns."""
    n_rows, n_symbols = x.shape
    if n_symbols >= WIDTH:
        return x.ravel()
    wide = np.zeros((n_rows, WIDTH))
    # Element by element: numba takes seven seconds to compile what an assignment of slices says of shapes that differ.
    for t in range(n_rows):
        for i in range(n_symbols):
            wide[t, i] = x[t, i]
    return wide.ravel()


@njit(error_model="numpy", nogil=True, forceinline=True)
def _lane_sums(x, start, stop, window, width, lane, order, d, sums, tails):
    """Four columns of a block: suffix sums of the previous block about this block's anchor, and the window sums they give."""
    anchor = load(x, np.uint64(start * width + lane))
    s1, s2, s3 = ZERO, ZERO, ZERO
    if start > 0:
        low = max(window - start - 1, 0)
        for k in range(order):
            store(tails[k], np.uint64((window - 1) * WIDTH), ZERO)
        for j in range(window - 1, low, -1):
            to = np.uint64((j - 1) * WIDTH)
            away = subtract(load(x, np.uint64((start - window + j) * width + lane)), anchor)
            square = multiply(away, away)
            s1, s2 = add(s1, away), add(s2, square)
            store(tails[0], to, s1)
            store(tails[1], to, s2)
            if order == 3:
                s3 = add(s3, multiply(square, away))
                store(tails[2], to, s3)
    else:
        tails[:] = 0.0
    s1, s2, s3 = ZERO, ZERO, ZERO
    for j in range(stop - start):
        to, tail = np.uint64(j * width + lane), np.uint64(j * WIDTH)
        away = subtract(load(x, np.uint64((start + j) * width + lane)), anchor)
        square = multiply(away, away)
        s1, s2 = add(s1, away), add(s2, square)
        store(d, to, away)
        store(sums[0], to, add(load(tails[0], tail), s1))
        store(sums[1], to, add(load(tails[1], tail), s2))
        if order == 3:
            s3 = add(s3, multiply(square, away))
            store(sums[2], to, add(load(tails[2], tail), s3))


@njit(error_model="numpy", nogil=True, forceinline=True)
def _deviations(d, s1, s2, window, deviation, std):
    share, share_less = 1.0 / window, 1.0 / (window - 1.0)
    for k in range(len(d)):
        offset = s1[k] * share
        m2 = s2[k] - s1[k] * offset
        # A comparison with NaN is False, so NaN stays NaN.
        m2 = 0.0 if m2 < 0.0 else m2
        deviation[k] = d[k] - offset
        std[k] = np.sqrt(m2 * share_less)


@njit(error_model="numpy", nogil=True, forceinline=True)
def _skewness(s1, s2, s3, window, out):
    n, share = float(window), 1.0 / window
    factor = np.sqrt(n * (n - 1.0)) / (n - 2.0)
    for k in range(len(out)):
        offset = s1[k] * share
        m2 = s2[k] - s1[k] * offset
        m2 = np.nan if m2 <= 0.0 else m2
        m3 = s3[k] - 3.0 * offset * s2[k] + 2.0 * n * offset * offset * offset
        variance = m2 * share
        out[k] = factor * (m3 * share) / (variance * np.sqrt(variance))


@njit(cache=True, error_model="numpy", nogil=True)
def rolling_mean_nb(x, window, phase=0):
    """Equals ``pandas.DataFrame(x).rolling(window).mean()``; x : (n_rows, n_symbols), window >= 1, 0 <= phase < window."""
    n_rows, n_symbols = x.shape
    flat = _flat(x)
    width = max(n_symbols, WIDTH)
    out = np.empty((n_rows, width))
    out[: window - 1] = np.nan
    line = out.reshape(n_rows * width)
    tail = np.zeros(window * WIDTH)
    share = 1.0 / window
    shares = share, share, share, share
    for start in range((window - phase) % window, n_rows, window):
        stop = min(start + window, n_rows)
        for lane in range(0, width, WIDTH):
            at = min(lane, width - WIDTH)
            anchor = load(flat, np.uint64(start * width + at))
            total = ZERO
            if start > 0:
                low = max(window - start - 1, 0)
                for j in range(window - 1, low, -1):
                    store(tail, np.uint64(j * WIDTH), total)
                    total = add(total, subtract(load(flat, np.uint64((start - window + j) * width + at)), anchor))
                store(tail, np.uint64(low * WIDTH), total)
            total = ZERO
            for j in range(stop - start):
                to = np.uint64((start + j) * width + at)
                total = add(total, subtract(load(flat, to), anchor))
                if start + j >= window - 1:
                    both = add(load(tail, np.uint64(j * WIDTH)), total)
                    store(line, to, add(anchor, multiply(both, shares)))
    return out if width == n_symbols else np.ascontiguousarray(out[:, :n_symbols])


@njit(cache=True, error_model="numpy", nogil=True)
def rolling_max_nb(x, window, phase=0):
    """Equals ``pandas.DataFrame(x).rolling(window).max()``; x : (n_rows, n_symbols), window >= 1, 0 <= phase < window.

    The block merge of van Herk (1992): the larger of a suffix maximum and a prefix maximum.
    """
    n_rows, n_symbols = x.shape
    flat = _flat(x)
    width = max(n_symbols, WIDTH)
    out = np.empty((n_rows, width))
    out[: window - 1] = np.nan
    line = out.reshape(n_rows * width)
    tail = np.full(window * WIDTH, -np.inf)
    for start in range((window - phase) % window, n_rows, window):
        stop = min(start + window, n_rows)
        for lane in range(0, width, WIDTH):
            at = min(lane, width - WIDTH)
            top = LEAST
            if start > 0:
                low = max(window - start - 1, 0)
                for j in range(window - 1, low, -1):
                    store(tail, np.uint64(j * WIDTH), top)
                    top = larger(top, load(flat, np.uint64((start - window + j) * width + at)))
                store(tail, np.uint64(low * WIDTH), top)
            top = LEAST
            for j in range(stop - start):
                to = np.uint64((start + j) * width + at)
                top = larger(top, load(flat, to))
                if start + j >= window - 1:
                    store(line, to, larger(load(tail, np.uint64(j * WIDTH)), top))
    return out if width == n_symbols else np.ascontiguousarray(out[:, :n_symbols])


@njit(cache=True, error_model="numpy", nogil=True)
def rolling_covariance_nb(x, y, window, phase=0):
    """Sample covariance of each column of x with each of y over the last ``window`` rows.

    ``out[:, a, b]`` equals ``pandas.Series(x[:, a]).rolling(window).cov(pandas.Series(y[:, b]))``, NaN where either has a NaN in
    the window. x : (n_rows, n_x); y : (n_rows, n_y); window >= 2; 0 <= phase < window. Returns (n_rows, n_x, n_y).
    """
    n_rows, n_x = x.shape
    n_y = y.shape[1]
    out = np.full((n_rows, n_x, n_y), np.nan)
    tail_x = np.zeros((window, n_x))
    tail_y = np.zeros((window, n_y))
    tail_xy = np.zeros((window, n_x, n_y))
    for start in range((window - phase) % window, n_rows, window):
        if start > 0:
            first = max(start - window, 0)
            _begin_covariance(x[first:start], y[first:start], x[start], y[start], tail_x, tail_y, tail_xy)
        head_x = np.zeros(n_x)
        head_y = np.zeros(n_y)
        head_xy = np.zeros((n_x, n_y))
        for j in range(min(window, n_rows - start)):
            row = start + j
            _advance_covariance(
                x[row],
                y[row],
                x[start],
                y[start],
                tail_x,
                tail_y,
                tail_xy,
                head_x,
                head_y,
                head_xy,
                j,
                row >= window - 1,
                out[row],
            )
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def _begin_covariance(before_x, before_y, anchor_x, anchor_y, tail_x, tail_y, tail_xy):
    window, n_x = tail_x.shape
    n_y = tail_y.shape[1]
    # At the beginning of a history, the rows before a block may be fewer than a window.
    missing = window - len(before_x)
    for j in range(window - 2, max(missing - 1, 0) - 1, -1):
        row = j + 1 - missing
        for a in range(n_x):
            tail_x[j, a] = tail_x[j + 1, a] + (before_x[row, a] - anchor_x[a])
        for b in range(n_y):
            tail_y[j, b] = tail_y[j + 1, b] + (before_y[row, b] - anchor_y[b])
        for a in range(n_x):
            for b in range(n_y):
                product = (before_x[row, a] - anchor_x[a]) * (before_y[row, b] - anchor_y[b])
                tail_xy[j, a, b] = tail_xy[j + 1, a, b] + product


@njit(cache=True, error_model="numpy", nogil=True)
def _advance_covariance(row_x, row_y, anchor_x, anchor_y, tail_x, tail_y, tail_xy, head_x, head_y, head_xy, j, full, out):
    window, n_x = tail_x.shape
    n_y = tail_y.shape[1]
    for a in range(n_x):
        head_x[a] += row_x[a] - anchor_x[a]
    for b in range(n_y):
        head_y[b] += row_y[b] - anchor_y[b]
    for a in range(n_x):
        for b in range(n_y):
            head_xy[a, b] += (row_x[a] - anchor_x[a]) * (row_y[b] - anchor_y[b])
    if not full:
        return
    n = float(window)
    for a in range(n_x):
        sum_x = tail_x[j, a] + head_x[a]
        for b in range(n_y):
            sum_y = tail_y[j, b] + head_y[b]
            out[a, b] = (tail_xy[j, a, b] + head_xy[a, b] - sum_x * sum_y / n) / (n - 1.0)


@njit(cache=True, error_model="numpy", nogil=True)
def _stream_sums(block, row, count, tail, head, sums):
    """Fill sums, (order + 1, n_symbols): sums over the window of d, its square and its cube, then d, the row less its anchor."""
    window, n_symbols = block.shape
    order = len(head)
    j = count % window
    for i in range(n_symbols):
        if j == 0 and count > 0:
            # At this point the block still holds the rows of the previous block.
            for back in range(window - 2, -1, -1):
                power = away = block[back + 1, i] - row[i]
                for k in range(order):
                    tail[k, back, i] = tail[k, back + 1, i] + power
                    power *= away
        anchor = row[i] if j == 0 else block[0, i]
        power = away = row[i] - anchor
        sums[order, i] = away
        for k in range(order):
            head[k, i] = (0.0 if j == 0 else head[k, i]) + power
            power *= away
            sums[k, i] = tail[k, j, i] + head[k, i]
    block[j] = row


@njit(cache=True, error_model="numpy", nogil=True)
def _stream_moments(sums, window, out):
    _deviations(sums[-1], sums[0], sums[1], window, out[0], out[1])
    if len(out) == 3:
        _skewness(sums[0], sums[1], sums[2], window, out[2])


class _SumsStream(Stream):
    """Sums over the last ``window`` rows of d, the row less the first of its block, and of its powers up to ``order``."""

    carries = ("_block", "_tail", "_head", "_count", "_full")

    def __init__(self, window: int, n_symbols: int, order: int, phase: int) -> None:
        # The rows of the first block that lie before the history are zero; no full window uses them.
        self._block = np.zeros((window, n_symbols))
        self._tail = np.zeros((order, window, n_symbols))
        self._head = np.zeros((order, n_symbols))
        self._sums = np.empty((order + 1, n_symbols))
        self._count = phase
        self._full = phase + window

    def _take(self, row: np.ndarray) -> bool:
        """Take the next row; returns whether the window is full."""
        _stream_sums(self._block, row, self._count, self._tail, self._head, self._sums)
        self._count += 1
        return self._count >= self._full


class MomentsStream(_SumsStream):
    """``rolling_moments_nb`` one row at a time; ``update`` returns (order, n_symbols)."""

    def __init__(self, window: int, n_symbols: int, order: int = 2, phase: int = 0) -> None:
        super().__init__(window, n_symbols, order, phase)

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,)."""
        out = np.full((len(self._tail), len(row)), np.nan)
        if self._take(row):
            _stream_moments(self._sums, len(self._block), out)
        return out


class MeanStream(_SumsStream):
    """``rolling_mean_nb`` one row at a time."""

    def __init__(self, window: int, n_symbols: int, phase: int = 0) -> None:
        super().__init__(window, n_symbols, 1, phase)

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,)."""
        if not self._take(row):
            return np.full(len(row), np.nan)
        return self._block[0] + self._sums[0] * (1.0 / len(self._block))


class MaxStream(Stream):
    """``rolling_max_nb`` one row at a time."""

    carries = ("_block", "_tail", "_head", "_count", "_full")

    def __init__(self, window: int, n_symbols: int, phase: int = 0) -> None:
        self._block = np.full((window, n_symbols), -np.inf)
        self._tail = np.full((window, n_symbols), -np.inf)
        self._head = np.full(n_symbols, -np.inf)
        self._count = phase
        self._full = phase + window

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,)."""
        j = self._count % len(self._block)
        if j == 0:
            if self._count:
                self._tail[:-1] = np.maximum.accumulate(self._block[:0:-1], axis=0)[::-1]
            self._head[:] = -np.inf
        self._block[j] = row
        self._head = np.maximum(self._head, row)
        self._count += 1
        return np.maximum(self._tail[j], self._head) if self._count >= self._full else np.full(len(row), np.nan)


class CovarianceStream(Stream):
    """``rolling_covariance_nb`` one row at a time."""

    carries = ("_block_x", "_block_y", "_tails", "_heads", "_count", "_full")

    def __init__(self, window: int, n_x: int, n_y: int, phase: int = 0) -> None:
        self.window = window
        self._block_x, self._block_y = np.zeros((window, n_x)), np.zeros((window, n_y))
        self._tails = np.zeros((window, n_x)), np.zeros((window, n_y)), np.zeros((window, n_x, n_y))
        self._heads = np.zeros(n_x), np.zeros(n_y), np.zeros((n_x, n_y))
        self._count = phase
        self._full = phase + window

    def update(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Take the next rows, shapes (n_x,) and (n_y,); returns (n_x, n_y)."""
        j = self._count % self.window
        if j == 0:
            if self._count:
                _begin_covariance(self._block_x, self._block_y, x, y, *self._tails)
            for head in self._heads:
                head[:] = 0.0
        self._block_x[j], self._block_y[j] = x, y
        out = np.full((len(x), len(y)), np.nan)
        self._count += 1
        full = self._count >= self._full
        _advance_covariance(x, y, self._block_x[0], self._block_y[0], *self._tails, *self._heads, j, full, out)
        return out

"""Streams of features that are saved at a random row, read in another object and go on: the bits of one that never stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.bars import FIELDS
from foreshock.data.simulate.book import simulate_book
from foreshock.data.trades.windows import trade_windows
from foreshock.engine.features.book import BOOK_FEATURES, BookStream
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, OhlcvStream
from foreshock.engine.features.pumps import PumpStream
from foreshock.engine.features.windows import WINDOW_FEATURES, WindowStream
from tests.market import make_bars, make_trades

BARS = (*OHLCV_FEATURES, "return_rank_50", "volume_rank_50", "market_correlation_48", "market_beta_48", "ewma_volatility_30")
WINDOWS = (*WINDOW_FEATURES, "rush_orders_7", "volume_zscore_30", "buy_burst_3_20")
BOOK = (*BOOK_FEATURES, "order_flow_imbalance_7", "depth_ratio_30")


def of_bars() -> tuple[Callable[[], Any], list[Any]]:
    bars = make_bars(n_bars=500, n_symbols=3, seed=6)
    rows = [[getattr(bars, name)[row] for name in FIELDS] for row in range(bars.n_bars)]
    return lambda: OhlcvStream(3, BARS, bars.start_row), rows


def of_windows() -> tuple[Callable[[], Any], list[Any]]:
    windows = trade_windows(make_trades(2_000, seed=2), 2)
    return lambda: WindowStream(WINDOWS), [windows.rows(slice(row, row + 1)) for row in range(len(windows))]


def of_books() -> tuple[Callable[[], Any], list[Any]]:
    book = simulate_book(seed=5, n_rows=200).book
    return lambda: BookStream(BOOK), [book.rows(slice(row, row + 1)) for row in range(len(book))]


def of_pumps() -> tuple[Callable[[], Any], list[Any]]:
    trades = make_trades(6_000, seed=3, gap_ms=2_000)
    chunks = trade_windows(trades.rows(trades.is_buy), 5)
    return lambda: PumpStream(5), [chunks.rows(slice(row, row + 1)) for row in range(len(chunks))]


MADE = {"bars": of_bars, "windows": of_windows, "books": of_books, "pumps": of_pumps}


@pytest.mark.parametrize("kind", MADE)
def test_a_restored_stream_goes_on_with_the_bits_of_one_that_was_never_stopped(kind, tmp_path):
    make, rows = MADE[kind]()
    stream = make()
    whole = [stream.update(row) for row in rows]
    assert any(found is not None and np.isfinite(found).all() for found in whole)
    for cut in np.random.default_rng(len(kind)).integers(1, len(rows), 5).tolist():
        first = make()
        for row in rows[:cut]:
            first.update(row)
        path = Path(tmp_path) / f"{cut}.safetensors"
        first.save(path)
        resumed = make().load(path)
        # A state that was restored and not used yet is the state.
        again = make().restore(resumed.state())
        for row, expected in zip(rows[cut:], whole[cut:], strict=True):
            for one in (resumed, again):
                found = one.update(row)
                assert (found is None) == (expected is None)
                assert found is None or np.array_equal(found, expected, equal_nan=True)


def test_a_state_that_was_taken_does_not_change_with_later_rows():
    make, rows = of_bars()
    stream = make()
    for row in rows[:200]:
        stream.update(row)
    state = stream.state()
    following = [stream.update(row) for row in rows[200:210]]
    for _ in range(2):
        resumed = make().restore(state)
        assert np.array_equal([resumed.update(row) for row in rows[200:210]], following, equal_nan=True)


def test_the_state_of_another_stream_and_a_damaged_file_are_refused(tmp_path):
    make, rows = of_bars()
    stream = make()
    stream.update(rows[0])
    with pytest.raises(fs.DataError, match="whose n_symbols is 3, and this one has 2"):
        OhlcvStream(2, BARS).restore(stream.state())
    with pytest.raises(fs.DataError, match=r"whose names is .* and this one has"):
        OhlcvStream(3, ["range"]).restore(stream.state())
    with pytest.raises(fs.DataError, match="restore the state of a stream made in the same way"):
        WindowStream().restore(stream.state())
    path = tmp_path / "state"
    stream.save(path)
    with pytest.raises(fs.DataError, match="is of a OhlcvStream, not of a WindowStream"):
        WindowStream().load(path)
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(fs.DataError, match="was changed after it was saved"):
        make().load(path)
    with pytest.raises(fs.DataError, match="no such file"):
        make().load(tmp_path / "none")

"""Members of a universe are chosen by what was known when their block began, and by nothing later."""

from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.out_of_sample.universe import Universe
from tests.market import HOUR, NAN, bars_of

# The first block begins in row 120: blocks begin at multiples of two days since 1970.
SPLITS = fs.WalkForward("5D", "2D", embargo=None)
FIRST = 120


def market(n_bars: int = 480, n_symbols: int = 5) -> fs.Bars:
    """Bars of symbols whose value traded changes places; the last is listed late, the first is delisted."""
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (n_bars, n_symbols)), axis=0))
    volume = np.exp(rng.normal(0, 1, (n_bars, n_symbols)) + np.cumsum(rng.normal(0, 0.1, (n_bars, n_symbols)), axis=0))
    close[: n_bars // 2, -1] = NAN
    close[2 * n_bars // 3 :, 0] = NAN
    volume = np.where(np.isnan(close), NAN, volume)
    return bars_of(close, volume=volume)


def by_hand(bars: fs.Bars, start: int, top: int, n_window: int) -> list[str]:
    """The largest sums of value traded over the rows before ``start``, of symbols with a bar in the last 24 of them."""
    sums = {}
    for k, name in enumerate(bars.symbols):
        value = [float(bars.close[row, k] * bars.volume[row, k]) for row in range(start - n_window, start)]
        if not all(np.isnan(bars.close[start - 24 : start, k])):
            sums[name] = sum(x for x in value if not np.isnan(x))
    return sorted(sums, key=lambda name: (-sums[name], name))[:top]


def test_members_are_the_largest_by_the_value_traded_before_each_block():
    bars = market()
    found = Universe(2, window="3D").members(bars, SPLITS)
    assert [str(block.start) for block in found.blocks] == [str(bars.time[row]) for row in range(FIRST, 480, 48)]
    for block in found.blocks:
        assert list(block.members) == by_hand(bars, block.rows.start, 2, 72)
        inside = np.isin(bars.symbols, block.members)
        assert (found.mask[block.rows] == inside).all()
    assert found.mask[:FIRST].all()
    # The test would say nothing of a market whose members stay the same.
    assert len({block.members for block in found.blocks}) > 2
    assert not any("S0" in block.members for block in found.blocks if block.rows.start >= 320 + 24)


def test_later_bars_do_not_change_earlier_members():
    bars, universe = market(), Universe(2, window="3D")
    full = universe.members(bars, SPLITS)
    for n in range(FIRST + 1, 480, 7):
        cut = universe.members(bars.head(n), SPLITS)
        assert np.array_equal(cut.mask, full.mask[:n])
        assert np.array_equal(cut.held, full.held[:n]), n
        assert [block.members for block in cut.blocks] == [block.members for block in full.blocks[: len(cut.blocks)]]


def test_a_longer_past_does_not_change_members():
    bars, universe = market(), Universe(2, window="3D")
    late = universe.members(bars.rows(slice(96, None)), SPLITS)
    early = {str(block.start): block.members for block in universe.members(bars, SPLITS).blocks}
    assert all(block.members == early[str(block.start)] for block in late.blocks)


def test_who_leaves_is_not_held_past_the_last_bar_of_its_block():
    found = Universe(2, window="3D").members(market(), SPLITS)
    after = np.vstack([found.mask[1:], found.mask[-1:]])
    assert np.array_equal(found.held, found.mask & after)
    assert (found.mask & ~found.held).any()


def test_equal_sums_are_ordered_by_name_and_fewer_are_members_where_fewer_are_listed():
    bars = bars_of(np.ones((240, 3)))
    bars = replace(bars, symbols=("C", "A", "B"))
    assert {block.members for block in Universe(2, "volume", "3D").members(bars, SPLITS).blocks} == {("A", "B")}
    assert {block.members for block in Universe(9, "volume", "3D").members(bars, SPLITS).blocks} == {("A", "B", "C")}


def test_a_hole_of_some_hours_is_no_delisting_and_a_day_is():
    close = np.ones((240, 2))
    close[164:168, 0], close[192:216, 1] = NAN, NAN
    bars = bars_of(close, volume=np.where(np.isnan(close), NAN, 1.0))
    found = Universe(2, "volume", "3D").members(bars, SPLITS)
    assert [set(block.members) for block in found.blocks] == [{"S0", "S1"}, {"S0", "S1"}, {"S0"}]


def test_the_column_may_be_any_of_the_extras_and_values_that_it_lacks_are_close_times_volume():
    bars = bars_of(np.ones((240, 3)), volume=np.tile([3.0, 2.0, 1.0], (240, 1)))
    given = np.tile([NAN, 2.5, 9.0], (240, 1))
    bars = replace(bars, extras={"quote_volume": given, "trade_count": np.tile([1.0, NAN, 2.0], (240, 1))})

    def first(by: str) -> tuple[str, ...]:
        return Universe(3, by, "3D").members(bars, SPLITS).blocks[0].members

    assert first("quote_volume") == ("S2", "S0", "S1")
    assert first("volume") == ("S0", "S1", "S2")
    # Who has no known value is not ranked last, but not at all.
    assert first("trade_count") == ("S2", "S0")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"top": 0}, "top must be a whole number of at least 1, got 0; such as 50"),
        ({"top": 2, "window": "soon"}, "window must be"),
        ({"top": 2, "by": "fame"}, "the universe is by 'fame', which the bars do not have; they have quote_volume, volume"),
        ({"top": 2, "window": "5D", "by": "volume"}, ""),
        ({"top": 2, "window": "6D"}, "the window of the universe must fit before the first test block, got 6D and 120 bars of 1h"),
    ],
)
def test_what_is_no_universe_of_these_bars_is_one_sentence(wrong, message):
    if not message:
        assert Universe(**wrong).members(market(), SPLITS).blocks
        return
    with pytest.raises(fs.ConfigError, match=message):
        Universe(**wrong).members(market(), SPLITS)


def test_a_column_that_is_nowhere_known_is_one_sentence():
    bars = bars_of(np.ones((240, 2)), volume=np.full((240, 2), NAN))
    with pytest.raises(fs.DataError, match="no symbol has a known volume in the 3D before any test block"):
        Universe(1, "volume", "3D").members(bars, SPLITS)


def test_signals_and_scores_say_nothing_outside_a_mask():
    values = np.array([[1.0, 5.0], [5.0, 1.0]])
    mask = np.array([[True, False], [True, True]])
    time = np.datetime64("2024-01-01", "us") + np.arange(2) * HOUR
    scores = fs.Scores(time, ("A", "B"), values, HOUR)
    found = scores.signals(fs.Fixed(2.0)).where(mask)
    assert found.active.tolist() == [[False, False], [True, False]]
    assert found.decided.tolist() == mask.tolist()
    assert np.isnan(found.threshold).tolist() == (~mask).tolist()
    assert np.isnan(scores.where(mask).values).tolist() == (~mask).tolist()
    assert scores.where(None) is scores

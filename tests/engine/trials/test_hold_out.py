"""The hold-out: its bars are given once, and the ledger knows."""

import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.trials.hold_out import HoldOut
from foreshock.engine.trials.ledger import Ledger
from tests.market import make_bars


@pytest.fixture
def bars():
    return make_bars(200, 2, seed=3)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.jsonl", lambda: datetime(2024, 5, 6, tzinfo=UTC))


def test_what_is_visible_and_what_is_held_are_the_whole_history(bars, ledger):
    held = HoldOut.reserve(bars, 0.25, ledger)
    assert held.visible.n_bars == 150
    opened = held.open(bars, {"detector": "zscore"})
    np.testing.assert_array_equal(np.concatenate([held.visible.time, opened.time]), bars.time)
    np.testing.assert_array_equal(np.vstack([held.visible.close, opened.close]), bars.close)
    seal, opening = ledger.entries()
    assert (seal.kind, opening.kind) == ("seal", "opening")
    assert seal.data_hash == opening.data_hash == bars.rows(slice(150, None)).fingerprint()
    assert (seal.configuration["n_held"], seal.configuration["start"]) == (50, str(bars.time[150]))
    assert opening.configuration == {"detector": "zscore"}
    assert opening.result["seal"] == seal.sha256


def test_the_record_says_how_much_was_tried_before_the_opening(bars, ledger):
    held = HoldOut.reserve(bars, 0.25, ledger)
    for window in (24, 48, 48):
        ledger.append({"window": window}, held.visible.fingerprint(), {})
    held.open(bars)
    assert ledger.entries()[-1].result["n_trials"] == 2
    assert ledger.count() == 2


def test_a_second_opening_is_refused_whoever_asks_and_whatever_share_he_seals(bars, ledger):
    held = HoldOut.reserve(bars, 0.25, ledger)
    early = HoldOut.reserve(bars, 0.5, ledger)
    held.open(bars)
    words = f"the hold-out from {bars.time[150]} on was opened before, at 2024-05-06"
    for again in (held, early, replace(held, ledger=Ledger(ledger.path))):
        with pytest.raises(DataError, match=words):
            again.open(bars)
    for share in (0.25, 0.3):
        with pytest.raises(DataError, match=words):
            HoldOut.reserve(bars, share, ledger)
    # Another history, with the very bars held out that were opened.
    with pytest.raises(DataError, match=words):
        HoldOut.reserve(bars.rows(slice(100, None)), 0.5, ledger)
    assert [entry.kind for entry in ledger.entries()] == ["seal", "seal", "opening"]


def test_reserving_twice_is_one_seal_and_another_history_is_another_one(bars, ledger):
    first, second = HoldOut.reserve(bars, 0.25, ledger), HoldOut.reserve(bars, 0.25, ledger)
    assert first.seal == second.seal
    assert len(ledger.entries()) == 1
    first.open(bars)
    other = replace(make_bars(200, 2, seed=4), symbols=("C", "D"))
    assert HoldOut.reserve(other, 0.25, ledger).open(other).n_bars == 50


def _coarser(bars):
    """Bars of two hours."""
    low, high = np.minimum(bars.low[::2], bars.low[1::2]), np.maximum(bars.high[::2], bars.high[1::2])
    return replace(
        bars, time=bars.time[::2], open=bars.open[::2], high=high, low=low, close=bars.close[1::2],
        volume=bars.volume[::2] + bars.volume[1::2], interval=np.timedelta64(2, "h"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "cut",
    [
        lambda bars: bars.head(199),
        lambda bars: bars.select("A"),
        lambda bars: bars.select("B").head(170),
        lambda bars: replace(bars, volume=bars.volume + 1),
        lambda bars: replace(bars, symbols=("Z", "B")),
        lambda bars: bars.rows(slice(120, None)),
        _coarser,
    ],
    ids=["last bar", "one symbol", "both", "another source", "renamed", "first bars", "interval"],
)
def test_bars_that_were_opened_are_not_given_again_in_another_cut(bars, ledger, cut):
    other = cut(bars)
    early = HoldOut.reserve(other, 0.25, ledger)
    HoldOut.reserve(bars, 0.25, ledger).open(bars)
    words = f"the hold-out from {bars.time[150]} on was opened before, at 2024-05-06"
    with pytest.raises(DataError, match=words):
        early.open(other)
    with pytest.raises(DataError, match=words):
        HoldOut.reserve(other, 0.25, ledger)
    assert [entry.kind for entry in ledger.entries()].count("opening") == 1


def test_later_bars_and_other_symbols_may_be_held_out_and_opened(ledger):
    longer = make_bars(300, 3, seed=3)
    bars = longer.head(200).select(["A", "B"])
    HoldOut.reserve(bars, 0.25, ledger).open(bars)
    third = longer.head(200).select("C")
    assert HoldOut.reserve(third, 0.25, ledger).open(third).n_bars == 50
    # The first of these opens where the last of those closed; one more would be one too many.
    with pytest.raises(DataError, match=f"hold out bars that open at or after {longer.time[200]}$"):
        HoldOut.reserve(longer, 101 / 300, ledger)
    assert HoldOut.reserve(longer, 100 / 300, ledger).open(longer).n_bars == 100


def test_a_ledger_may_be_given_by_its_path(bars, tmp_path):
    path = tmp_path / "ledger.jsonl"
    HoldOut.reserve(bars, 0.25, str(path)).open(bars)
    with pytest.raises(DataError, match="was opened before"):
        HoldOut.reserve(bars, 0.25, path)
    assert [entry.kind for entry in Ledger(path).entries()] == ["seal", "opening"]


def test_bars_or_cuts_that_were_tampered_with_are_refused(bars, ledger):
    held = HoldOut.reserve(bars, 0.25, ledger)
    higher = replace(bars, volume=bars.volume + 1)
    with pytest.raises(DataError, match="the bars are not those that were sealed"):
        held.open(higher)
    with pytest.raises(DataError, match="visible bars were added or removed"):
        replace(held, visible=bars.head(100)).open(bars)
    assert [entry.kind for entry in ledger.entries()] == ["seal"]


def test_a_seal_or_ledger_that_was_tampered_with_opens_nothing(bars, ledger, tmp_path):
    held = HoldOut.reserve(bars, 0.25, ledger)
    with pytest.raises(DataError, match="the seal of this hold-out is not in"):
        replace(held, ledger=Ledger(tmp_path / "fresh.jsonl")).open(bars)
    held.open(bars)
    # Without its last line the ledger would let the hold-out be opened again.
    ledger.path.write_bytes(ledger.path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(DataError, match="entry 1 is missing at the end"):
        held.open(bars)
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b'"n_held":50', b'"n_held":40'))
    with pytest.raises(DataError, match="line 1 was changed"):
        HoldOut.reserve(bars, 0.25, ledger)


def _open(path: str, barrier, results) -> None:
    bars = make_bars(200, 2, seed=3)
    held = HoldOut.reserve(bars, 0.25, Ledger(path))
    barrier.wait()
    try:
        results.put(held.open(bars).n_bars)
    except DataError as error:
        results.put(str(error))


def test_of_three_processes_that_open_at_once_one_is_given_the_bars(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    path = str(tmp_path / "ledger.jsonl")
    workers = [context.Process(target=_open, args=(path, barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert found.count(50) == 1
    assert sum("was opened before" in str(answer) for answer in found) == 2


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, 0.001, 0.999, float("nan")])
def test_a_share_that_leaves_nothing_on_a_side_is_refused(bars, ledger, share):
    with pytest.raises(ConfigError, match="leave bars on both sides"):
        HoldOut.reserve(bars, share, ledger)
    assert not ledger.path.exists()

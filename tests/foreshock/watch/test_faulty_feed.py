"""From a faulty feed of real trades to alerts: drops, losses, duplicates and swaps change nothing once holes are filled by id."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.trades.trades import Trades
from foreshock.data.trades.windows import TradeWindows
from foreshock.engine.features.features import Features

NAMES = ("log_return", "volatility", "volatility_20", "trade_count", "volume", "buy_share_20", "rush_orders", "volume_ratio_20")
FITTED = 300


class Sequencer:
    """Trades by number, each once and in order; what is missing is asked for again."""

    def __init__(self, ask: Callable[[int, int], list[int]]) -> None:
        self.ask, self.due, self.held = ask, 0, set()
        self.doubled = self.filled = 0

    def put(self, packet: list[int]) -> list[int]:
        fresh = [number for number in packet if number >= self.due and number not in self.held]
        self.doubled += len(packet) - len(set(fresh))
        self.held.update(fresh)
        if self.held and self.due not in self.held:
            missing = self.ask(self.due, min(self.held))
            self.filled += len(missing)
            self.held.update(missing)
        out = []
        while self.due in self.held:
            self.held.remove(self.due)
            out.append(self.due)
            self.due += 1
        return out


def faulty(n: int, seed: int) -> tuple[list[list[int]], dict[str, int]]:
    """Packets of trade numbers: some never sent, one in seven with two trades swapped, one in ten with trades sent twice."""
    rng, at, packets = np.random.default_rng(seed), 0, []
    faults = dict.fromkeys(("lost", "swapped", "doubled"), 0)
    while at < n:
        packet = list(range(at, min(at + int(rng.integers(1, 41)), n)))
        at += len(packet)
        drawn = rng.random(3)
        if drawn[0] < 0.03 and at < n:
            faults["lost"] += len(packet)
            continue
        if drawn[1] < 0.15 and len(packet) > 2:
            k = int(rng.integers(0, len(packet) - 1))
            packet[k], packet[k + 1] = packet[k + 1], packet[k]
            faults["swapped"] += 1
        if drawn[2] < 0.1:
            packet = packet + packet[-3:]
            faults["doubled"] += 1
        packets.append(packet)
    return packets, faults


class Chain:
    """Trades in; closed windows, their features, scores and alerts out."""

    def __init__(self, detector: Any, rule: fs.RollingQuantile, like: Features) -> None:
        self.windows, self.features = fs.LiveWindows(1), fs.WindowStream(NAMES)
        none = like.rows(slice(0, 0))
        self.scores = detector.stream(none)
        self.signals = fs.SignalStream(rule, fs.Scores(none.time, none.symbols, none.values[:, :, 0], none.interval), "10s")
        self.rows: list[tuple[TradeWindows, np.ndarray, np.ndarray, Any]] = []

    def add(self, trades: Trades) -> None:
        closed = self.windows.add(trades)
        for k in range(len(closed)):
            window = closed.rows(slice(k, k + 1))
            values = self.features.update(window)
            scores = self.scores.update(values, window.time[0])
            self.rows.append((window, values, scores, self.signals.update(scores, window.time[0])))

    def restarted(self, other: "Chain") -> "Chain":
        """Another chain in the state of this one."""
        for name in ("windows", "features", "scores", "signals"):
            getattr(other, name).restore(getattr(self, name).state())
        other.rows = self.rows
        return other


@pytest.mark.real_data
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_alerts_of_a_faulty_feed_are_those_of_the_batch(seed, shared_data):
    trades = fs.read_trades(shared_data / "ticks_btcusdt_spot_20240808.parquet")
    batch = fs.trade_windows(trades, 1)
    whole = fs.window_features(batch, NAMES)
    detector = fs.make_detector("isolation_forest").fit(whole.rows(slice(0, FITTED)))
    rule = fs.RollingQuantile(0.95, "120s")
    expected = detector.score(whole)
    packets, faults = faulty(len(trades), seed)
    sequencer = Sequencer(lambda start, stop: list(range(start, stop)))
    chain, restarts = Chain(detector, rule, whole), set(np.random.default_rng(seed).integers(0, len(packets), 3).tolist())
    for k, packet in enumerate(packets):
        numbers = sequencer.put(packet)
        if numbers:
            chain.add(trades.rows(slice(numbers[0], numbers[-1] + 1)))
        if k in restarts:
            chain = chain.restarted(Chain(detector, rule, whole))
    assert min(faults.values()) > 10
    assert sequencer.filled >= faults["lost"]
    assert sequencer.doubled >= 10
    n = len(batch) - 1
    assert len(chain.rows) == n > 600
    names = [name for name, values in vars(batch).items() if isinstance(values, np.ndarray)]
    for name in names:
        found = np.concatenate([getattr(row[0], name) for row in chain.rows])
        assert np.array_equal(found, getattr(batch, name)[:n], equal_nan=name != "time"), name
    assert np.array_equal(np.array([row[1] for row in chain.rows]), whole.values[:n], equal_nan=True)
    assert np.array_equal(np.array([row[2] for row in chain.rows]), expected.values[:n], equal_nan=True)
    signals = replace(expected, time=expected.time[:n], values=expected.values[:n]).signals(rule, "10s")
    assert np.array_equal(np.array([row[3].active for row in chain.rows]), signals.active)
    assert np.array_equal(np.array([row[3].threshold for row in chain.rows]), signals.threshold, equal_nan=True)
    assert signals.active.sum() > 10

"""Benchmark of detectors on the simulated market, whose events are known, by kind and size of event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from foreshock.benchmarks.common import report_row
from foreshock.data.errors import ConfigError
from foreshock.data.simulate.market import DEFAULT_BARS, DEFAULT_SYMBOLS, simulate_market
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.detectors.registry import detectors, make_detector, neural_detectors
from foreshock.engine.detection import Events, detection_report
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.study.side_by_side import walk_forward_all

SPLITS = WalkForward(train="180D", test="90D", embargo="2D")
THRESHOLD = RollingQuantile(0.99, window="60D")
# Bars of an hour: a day of cool-down, as in a study, and VUS-PR buffers of up to a day.
COOLDOWN = WINDOW = 24
KINDS = ("flash_crash", "pump", "foreshock")
# Detectors that the best network must beat.
PEERS = ("pca", "volatility_only")


def planted_names() -> list[str]:
    """The registered detectors, without those of PyOD."""
    return [name for name in detectors() if not name.startswith("pyod:")]


@with_one_blas_thread
def planted_benchmark(
    seed: int = 7, on_step: Callable[[str], None] = lambda _: None, n_symbols: int = DEFAULT_SYMBOLS, n_bars: int = DEFAULT_BARS
) -> dict[str, Any]:
    """Score every registered detector by walk-forward, and match its alerts with the planted events.

    The event of a crash or pump lasts from its onset to the end of its aftermath, that of a foreshock from its signature to the end
    of its abnormal moves. ``foreshock before onset`` ends before the move begins, so it measures the value of a warning. Decoys are
    not events: an alert on one is false. The rows of one kind leave out the bars of other events; ``small`` and ``large`` are the
    lowest and the highest third of a kind by size.

    Parameters
    ----------
    seed : int
        Seed of the market, the bootstrap intervals and the chance level.
    on_step : callable
        Called with the name of each step when it is done: the walk-forward scores and the comparison of each detector in
        ``planted_names()``.
    n_symbols, n_bars : int
        Size of the market.

    Returns
    -------
    dict
        ``rows``, ``notes``, ``labels`` (a ``Labels`` of every planted event, decoys ``false``), ``settings``, ``seeds``.
    """
    market = simulate_market(seed=seed, n_symbols=n_symbols, n_bars=n_bars)
    features = ohlcv_features(market.bars)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    scored: dict[str, Scores] = {}
    made = {name: make_detector(name) for name in planted_names()}
    # All detectors get the purge of the longest lookback, so that all are tested on the same blocks.
    for name, result in walk_forward_all(made, features, SPLITS, max(detector.lookback for detector in made.values())):
        if isinstance(result, ConfigError):
            notes.append(f"{name} does not run on bar features with its defaults: {result}")
        else:
            scored[name] = result[0]
        on_step(f"walk-forward {name}")
    scored = {name: scored[name] for name in made if name in scored}
    # A threshold needs past scores: counting starts at the first row where every detector can alert.
    signals = {name: scores.signals(THRESHOLD) for name, scores in scored.items()}
    first = max(int(np.argmax(found.decided.any(axis=1))) for found in signals.values())
    counted = np.zeros(market.volatility.shape, dtype=bool)
    counted[first:] = True
    # Rows of an event that began before `first` count neither as events nor as quiet rows.
    begun = market.events["signature_row"] < first
    for row in market.events[begun].itertuples():
        counted[: row.stop_row, features.symbols.index(str(row.symbol))] = False
    for name, scores in scored.items():
        for keys, events, left_out in event_groups(market.events[~begun], features):
            report = detection_report(
                scores, signals[name], events, cooldown=COOLDOWN, window=WINDOW, counted=counted & ~left_out, seed=seed
            )
            rows.append(report_row(name, report, **keys))
        on_step(f"events {name}")
    notes += network_notes(rows)
    settings = {
        "symbols": list(market.bars.symbols),
        "n_bars": market.bars.n_bars,
        "counted_from": str(market.bars.time[first]),
        "train": SPLITS.train,
        "test": SPLITS.test,
        "embargo": SPLITS.embargo,
        "threshold": {"quantile": THRESHOLD.q, "window": THRESHOLD.window},
        "cooldown_bars": COOLDOWN,
        "window_bars": WINDOW,
    }
    found = {"rows": rows, "notes": notes, "labels": market.labels}
    return {**found, "settings": settings, "seeds": {"market": seed, "bootstrap": seed}}


def network_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which networks beat chance by VUS-PR on all events, and whether the best one beats its peers; empty without networks.

    A network beats chance if its interval lies above that of ``random``.
    """
    found = {row["detector"]: row for row in rows if row["kind"] == row["size"] == "all"}
    networks = [name for name in neural_detectors() if name in found]
    if not networks or "random" not in found:
        return []

    def bounds(name: str) -> tuple[float, float]:
        low, high = found[name]["vus_pr_ci"]
        return low, high

    def shown(name: str) -> str:
        low, high = bounds(name)
        return f"{name} ({found[name]['vus_pr']:.3f} [{low:.3f}, {high:.3f}])"

    # `not (low > high)`, so that an unknown interval counts as overlapping.
    alike = [name for name in networks if not bounds(name)[0] > bounds("random")[1]]
    if alike:
        said = f"not told from {shown('random')} by VUS-PR on all events, the intervals touch: {', '.join(map(shown, alike))}"
    else:
        said = f"the VUS-PR of every network on all events is apart from that of {shown('random')}"
    out = [f"{said} ({len(networks) - len(alike)} of {len(networks)} networks are apart)"]
    best = max(networks, key=lambda name: found[name]["vus_pr"])
    for peer in PEERS:
        if peer not in found:
            continue
        beats = found[best]["vus_pr"] > found[peer]["vus_pr"]
        higher, lower = (best, peer) if beats else (peer, best)
        apart = "apart" if bounds(higher)[0] > bounds(lower)[1] else "not apart"
        verb = "beats" if beats else "does not beat"
        out.append(f"the best network by VUS-PR on all events, {shown(best)}, {verb} {shown(peer)}; the intervals are {apart}")
    return out


def event_groups(table: pd.DataFrame, features: Features) -> Iterator[tuple[dict[str, str], Events, np.ndarray]]:
    """Yield the keys of each group, its events, and a mask of the rows of other events, which do not count for the group."""
    table = table[table["kind"].isin(KINDS)]
    col = np.array([features.symbols.index(name) for name in table["symbol"]], dtype=np.int64)
    start, stop, onset = (table[name].to_numpy() for name in ("signature_row", "stop_row", "row"))
    everything = Events(col, start, stop, (features.n_rows, len(features.symbols)))
    kind, size = table["kind"].to_numpy(), table["size"].to_numpy()

    def group(chosen: np.ndarray, ends: np.ndarray = stop) -> tuple[Events, np.ndarray]:
        events = Events(col[chosen], start[chosen], ends[chosen], everything.shape)
        return events, everything.labels() & ~events.labels()

    yield {"kind": "all", "size": "all"}, *group(np.ones(len(table), dtype=bool))
    for name in KINDS:
        of_kind = kind == name
        if not of_kind.any():
            continue
        yield {"kind": name, "size": "all"}, *group(of_kind)
        small, large = np.quantile(size[of_kind], [1 / 3, 2 / 3])
        yield {"kind": name, "size": "small"}, *group(of_kind & (size <= small))
        yield {"kind": name, "size": "large"}, *group(of_kind & (size >= large))
    if (kind == "foreshock").any():
        yield {"kind": "foreshock before onset", "size": "all"}, *group(kind == "foreshock", onset)

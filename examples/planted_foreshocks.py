"""Planted foreshocks precede moves that volatility does not explain; random alerts do not."""

import numpy as np

import foreshock as fs

market = fs.simulate_market(seed=7)
bars, events = market.bars, market.events

planted = np.zeros(bars.shape, dtype=bool)
foreshocks = events[events["kind"] == "foreshock"]
for row, symbol in zip(foreshocks["signature_row"], foreshocks["symbol"], strict=True):
    planted[int(row), bars.symbols.index(symbol)] = True
features = fs.ohlcv_features(bars)
chance = fs.make_detector("random", seed=1).fit(features).score(features).values > 0.99

known = ~np.isnan(bars.close)
for name, active in {"planted foreshocks": planted, "random alerts": chance}.items():
    signals = fs.Signals(bars.time, bars.symbols, active, np.zeros(bars.shape), known, bars.interval)
    for horizon, moves in fs.forward_moves(bars, signals, ["6h", "24h"], cooldown="24h").horizons.items():
        low, high = moves.ci
        matched = f"{moves.matched_ratio:.2f} ({low:.2f} to {high:.2f})"
        print(f"{name}, {horizon}: n = {moves.n_events}, volatility-matched ratio {matched}")

"""One detector, step by step: features, walk-forward scores, signals, forward moves."""

import foreshock as fs

market = fs.simulate_market(seed=3, n_symbols=3, n_bars=4_800)
bars, quality = fs.clean(market.bars)
features = fs.ohlcv_features(bars)

detector = fs.make_detector("isolation_forest", n_estimators=50)
scores = fs.walk_forward(detector, features, fs.WalkForward(train="90D", test="30D", embargo="2D"), label_bars=24)
signals = scores.signals(fs.RollingQuantile(0.99, window="30D"))
moves = fs.forward_moves(bars, signals, ["1h", "6h", "24h"], cooldown="24h")

print(f"{signals.active.sum()} alerts, {signals.alert_rate:.2%} of the scored bars")
print(moves.table[["n_events", "abs_move_ratio", "matched_ratio", "ci", "p_matched"]].to_string())

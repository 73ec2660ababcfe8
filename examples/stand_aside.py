"""Would standing aside after an alert have paid? Against holding, and against the same exits at random times."""

import foreshock as fs

market = fs.simulate_market(seed=5, n_symbols=3, n_bars=4_800)
bars = market.bars
scores = fs.walk_forward(fs.make_detector("zscore"), fs.ohlcv_features(bars), fs.WalkForward(train="60D", test="60D", embargo=None))
signals = scores.signals(fs.RollingQuantile(0.99, window="30D"))
costs = fs.Costs(taker=5e-4, slippage=2e-4)

strategies = {
    "buy and hold": fs.BuyAndHold().weights(bars),
    "equal weight": fs.EqualWeight().weights(bars),
    "anomaly avoidance": fs.AnomalyAvoidance(hold="24h").weights(bars, signals),
}
for number, weights in enumerate(fs.RandomAvoidance(n_draws=3, hold="24h").draws(bars, signals)):
    strategies[f"random exits {number}"] = weights

for name, weights in strategies.items():
    result = fs.backtest(bars, weights, costs)
    found = fs.performance(result.returns, bars.interval)
    risk = f"Sharpe {found.sharpe:5.2f}  largest drawdown {found.max_drawdown:6.1%}  costs {result.costs:.2%}"
    print(f"{name:18} {found.total_return:+8.1%}  {risk}")

avoidance = fs.backtest(bars, strategies["anomaly avoidance"], costs)
print(fs.risk_report(avoidance.returns, interval=bars.interval, time=bars.time).to_string())

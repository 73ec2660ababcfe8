"""Five detectors of your own beside one of ours on a market whose events are known; a sixth looks ahead, and is found out."""

import torch
from sklearn.ensemble import IsolationForest

import foreshock as fs

market = fs.simulate_market(seed=7, n_symbols=1, n_bars=1_500, n_flash_crashes=4, n_pumps=4, n_foreshocks=4)
bars = market.bars
module = torch.nn.Sequential(torch.nn.Linear(13, 4), torch.nn.Tanh(), torch.nn.Linear(4, 13))


def range_over_usual(frame):
    return frame["range"] / frame["range"].rolling(100).median()


def looks_ahead(frame):
    return frame["range"].shift(-1)


# As a file of another program: time, symbol, score. Whether they saw later bars, nobody can check.
theirs = fs.ohlcv_features(bars, ["range"]).to_frame().reset_index().rename(columns={"range": "score"})

own = [IsolationForest(n_estimators=20), "pyod:ECOD", module, range_over_usual, fs.PrecomputedScores(theirs, "theirs")]
study = fs.Study(
    bars,
    ["zscore", *own, looks_ahead],
    splits=fs.WalkForward("15D", "20D"),
    threshold=fs.RollingQuantile(0.98, "7D"),
    thresholds={"zscore": fs.Fixed(4)},
    horizons=["6h"],
    labels=market.labels,
    n_bootstrap=99,
    random_draws=1,
)
result = study.run()
for label, detector in result.results["detectors"].items():
    gate = detector.get("gate") or {"outcome": "ours", "needed": None}
    found = detector["detection"]
    events = f"{found['n_caught']} of {found['n_events']} events"
    print(f"{label:<25} {detector['n_alerts']:>3} alerts, {events}, gate: {gate['outcome']}, rows it looks back: {gate['needed']}")

detector = study.labelled_detectors()["range_over_usual"]
features = fs.ohlcv_features(bars)
added = detector.fit(features).explain(features, row=-1)
print(added.loc[added.abs().sort_values(ascending=False).index].head(3).round(3).to_dict())

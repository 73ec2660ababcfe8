"""Five detectors of your own beside one of ours: a model of scikit-learn, one of PyOD, a torch module, a function, and scores."""

import torch
from sklearn.ensemble import IsolationForest

import foreshock as fs

bars = fs.simulate_market(seed=7, n_symbols=1, n_bars=1_500).bars
module = torch.nn.Sequential(torch.nn.Linear(13, 4), torch.nn.Tanh(), torch.nn.Linear(4, 13))


def range_over_usual(frame):
    return frame["range"] / frame["range"].rolling(100).median()


# As a file of another program: time, symbol, score. Whether they saw later bars, nobody can check.
theirs = fs.ohlcv_features(bars, ["range"]).to_frame().reset_index().rename(columns={"range": "score"})

study = fs.Study(
    bars,
    ["zscore", IsolationForest(n_estimators=50), "pyod:ECOD", module, range_over_usual, fs.PrecomputedScores(theirs, "theirs")],
    splits=fs.WalkForward("20D", "10D"),
    thresholds={"zscore": fs.Fixed(4)},
    horizons=["6h"],
    n_bootstrap=99,
    random_draws=5,
)
result = study.run()
for label, detector in result.results["detectors"].items():
    gate = detector.get("gate") or {"outcome": "ours", "needed": None}
    print(f"{label:<25} {detector['n_alerts']:>4} alerts, gate: {gate['outcome']}, rows it looks back: {gate['needed']}")

found = study.labelled_detectors()["range_over_usual"]
features = fs.ohlcv_features(bars)
print(found.fit(features).explain(features, row=-1).head(3).round(3).to_dict())

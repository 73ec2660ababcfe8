"""Made-up results of studies, and the page of their comparison."""

import numpy as np

from foreshock.comparison.comparison import comparison
from foreshock.engine.validation.moves.slices import rank_stability
from foreshock.plain import plain
from foreshock.reports.comparison.page import ComparisonReport

YEARS, ASSETS, REGIMES = ("2021", "2022", "2023", "2024"), ("BTC/USDT", "ETH/USDT", "SOL/USDT"), ("calm", "bearish")
DETECTORS = ("zscore", "pca", "mad", "isolation_forest", "random", "volatility_only")
MODELS = {
    "version": 1,
    "data": {"hash": "ab12", "n_events": 31},
    "rows": [
        {
            "model": "pca",
            "sample": sample,
            "mse": mse,
            "f1": 0.42,
            "precision": 0.5 if own else None,
            "caught": 12 if own else None,
            "n_events": 31 if own else None,
            "market_r2": 0.66 if own else None,
            "fit_seconds": 0.02 if own else None,
            "var_95_alert": 0.081 if own else None,
            "var_95_other": 0.05 if own else None,
        }
        for sample, mse, own in (("in-sample", 0.21, True), ("out-of-sample", 0.31, True), ("published, in-sample", 0.00112, False))
    ],
}


def study(seed: int = 0, lift: float = 0.0, first: str = "zscore", asset: str = "BTC/USDT", n_events: int = 60) -> dict:
    """Results of a made-up study: the first detector's ratios are larger by ``lift`` everywhere, the rest is noise about 1."""
    rng = np.random.default_rng(seed)
    labels, assets = (first, *DETECTORS[1:]), (asset, *ASSETS[1:])
    names = {"year": YEARS, "asset": assets, "regime": REGIMES, "asset_year": [f"{a} {y}" for a in assets for y in YEARS]}
    slices = []
    for label in labels:
        for by, slice_ in ((by, name) for by, all_ in names.items() for name in all_):
            ratio = float(np.exp(rng.normal(0, 0.06) + (lift if label == first else 0)))
            moves = {"horizon": "24h", "n_events": n_events, "n_effective": n_events - 9, "abs_move_ratio": 1.4 * ratio}
            p = float(min(1.0, 0.8 * np.exp(-300 * np.log(ratio) ** 2)))
            moves |= {"matched_ratio": 1.02 * ratio, "ci": [ratio - 0.1, ratio + 0.1], "p_matched": p / 2}
            moves |= {"ratio": ratio, "ratio_ci": [ratio - 0.2, ratio + 0.2], "z": 0.5, "p": p, "n_judged": n_events - 1}
            slices.append({"detector": label, "by": by, "slice": slice_, **moves})
    # One cell of too few events, and one that nothing is known of.
    slices[0] |= {"n_events": 4, "n_effective": 4, "n_judged": 4}
    slices[1] |= {
        "n_events": 0,
        "n_effective": 0,
        "matched_ratio": None,
        "abs_move_ratio": None,
        "ci": [None, None],
        "p_matched": None,
        "ratio": None,
        "ratio_ci": [None, None],
        "z": None,
        "p": None,
        "n_judged": 0,
    }
    agreement = rng.uniform(size=(6, 6))
    np.fill_diagonal(agreement, 1)
    forward = {
        "n_events": 200,
        "matched_ratio": 1.1 + seed / 100,
        "ci": [1.0, 1.3 + seed / 100],
        "expected_ratio": 1.02 + seed / 100,
        "expected_ci": [0.9, 1.1 + seed / 100],
        "q": 0.04 * (1 + seed),
    }
    rungs = {rung: {"1h": {"ratio": 1.02}, "24h": {"ratio": 1.02}} for rung in ("volatility", "volume")}
    verdicts = {label: "no information" for label in labels} | {first: "adds information" if lift else "echoes volatility"}
    return plain(
        {
            "version": 1,
            "config": {"title": "made up", "detectors": {label: {"name": label} for label in labels}, "seed": seed},
            "data": {
                "hash": f"{seed}0123456789abcdef",
                "symbols": list(assets),
                "start": "2020-01-01T00:00:00",
                "end": "2024-12-31T23:00:00",
                "interval": "1h",
                "n_bars": 43_848,
                "test_start": "2021-01-01T00:00:00",
                "test_end": "2024-12-31T23:00:00",
            },
            "detectors": {
                label: {"verdict": verdicts[label], "forward": {"1h": forward, "24h": forward}, "rungs": rungs} for label in labels
            },
            "slices": slices,
            "rank_stability": rank_stability(slices),
            "agreement": {a: dict(zip(labels, row, strict=True)) for a, row in zip(labels, agreement, strict=True)},
            "seeds": {"study": seed},
            "versions": {"foreshock": "0.1.0"},
        }
    )


def as_before(results: dict) -> dict:
    """The results as an earlier version wrote them: without the deciding test in the slices."""
    new = ("ratio", "ratio_ci", "z", "p", "n_judged")
    slices = [{key: value for key, value in row.items() if key not in new} for row in results["slices"]]
    return results | {"slices": slices, "rank_stability": rank_stability(slices)}


def page_of(name: str = "main", detector: str = "zscore", asset: str = "BTC/USDT") -> str:
    """The page of two studies, of which the first, a detector and an asset have these names."""
    studies = {name: study(0, 0.2, detector, asset), "b": study(1, 0, detector, asset)}
    return ComparisonReport(comparison(studies, MODELS), f"foreshock compare {name} b", name).to_html()

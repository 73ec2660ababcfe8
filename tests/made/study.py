"""A made-up study: numbers that a study could have found, and its report."""

from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from foreshock.engine.risk.forecasts.path import risk_path
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.validation.evidence.ladder import CONTROLS, NAIVE_WARNING
from foreshock.reports.study.page import StudyReport
from foreshock.study.identities import with_identities

DETECTORS = (
    "zscore",
    "mad",
    "rolling_volatility",
    "isolation_forest",
    "pca",
    "seq2seq_autoencoder",
    "random",
    "volatility_only",
)
RUNGS = ("volatility", "volume")
VERDICTS = {
    "zscore": "adds information",
    "isolation_forest": "adds information",
    "seq2seq_autoencoder": "adds information",
    "mad": "volume tells",
    "rolling_volatility": "calmer than expected",
    "pca": "candidate: adds information",
    "random": "no information",
    "volatility_only": "echoes volatility",
}


def _results() -> dict:
    rng = np.random.default_rng(7)
    matched = dict(zip(DETECTORS, (1.24, 1.03, 1.02, 1.31, 1.08, 1.17, 0.99, 1.01), strict=True))
    raw = dict(zip(DETECTORS, (1.83, 1.71, 2.12, 1.66, 1.52, 1.38, 1.02, 2.31), strict=True))
    detectors = {}
    for name in DETECTORS:
        forward = {}
        for scale, horizon in zip((1.15, 1.05, 1.0), ("1h", "6h", "24h"), strict=True):
            centre, width = 1 + (matched[name] - 1) * scale, 0.09 + 0.05 * rng.random()
            p = float(np.exp(-20 * abs(centre - 1)))
            n_events = int(rng.integers(180, 260))
            forward[horizon] = {
                "n_events": n_events,
                "n_effective": n_events // 3,
                "n_controls": 18_500,
                "event_move": 0.0213 * raw[name] * scale,
                "other_move": 0.0213 * scale,
                "matched_move": 0.0213 * raw[name] * scale / centre,
                "abs_move_ratio": raw[name] * scale,
                "abs_move_ratio_ci": [raw[name] * scale - 0.21, raw[name] * scale + 0.24],
                "matched_ratio": centre,
                "ci": [centre - width, centre + width],
                "p_naive": p / 50,
                "p_hac": p / 5,
                "p_matched": p,
                "p_shift": 2 * p / 3,
                "p_matched_shift": 3 * p / 4,
                "p_hodrick": p / 2,
                "p_regression": 4 * p / 5,
                "p_qlike": None,
                "q_matched": min(1.0, 2 * p),
                "p_surrogate": 0.9 * p + 0.005,
                "q_surrogate": min(1.0, 1.7 * p + 0.006),
                "path_effect": 1 + (centre - 1) / 2,
                "path_effect_ci": [0.9, 1.2],
                "q": min(1.0, 1.5 * p + 0.004),
                "p_expected": 0.7 * p + 0.003,
                "expected_ratio": 1 + (centre - 1) * 0.8,
                "expected_ci": [0.88, 1.42],
            }
        verdict = VERDICTS[name]
        detectors[name] = {
            "alert_rate": {"nominal": 0.01, "realised": float(0.01 + rng.normal(0, 0.003))},
            "n_alerts": int(rng.integers(700, 1300)),
            "forward": forward,
            "verdict": verdict,
            "fit_seconds": float(rng.exponential(2)),
            "score_seconds": float(rng.exponential(0.3)),
            "rungs": {rung: {h: _found(moves, k) for h, moves in forward.items()} for k, rung in enumerate(RUNGS)},
            "gains": {rung: {"alert": _gain(k, 0.0), "score": _gain(k, 0.004)} for k, rung in enumerate(RUNGS)},
            "sentence": f"What follows an alert of {name}, in a sentence about {verdict}.",
            "detection": {"event_recall": 0.62, "event_precision": 0.31, "false_per_day": 0.42},
        }
    detectors["anogan"] = {
        "alert_rate": {"nominal": 0.01, "realised": 0.0},
        "n_alerts": 0,
        "verdict": "too few events",
        "sentence": "There are 0 events, too few to judge.",
        "fit_seconds": 93.2,
        "score_seconds": 1.2,
        "rungs": {rung: {h: NOT_FOUND for h in ("1h", "6h", "24h")} for rung in RUNGS},
        "gains": {},
        "forward": {
            horizon: {
                "n_events": 0,
                "n_effective": 0,
                "n_controls": 0,
                **dict.fromkeys(
                    (
                        "event_move",
                        "other_move",
                        "matched_move",
                        "abs_move_ratio",
                        "abs_move_ratio_ci",
                        "matched_ratio",
                        "ci",
                        "p_naive",
                        "p_hac",
                        "p_matched",
                        "p_shift",
                        "p_surrogate",
                        "q_surrogate",
                        "p_expected",
                        "expected_ratio",
                        "expected_ci",
                        "q_matched",
                        "q",
                        "path_effect",
                        "path_effect_ci",
                    )
                ),
            }
            for horizon in ("1h", "6h", "24h")
        },
    }
    strategies = [
        "buy_and_hold",
        "equal_weight",
        *(f"anomaly_avoidance[{name}]" for name in detectors),
        *(f"random_avoidance[{name}]" for name in detectors),
    ]
    backtests = {
        name: {
            "total_return": float(rng.normal(0.38, 0.12)),
            "annual_return": float(rng.normal(0.15, 0.05)),
            "annual_volatility": 0.61,
            "sharpe": 0.58,
            "sharpe_ci": [-0.72, 1.88],
            "sortino": 0.81,
            "calmar": 0.31,
            "max_drawdown": float(rng.uniform(0.3, 0.5)),
            "var_95": 0.0091,
            "cvar_95": 0.0139,
            "var_99": 0.0162,
            "cvar_99": 0.0247,
            "turnover": 41.2,
            "costs": 0.0288,
            "exposure": 0.91,
            "deflated_sharpe": None,
        }
        for name in strategies
    }
    estimators = ("historical", "gaussian", "cornish_fisher", "filtered_historical", "evt_pot", "garch_t")
    risk = {
        name: [
            {
                "estimator": estimator,
                "level": level,
                "period": period,
                "var": size * level,
                "cvar": size * level * 1.4,
                "valid": estimator != "cornish_fisher" or level < 0.99,
            }
            for estimator in estimators
            for period, size in (("bar", 0.012), ("day", 0.051))
            for level in (0.95, 0.99)
        ]
        for name in strategies[:4]
    }
    return {
        "version": 1,
        "config": {
            "detectors": list(DETECTORS),
            "splits": {"train": "365D", "test": "90D", "embargo": "2D", "mode": "rolling"},
            "threshold": {"policy": "rolling_quantile", "q": 0.99, "window": "60D"},
            "horizons": ["1h", "6h", "24h"],
            "costs": {"maker": None, "taker": 0.0005, "slippage": 0.0002},
            "delay": 1,
        },
        "data": {
            "hash": "9f2c41d07be85a3316ad",
            "symbols": ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT"],
            "start": "2022-01-01T00:00:00",
            "end": "2024-04-13T08:00:00",
            "interval": "1h",
            "n_bars": 20_000,
            "test_start": "2023-01-01T00:00:00",
            "test_end": "2024-04-13T08:00:00",
        },
        "detectors": detectors,
        "forecasts": {
            "trees": False,
            "has_volume": True,
            "quality": {
                rung: {
                    h: {"r2": 0.31 + 0.02 * k + 0.1 * j, "qlike_gain": 0.0123 * (j + 1)} for j, h in enumerate(("1h", "6h", "24h"))
                }
                for k, rung in enumerate(RUNGS)
            },
        },
        "controls": _controls(),
        "surrogates": _surrogates(detectors),
        "calibration": _calibration(),
        "evidence": {name: {h: _evidence(moves) for h, moves in found["forward"].items()} for name, found in detectors.items()},
        "lead_lag": {name: made_lead(lead) for name, lead in zip(detectors, (3, 0, -1, 2, 0, 1, None, 0, None), strict=True)},
        "backtests": backtests,
        "risk": risk,
        "seeds": {"study": 0, "surrogates": None},
        "versions": {"foreshock": "0.1.0", "numpy": "2.4.6", "torch": None},
    }


def _found(moves: dict, rung: int) -> dict:
    """The deciding test at a rung: the first is that of the forward moves."""
    ratio = moves["expected_ratio"] - 0.03 * rung
    return {
        "n_events": moves["n_events"] - 2,
        "ratio": ratio,
        "ci": [moves["expected_ci"][0] - 0.01 * rung, moves["expected_ci"][1] - 0.01 * rung],
        "z_raw": 2.1 + rung,
        "z": 1.6 + rung,
        "p": moves["p_expected"] + 0.01 * rung,
        "q": min(1.0, moves["q"] + 0.02 * rung),
        "bias": 0.4,
        "spread": 1.17,
        "state": 0.93,
        "detectable": 1.37 + 0.01 * rung,
        "halves": [ratio + 0.05, ratio - 0.06],
        "halves_z": [1.3, 0.9],
        "reason": "",
    }


NOT_FOUND = {
    **dict.fromkeys(("ratio", "z_raw", "z", "p", "q", "bias", "spread", "state", "detectable")),
    "n_events": 0,
    "ci": [None, None],
    "halves": [None, None],
    "halves_z": [None, None],
    "reason": "0 alerts could be held against a forecast; 8 are needed",
}


def _gain(rung: int, more: float) -> dict:
    r2 = [0.0012 + more, 0.0034 + more + 0.0001 * rung, -0.0005]
    return {"r2": r2, "low": [x - 0.002 for x in r2], "high": [x + 0.003 for x in r2]}


def _controls() -> dict:
    """Forty controls at each rung and horizon, of which a few are found."""
    summary = [
        {"rung": rung, "horizon": h, "n": 40, "mean": 0.3 + 0.1 * j, "spread": 1.12, "found_raw": 0.1, "found": 0.05}
        for rung in RUNGS
        for j, h in enumerate(("1h", "6h", "24h"))
    ]
    rows = [
        {"name": name, "family": family, "rung": rung, "horizon": h, "n_events": 93, "z_raw": 1.71, "z": 0.62, "state": 0.41}
        for rung in RUNGS
        for name, family in (("clock 13 h", "clock"), ("volatility 6/72", "volatility"))
        for h in ("1h", "6h", "24h")
    ]
    return {"summary": summary, "rows": rows}


def _surrogates(detectors: dict) -> dict:
    t = {name: {h: 1.5 + 0.25 * k for k, h in enumerate(found["forward"])} for name, found in detectors.items()}
    return {
        "n": 199,
        "family": {"BTC/USDT": "gjr", "ETH/USDT": "har", "SOL/USDT": "gjr"},
        "notes": ["ETH/USDT: gjr: no optimum"],
        "t": t,
        "t_surrogate_mean": {name: dict.fromkeys(row, 0.31) for name, row in t.items()},
        "t_surrogate_std": {name: dict.fromkeys(row, 1.17) for name, row in t.items()},
    }


def _evidence(moves: dict) -> list[dict]:
    """Rows as results.json has them: a different estimate for each test, intervals for all but the surrogates."""
    known = moves["n_events"] > 0
    rows = []
    for k, test in enumerate(CONTROLS):
        scale = {"qlike": 2e-5, "direction": 0.0037, "hit_rate": 0.042}.get(test)
        value = scale if scale else moves["path_effect"] if test == "surrogate" else 2.0 - 0.1 * k
        width = abs(value) / 10 if known and test != "surrogate" else None
        rows.append(
            {
                "test": test,
                "estimate": value if known else None,
                "low": None if width is None else value - width,
                "high": None if width is None else value + 2 * width,
                "p": 0.0004 + 0.01 * k if known else None,
                "null": 0.0 if scale else 1.0,
                "n_events": moves["n_events"] - k if known else 0,
                "n": 9_000 + k,
                "compared_with": f"rows against {test}",
                "controls_for": CONTROLS[test],
                "note": NAIVE_WARNING if test == "naive" and known else "" if known else "no events",
            }
        )
    return rows


def made_lead(lead: int | None) -> dict:
    offsets = list(range(-24, 25))
    activity = [1.0 + (lead is not None and 0 <= k - lead < 3) * 0.7 + 0.002 * k for k in offsets]
    return {
        "offsets": offsets,
        "activity": activity,
        "low": [x - 0.2 for x in activity],
        "high": [x + 0.3 for x in activity],
        "n": [180 + k for k in offsets],
        "n_events": 204,
        "p": 0.4 if lead is None else 0.0002,
        "lead": lead,
        "lead_ci": [None, None] if lead is None else [lead - 2.0, lead + 1.0],
        "reason": "no offset stands out above 1" if lead is None else "",
    }


def _calibration() -> list[dict]:
    settings = (("gjr", 1.5, 0.62, 0.99), ("garch", 1.0, 0.045, 0.91), ("gjr", 1.0, 0.05, 0.86), ("sv", 1.0, 0.065, 0.95))
    return [
        {
            "null": law,
            "watches": "returns",
            "effect": effect,
            "n_bars": 2_500,
            "horizon": 24,
            "n_events": 41.3,
            "n_histories": 200,
            "n_surrogates": 99,
            "found": found,
            "low": found - 0.02,
            "high": found + 0.03,
            "found_naive": naive,
        }
        for law, effect, found, naive in settings
    ]


def bare_report() -> StudyReport:
    """The report of nine detectors without what a study adds beside its verdicts."""
    rng = np.random.default_rng(3)
    results = with_identities(_results())
    n_bars, names = 20_000, list(results["backtests"])
    market = rng.standard_t(4, (n_bars, 1)) * 0.004 + 0.00003
    steps = market * rng.uniform(0.7, 1.0, len(names)) + rng.normal(0, 0.0012, (n_bars, len(names)))
    steps[0] = 0.0
    equity = pd.DataFrame(
        np.exp(np.cumsum(steps, axis=0)), index=pd.date_range("2022-01-01 01:00", periods=n_bars, freq="h"), columns=names
    )
    quality = pd.DataFrame(
        {"n_bars": 20_000, "missing": [0, 3, 12, 0, 7], "duplicates": 0, "missing_share": [0.0, 0.00015, 0.0006, 0.0, None]},
        index=pd.Index(results["data"]["symbols"], name="symbol"),
    )
    draws = {}
    for name in names:
        if name.startswith("anomaly_avoidance"):
            drawn = rng.normal(0.3, 0.1, 200)
            share = float(np.mean(drawn < results["backtests"][name]["total_return"]))
            interval = list(wilson(200 * share, 200))
            draws[name] = {"n_draws": 200, "total_returns": drawn.tolist(), "percentile": share, "interval": interval}
    title = "Nine detectors on five coins, 2022 to 2024"
    return StudyReport(title, results, equity, quality, draws, "foreshock run study.toml")


def full_report() -> StudyReport:
    """The report with everything that a study adds beside its verdicts."""
    # Tests may change what is in it.
    return deepcopy(_full_report())


@cache
def _full_report() -> StudyReport:
    report, rng = bare_report(), np.random.default_rng(11)
    results, offsets = report.results, list(range(1, 25))
    strategies = [name for name in results["backtests"] if not name.startswith("random_avoidance")]
    symbols, regimes, years = results["data"]["symbols"], ["calm", "high volatility", "bullish momentum"], ["2022", "2023", "2024"]

    def study() -> dict:
        curve = np.cumsum(rng.normal(0.1, 0.2, 24))
        bands = {"activity_low": (curve - 1).tolist(), "activity_high": (curve + 1).tolist()}
        move = curve / 100
        signed = {"signed": move.tolist(), "signed_low": (move - 0.01).tolist(), "signed_high": (move + 0.01).tolist()}
        decay = {"half_life": 5.5, "half_life_ci": [2.0, 14.0], "reason": ""}
        rest = {"p_activity": 0.03, "p_signed": 0.4, "n": [200] * 24, "n_events": 200}
        return {"offsets": offsets, "activity": curve.tolist(), **bands, **signed, **rest, **decay}

    def row(detector: str, by: str, name: str) -> dict:
        ratio, n = float(np.exp(rng.normal(0, 0.3))), int(rng.integers(2, 60))
        matched = {"n_events": n + 1, "matched_ratio": 1.1 * ratio}
        p = float(np.exp(-n * np.log(ratio) ** 2))
        judged = {"ratio": ratio, "ratio_ci": [0.8 * ratio, 1.3 * ratio], "z": 1.2, "p": p, "q": min(2 * p, 1.0), "n_judged": n}
        return {"detector": detector, "by": by, "slice": name, "horizon": "24h", **matched, **judged}

    slices = []
    for name in results["detectors"]:
        for by, places in (("asset", symbols), ("regime", regimes)):
            slices += [row(name, by, place) for place in places]
            slices += [row(name, f"{by}_year", f"{place} {year}") for place in places for year in years]
        slices += [row(name, "year", year) for year in years]
    time = np.datetime64("2022-01-01", "us") + np.arange(2_400) * np.timedelta64(1, "h")
    paths = {name: risk_path(rng.standard_t(4, 2_400) * 0.004, np.timedelta64(1, "h"), time) for name in strategies[:4]}
    tests = [{"strategy": name, **test} for name, path in paths.items() for test in path.tests()]
    rates = [0.0, 5e-4, 5e-3]
    share = dict.fromkeys(regimes, 1 / 3)
    results |= {
        "event_study": {name: study() for name in results["detectors"]},
        "slices": slices,
        "regimes": {"names": regimes, "share": share, "by_symbol": {symbol: [0.5, 0.25, 0.25] for symbol in symbols}},
        "projection": {
            "features": ["log_return", "range"],
            "axes": [[0.6, 0.8], [0.8, -0.6]],
            "explained": [0.7, 0.2],
            "n": 900,
            "points": rng.normal(size=(300, 2)).tolist(),
            "regime": rng.integers(0, 3, 300).tolist(),
        },
        "cost_sweep": {
            "rates": rates,
            "total_return": {name: [0.4, 0.1, -0.3] for name in strategies},
            "break_even": {name: 0.0011 for name in strategies},
        },
        "value_at_risk": {"rows": tests, "reason": ""},
    }
    results |= _signals(results, rng)
    n = 300
    opened = pd.Timestamp("2022-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 9_000, n)), unit="h")
    trades = pd.DataFrame(
        {
            "strategy": rng.choice(strategies, n),
            "symbol": rng.choice(symbols, n),
            "opened": opened,
            "closed": opened + pd.to_timedelta(rng.integers(1, 90, n), unit="h"),
            "side": "long",
            "entered": 0.2,
            "profit": rng.normal(0, 0.004, n),
            "net_return": rng.normal(0, 0.02, n),
        }
    )
    results["equity_by_month"] = {"months": ["2022-01", "2022-02"], "equity": {name: [1.1, 0.9] for name in strategies}}
    return replace(report, results=results, risk_paths=paths, trades=trades, exposure=report.equity * 0 + 0.8)


def _signals(results: dict, rng: np.random.Generator) -> dict:
    """Labels found, profiles, distributions and tenths; every detector has the same rows."""
    names = list(results["detectors"])
    metrics = ("recall", "precision", "f1", "median_delay_s", "false_per_day", "auc_pr", "vus_pr")
    for detector in results["detectors"].values():
        found = {}
        for metric in metrics:
            value = float(rng.random())
            found |= {metric: value, f"{metric}_ci": [0.8 * value, 1.1 * value], f"{metric}_chance": 0.1 * value}
        kinds = {"pump": {"n_events": 8, "n_caught": 4, "recall": 0.5, "recall_ci": [0.2, 0.8]}}
        kinds |= {"crash": {"n_events": 0, "n_caught": 0, "recall": None, "recall_ci": [None, None]}}
        said = {"true": 4, "false": 2, "unsure": 1, "share_true": 2 / 3, "share_true_ci": [0.3, 0.9]}
        detector["detection"] = {**found, "n_events": 8, "n_caught": 4, "n_false": 9, "by_kind": kinds, "alerts_said": said}
    pair = {"metric": "recall", "value_first": 0.5, "value_second": 0.25, "difference": 0.25, "low": -0.1, "high": 0.6}
    pair |= {"p": 0.04, "p_adjusted": 0.12, "n_events": 8, "only_first": 3, "only_second": 1}
    row = {"feature": "range", "n_alerts": 41, "mean": 0.02, "median": 0.01, "others_mean": 0.01, "others_median": 0.005}
    row |= {"others_std": 0.004, "difference": 2.5, "median_difference": None}
    tenth = {"n": 300, "abs_move": 0.01, "abs_move_ci": [0.008, 0.012], "return": 0.001, "return_ci": [None, None]}
    bins = {"edges": [0.0, 1.0, 2.5, 4.0], "counts": [900, 90, 0], "n": 990, "threshold": [1.5, 2.0, 3.0]}
    labels = {"n": 9, "kinds": {"pump": 9}, "dispositions": {"true": 8, "false": 1, "unsure": 0}, "n_counted": 8}
    return {
        "labels": {**labels, "cooldown": "24h", "reason": ""},
        "detection_pairs": [{"first": first, "second": names[-1], **pair} for first in names[:-1]],
        "profile": {name: [row, {**row, "feature": "ETH/USDT"}] for name in names},
        "distribution": {name: bins for name in names},
        "deciles": {name: {"24h": [{"group": group, **tenth} for group in range(1, 11)]} for name in names},
    }


def renamed(report: StudyReport, old: str, new: str) -> StudyReport:
    """The report with a detector, symbol or column renamed wherever its name stands."""

    def swap(node: object) -> object:
        if isinstance(node, dict):
            return {swap(key): swap(value) for key, value in node.items()}
        if isinstance(node, list):
            return [swap(part) for part in node]
        return node.replace(old, new) if isinstance(node, str) else node

    return replace(
        report,
        title=new,
        command=new,
        results=swap(report.results),
        random_draws=swap(report.random_draws),
        equity=report.equity.rename(columns=lambda name: name.replace(old, new)),
        exposure=None if report.exposure is None else report.exposure.rename(columns=lambda name: name.replace(old, new)),
        quality=report.quality.rename(index={"BTC/USDT": new}, columns={"missing": new}),
        risk_paths={name.replace(old, new): path for name, path in report.risk_paths.items()},
        trades=report.trades.map(lambda cell: cell.replace(old, new) if isinstance(cell, str) else cell),
    )


def without(report: StudyReport, detectors: tuple[str, ...]) -> StudyReport:
    """The report without some detectors and their strategies."""
    gone = {*detectors, *(f"{role}_avoidance[{name}]" for role in ("anomaly", "random") for name in detectors)}

    def drop(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: drop(value) for key, value in node.items() if key not in gone}
        if isinstance(node, list):
            return [drop(part) for part in node if not (isinstance(part, dict) and gone & set(map(str, part.values())))]
        return node

    kept = [name for name in report.equity if name not in gone]
    return replace(
        report,
        results=drop(report.results),
        random_draws=drop(report.random_draws),
        equity=report.equity[kept],
        exposure=None if report.exposure is None else report.exposure[kept],
        risk_paths=drop(report.risk_paths),
        trades=report.trades[~report.trades["strategy"].isin(gone)],
    )


def page_of(*names: str) -> str:
    """The page of five detectors with everything on it; a detector, a symbol and another detector have these names."""
    report = without(full_report(), ("mad", "rolling_volatility", "seq2seq_autoencoder", "volatility_only"))
    for old, new in zip(("zscore", "ETH/USDT", "isolation_forest"), names, strict=False):
        report = renamed(report, old, new)
    return report.to_html()

"""The study report: what stands on the page is what stands in the results, and nothing else gets in."""

import base64
import hashlib
import html
import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data.errors import ConfigError
from engine.risk.path import risk_path
from engine.validation.evidence import CONTROLS, NAIVE_WARNING
from foreshock.identities import with_identities
from reports import evidence_tables, figures, study_report, study_tables
from reports import format as fmt
from reports.html import embed
from reports.study_report import StudyReport

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
HOSTILE = "<img src=x onerror=alert(1)>\"'&</script><!--"


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
                "q": min(1.0, 1.5 * p + 0.006),
                "path_effect": 1 + (centre - 1) / 2,
                "path_effect_ci": [0.9, 1.2],
            }
        low = forward["24h"]["ci"][0]
        verdict = "adds information" if low > 1 else "echoes volatility" if raw[name] > 1.2 else "no information"
        detectors[name] = {
            "alert_rate": {"nominal": 0.01, "realised": float(0.01 + rng.normal(0, 0.003))},
            "n_alerts": int(rng.integers(700, 1300)),
            "forward": forward,
            "verdict": verdict,
            "fit_seconds": float(rng.exponential(2)),
            "score_seconds": float(rng.exponential(0.3)),
            "sentence": {
                "adds information": "Moves after a signal are larger than volatility alone explains.",
                "echoes volatility": "Moves after a signal are larger, but not beyond the volatility that was already visible.",
                "no information": "Moves after a signal are as large as after any other bar.",
            }[verdict],
            "detection": {"event_recall": 0.62, "event_precision": 0.31, "false_per_day": 0.42},
        }
    detectors["anogan"] = {
        "alert_rate": {"nominal": 0.01, "realised": 0.0},
        "n_alerts": 0,
        "verdict": "too few events",
        "sentence": "There are 0 events, too few to judge.",
        "fit_seconds": 93.2,
        "score_seconds": 1.2,
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
        "surrogates": _surrogates(detectors),
        "calibration": _calibration(),
        "evidence": {name: {h: _evidence(moves) for h, moves in found["forward"].items()} for name, found in detectors.items()},
        "lead_lag": {name: _lead(lead) for name, lead in zip(detectors, (3, 0, -1, 2, 0, 1, None, 0, None), strict=True)},
        "backtests": backtests,
        "risk": risk,
        "seeds": {"study": 0, "surrogates": None},
        "versions": {"foreshock": "0.1.0", "numpy": "2.4.6", "torch": None},
    }


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


def _lead(lead: int | None) -> dict:
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


def _report() -> StudyReport:
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
            draws[name] = {"n_draws": 200, "total_returns": drawn.tolist(), "percentile": share}
    title = "Nine detectors on five coins, 2022 to 2024"
    return StudyReport(title, results, equity, quality, draws, "foreshock run study.toml")


def full_report() -> StudyReport:
    """The report with everything that a study adds beside its verdicts."""
    report, rng = _report(), np.random.default_rng(11)
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
        return {"detector": detector, "by": by, "slice": name, "horizon": "24h", "n_events": n, "matched_ratio": ratio}

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


@pytest.fixture(scope="module")
def report() -> StudyReport:
    return _report()


@pytest.fixture(scope="module")
def page(report: StudyReport) -> str:
    return report.to_html()


def _text(page: str) -> str:
    """What a reader sees of the tables: scripts and styles out, tags out, entities read."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"[ \n]+", " ", html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"</(td|th|span|p|caption)>", " ", bare))))


def _rows(page: str, table: str) -> dict[str, list[str]]:
    """Text cells of each row of a table, by the row's header."""
    body = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', page, flags=re.DOTALL)
    assert body
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], flags=re.DOTALL)
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]
    cells = [[_text(cell.replace("<span", " <span")).strip() for cell in row] for row in found]
    return {row[0].split(" ")[0]: row[1:] for row in cells}


def _specs(page: str) -> dict[str, dict]:
    found = re.findall(r'<script type="application/json" id="([^"]+)-spec">(.*?)</script>', page, flags=re.DOTALL)
    return {name: json.loads(spec) for name, spec in found}


def _renamed(report: StudyReport, old: str, new: str) -> StudyReport:
    """The report with a detector renamed wherever its name stands."""

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


def test_policy_admits_exactly_the_scripts_of_the_page(page):
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy[1]).split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert len(hashes) == 2
    assert rules["script-src"].split() == hashes
    assert rules["default-src"] == "'none'"
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script>")


def test_page_loads_nothing_and_is_small(page):
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)\s*=\s*[\"']?((?:https?:)?//[^\"' >]+)", page)
    assert not re.findall(r"<(?:script|img|iframe|object|embed)[^>]+\b(?:src|data)\s*=", page)
    assert not re.findall(r"(?:@import|url\()", re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1])  # pyright: ignore
    assert len(page.encode()) < 3e6


def test_every_number_of_the_verdict_table_is_the_formatted_result(report, page):
    rows = _rows(page, "verdicts")
    assert set(rows) == set(report.results["detectors"])
    for name, detector in report.results["detectors"].items():
        moves, rate = detector["forward"]["24h"], detector["alert_rate"]
        verdict, path, _, raw, matched, q, n_events, alerts = rows[name]
        assert verdict == f"{detector['verdict']} {detector['sentence']}"
        assert matched == f"{fmt.ratio(moves['matched_ratio'])} {fmt.interval(moves['ci'])}"
        assert raw == f"{fmt.ratio(moves['abs_move_ratio'])} {fmt.interval(moves['abs_move_ratio_ci'])}"
        assert path == f"{fmt.ratio(moves['path_effect'])} {fmt.interval(moves['path_effect_ci'])}"
        assert q == f"{fmt.p_value(moves['q'])} p {fmt.p_value(moves['p_surrogate'])}"
        assert n_events == f"{fmt.count(moves['n_events'])} {fmt.count(moves['n_effective'])} apart"
        assert alerts == f"{fmt.percent(rate['realised'], 2)} of {fmt.percent(rate['nominal'], 2)}"


def test_a_verdict_is_shown_at_the_horizon_it_names(report):
    results = json.loads(json.dumps(report.results))
    results["detectors"]["zscore"]["verdict_horizon"] = "1h"
    matched = _rows(replace(report, results=results).to_html(), "verdicts")["zscore"][4]
    assert matched.startswith(fmt.ratio(results["detectors"]["zscore"]["forward"]["1h"]["matched_ratio"]))
    assert results["detectors"]["zscore"]["forward"]["1h"]["matched_ratio"] != pytest.approx(1.24)


def test_detectors_stand_in_the_order_of_their_verdicts(report, page):
    shown = list(_rows(page, "verdicts"))
    assert shown[:3] == ["isolation_forest", "zscore", "seq2seq_autoencoder"]
    assert shown[-1] == "anogan"


def test_a_detector_without_events_shows_dashes_and_counts(page):
    verdict, path, _, raw, matched, q, n_events, *_ = _rows(page, "verdicts")["anogan"]
    assert verdict.startswith("too few events")
    assert (matched, raw, path, q, n_events) == ("– –", "– –", "– –", "– p –", "0 0 apart")


def test_a_detector_without_any_forward_move_and_a_study_without_strategies_still_render(report):
    results = {**report.results, "backtests": {}, "risk": {}, "config": {}, "seeds": {}, "versions": {}}
    silent = {"role": "detector", "alert_rate": {"nominal": None, "realised": None}, "forward": {}, "verdict": None}
    results["detectors"] = {"silent": silent}
    results |= {"surrogates": {"n": 0, "notes": []}, "evidence": {}, "lead_lag": {}, "calibration": []}
    bare = replace(report, results=results, equity=pd.DataFrame(), quality=pd.DataFrame(), random_draws={})
    page = bare.to_html()
    assert [figure for figure in _specs(page) if figure.startswith(("ladder", "lead"))] == []
    assert "have not been measured" in _text(page)
    rows = _rows(page, "verdicts")
    assert rows["silent"] == ["–", "– –", "", "– –", "– p –", "– – apart", "– of –"]


def test_missing_values_are_dashes_and_never_words(report, page):
    assert report.results["backtests"]["buy_and_hold"]["deflated_sharpe"] is None
    assert _rows(page, "returns")["buy_and_hold"][4] == fmt.DASH
    assert _rows(page, "versions")["torch"] == [fmt.DASH]
    assert _rows(page, "quality")["DOGE/USDT"][-1] == fmt.DASH
    seen = _text(page)
    assert not re.search(r"\b(nan|null|undefined|inf|NaT)\b|\bNone\b(?! of)", seen)
    assert "NaN" not in "".join(json.dumps(spec) for spec in _specs(page).values())


@pytest.mark.parametrize("unknown", [None, float("nan")])
@pytest.mark.parametrize("write", [fmt.percent, fmt.ratio, fmt.bps, fmt.p_value, fmt.count, fmt.number, fmt.seconds, fmt.literal])
def test_an_unknown_value_is_a_dash_in_every_format(write, unknown):
    assert write(unknown) == "–"
    assert fmt.quantity("share", unknown) == fmt.interval([unknown, unknown]) == "–"


def test_rounding_never_turns_a_p_value_or_a_loss_into_something_else():
    assert fmt.p_value(0.0009999) == "< 0.001"
    assert fmt.p_value(0.001) == "0.001"
    assert fmt.percent(-0.00001) == "0.0\u202f%"
    assert fmt.percent(-0.1234) == "−12.3\u202f%"


def test_hostile_names_are_text_everywhere(report):
    page = _renamed(report, "zscore", HOSTILE).to_html()
    clean = report.to_html()
    assert "<img" not in page
    assert "onerror=alert(1)>" not in page
    for tag in ("<script", "</script", "<!--", "<tr>", "<td", "<button"):
        assert page.count(tag) == clean.count(tag), tag
    assert f"<title>{html.escape(HOSTILE).replace('&quot;', '&#34;').replace('&#x27;', '&#39;')}</title>" in page
    assert HOSTILE in _text(page)
    plotted = [text for spec in _specs(page).values() for text in _strings(spec) if "onerror" in text]
    assert plotted
    assert not any(re.search(r"<(?!br>)", text) for text in plotted)


def _strings(node: object) -> list[str]:
    if isinstance(node, dict):
        return [text for part in node.values() for text in _strings(part)]
    if isinstance(node, list):
        return [text for part in node for text in _strings(part)]
    return [node] if isinstance(node, str) else []


def test_json_cannot_end_its_script_element():
    document = json.dumps([HOSTILE, "\u2028"], ensure_ascii=False)
    embedded = str(embed(document))
    assert not set("<>&\u2028") & set(embedded)
    assert json.loads(embedded) == json.loads(document)


def test_a_report_that_cannot_be_rendered_leaves_the_earlier_one(report, tmp_path):
    path = tmp_path / "report.html"
    report.save(path)
    before = path.read_bytes()
    broken = replace(report, results={key: value for key, value in report.results.items() if key != "backtests"})
    with pytest.raises(KeyError):
        broken.save(path)
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_a_write_that_fails_leaves_the_earlier_report(report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    monkeypatch.setattr("reports.html.os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report.save(path)
    assert path.read_text() == "earlier"
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_a_reader_of_the_earlier_report_is_not_disturbed(report, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    with path.open() as reader:
        report.save(path)
        assert reader.read() == "earlier"
    assert path.read_text(encoding="utf-8") == report.to_html()


def test_thinned_equity_keeps_the_ends_and_the_deepest_drawdown(report):
    thin, drawdown = figures.thinned(report.equity)
    full = report.equity / report.equity.cummax().clip(lower=1.0) - 1
    assert len(thin) <= figures.N_POINTS
    assert list(thin.index[[0, -1]]) == list(report.equity.index[[0, -1]])
    pd.testing.assert_frame_equal(thin, report.equity.loc[thin.index])
    pd.testing.assert_series_equal(drawdown.min(), full.min())
    pd.testing.assert_series_equal(drawdown.iloc[-1], full.iloc[-13:].min(), check_names=False)


def test_a_first_bar_below_the_start_is_a_drawdown():
    equity = pd.DataFrame({"x": [0.8, 0.9]}, index=pd.date_range("2024-01-01", periods=2, freq="h"))
    _, drawdown = figures.thinned(equity)
    assert drawdown["x"].tolist() == pytest.approx([-0.2, -0.1])


def test_charts_hold_plain_lists_and_the_results(report, page):
    specs = _specs(page)
    small = {f"{kind}-{i}" for kind in ("ladder", "lead") for i in range(len(report.results["detectors"]))}
    assert set(specs) == {"forward-0", "forward-1", "forward-2", "equity", "timing", "alerts"} | small
    assert "bdata" not in json.dumps(specs)
    order = study_tables.detectors_by_verdict(report.results)
    *_, matched = specs["forward-2"]["data"]
    assert matched["x"] == [report.results["detectors"][name]["forward"]["24h"]["matched_ratio"] for name in order]
    strategy = specs["timing"]["data"][-1]
    assert strategy["x"] == [report.results["backtests"][f"anomaly_avoidance[{name}]"]["total_return"] for name in order]


def test_legend_switches_the_traces_of_its_own_strategy(report, page):
    data = _specs(page)["equity"]["data"]
    entries = re.findall(r'data-chart="equity" data-traces="(\d+) (\d+)">.*?</svg>\s*(\S+) <span', page, flags=re.DOTALL)
    assert {name for *_, name in entries} == set(report.equity.columns)
    for equity, drawdown, name in entries:
        assert data[int(equity)]["name"] == data[int(drawdown)]["name"] == name
        assert data[int(equity)]["y"][-1] == pytest.approx(report.equity[name].iloc[-1], rel=1e-4)
        assert data[int(drawdown)]["yaxis"] == "y2"


def test_the_exposure_drawn_is_the_mean_of_the_bars_before(report):
    equity = report.equity
    wave = pd.DataFrame({name: np.arange(len(equity)) % 7 / 7 + 0.01 * i for i, name in enumerate(equity)}, index=equity.index)
    spec = _specs(replace(report, exposure=wave).to_html())["equity"]
    times = pd.DatetimeIndex(spec["layout"]["meta"]["x"])
    n = math.ceil(len(equity) / 50)
    for trace in (trace for trace in spec["data"] if trace.get("yaxis") == "y3"):
        values = wave[trace["name"]].to_numpy()
        rows = equity.index.get_indexer(times)
        assert trace["y"] == pytest.approx([values[max(row - n + 1, 0) : row + 1].mean() for row in rows], rel=1e-4)


def test_a_ratio_axis_shows_every_point_and_cuts_only_far_intervals():
    low, high = study_tables.ratio_range([0.8, 1.6], [0.7, 40.0])
    assert low < 0.7
    assert 1.6 < high < 3
    low, high = study_tables.ratio_range([], [])
    assert low < 1.0 < high


def test_an_interval_that_runs_off_the_axis_ends_in_an_arrow(report):
    def arrows(page):
        found = [(name, note) for name, spec in _specs(page).items() for note in spec["layout"].get("annotations", [])]
        return [(name, note["text"], note["x"], note["y"]) for name, note in found if note["text"] in "◂▸"]

    results = json.loads(json.dumps(report.results))
    results["detectors"]["zscore"]["forward"]["24h"]["ci"] = [-30.0, 40.0]
    before, after = arrows(report.to_html()), arrows(replace(report, results=results).to_html())
    added = [arrow for arrow in after if arrow not in before]
    horizons = list(dict.fromkeys(horizon for entry in results["detectors"].values() for horizon in entry["forward"]))
    name = f"forward-{horizons.index('24h')}"
    low, high = _specs(replace(report, results=results).to_html())[name]["layout"]["xaxis"]["range"]
    place = study_tables.detectors_by_verdict(results).index("zscore") + 0.16
    here = {arrow[1:] for arrow in added if arrow[0] == name and arrow[3] == place}
    assert here == {("◂", low, place), ("▸", high, place)}


def test_the_headline_counts_verdicts_and_distrusts_a_lucky_baseline(report):
    seen = _text(report.to_html())
    assert "3 of 7 detectors add information beyond volatility: isolation_forest, zscore and seq2seq_autoencoder." in seen
    assert "Of the others, 3 echo volatility and 1 has too few events." in seen
    assert "with suspicion" not in seen
    results = json.loads(json.dumps(report.results))
    results["detectors"]["random"]["verdict"] = "adds information"
    assert "The baseline random is also judged to add information" in _text(replace(report, results=results).to_html())


def test_a_short_test_is_told_what_its_figures_per_year_are_worth(report):
    data = {**report.results["data"], "test_start": "2024-01-01T00:00:00", "test_end": "2024-02-07T12:00:00"}
    said = study_report.headline({**report.results, "data": data}, report.random_draws)
    assert said[-1].startswith("The test covers 38 days: the standard error of a Sharpe ratio per year is about 3.12,")
    long = study_report.headline({**report.results, "data": {**data, "test_end": "2024-07-02T00:00:00"}}, report.random_draws)
    assert long == said[:-1]


def test_the_rule_in_words_is_that_of_the_test_that_was_run(report, page):
    seen = _text(page)
    assert "also score 199 histories that have the data's volatility and nothing else" in seen
    assert "is at most 5\u202f%" in seen
    assert "so 0.005 at the least" in seen
    assert "Volatility of the surrogate histories: gjr (BTC/USDT, SOL/USDT), har (ETH/USDT)." in seen
    assert "ETH/USDT: gjr: no optimum" in seen
    assert "the matched interval lies above 1 in 3 to" not in seen
    few = replace(report, results={**report.results, "surrogates": {**report.results["surrogates"], "n": 19}}).to_html()
    assert "so 0.050 at the least" in _text(few)
    without = replace(report, results={**report.results, "surrogates": {"n": 0, "notes": ["too <few> bars"]}}).to_html()
    seen = _text(without)
    assert "was not run in this study (too <few> bars)" in seen
    assert "the matched interval lies above 1 in 3 to" in seen
    assert "histories that have the data's volatility" not in seen
    moves = report.results["detectors"]["zscore"]["forward"]["24h"]
    assert _rows(without, "verdicts")["zscore"][4] == f"{fmt.p_value(moves['q'])} p {fmt.p_value(moves['p_matched'])}"
    assert fmt.p_value(moves["p_matched"]) != fmt.p_value(moves["p_surrogate"])
    assert '<table id="surrogate-table">' not in without
    assert ("which was not run here" in seen, "which was not run here" in _text(page)) == (True, False)


def _ladder_points(spec: dict) -> dict[str, tuple[float, str]]:
    """By label of the axis, the estimate that is drawn beside it and p."""
    labels = spec["layout"]["yaxis"]["ticktext"]
    p_at = {note["y"]: html.unescape(note["text"]) for note in spec["layout"]["annotations"][1:] if "xref" in note}
    markers = [trace for trace in spec["data"] if trace["mode"] == "markers"]
    return {labels[y]: (x, p_at[y]) for trace in markers for x, y in zip(trace["x"], trace["y"], strict=True)}


def test_the_ladder_draws_every_ratio_with_its_interval_and_p_from_naive_to_surrogates(report, page):
    specs, results = _specs(page), json.loads(json.dumps(report.results))
    order = study_tables.detectors_by_verdict(results)
    for i, name in enumerate(order):
        rows = {row["test"]: row for row in results["evidence"][name]["24h"]}
        spec = specs[f"ladder-{i}"]
        assert spec["layout"]["yaxis"]["ticktext"] == list(evidence_tables.RATIOS.values())
        bottom, top = spec["layout"]["yaxis"]["range"]
        assert bottom > top
        points = _ladder_points(spec)
        drawn = [trace for trace in spec["data"][1:] if trace["mode"] == "lines"]
        ends = [(trace["y"][::3], zip(trace["x"][::3], trace["x"][1::3], strict=True)) for trace in drawn]
        spans = {y: span for places, pairs in ends for y, span in zip(places, pairs, strict=True)}
        for place, (test, label) in enumerate(evidence_tables.RATIOS.items()):
            assert points[label] == (rows[test]["estimate"], fmt.p_value(rows[test]["p"]))
            assert spans[place] == (rows[test]["low"], rows[test]["high"])
        assert spec["data"][0]["x"] == [1.0, 1.0]
        moves = results["detectors"][name]["forward"]["24h"]
        assert figures.ladder_charts(results)[i].note.endswith(f"q {fmt.p_value(moves['q'])}; n = {moves['n_events']} events")
        left, right = spec["layout"]["xaxis"]["range"]
        assert all(left < x < right for x in [1.0, *(x for x, _ in points.values() if x is not None)])


def test_the_ladder_is_of_the_horizon_that_the_verdict_names(report):
    results = json.loads(json.dumps(report.results))
    results["detectors"]["zscore"]["verdict_horizon"] = "1h"
    place = study_tables.detectors_by_verdict(results).index("zscore")
    chart = figures.ladder_charts(results)[place]
    assert chart.title == "zscore: 1h after an alert, test by test"
    drawn = _ladder_points(json.loads(chart.spec))["surrogates"][0]
    assert drawn == results["detectors"]["zscore"]["forward"]["1h"]["path_effect"]
    assert drawn != results["detectors"]["zscore"]["forward"]["24h"]["path_effect"]


@pytest.mark.parametrize(("n", "deciding"), [(199, "surrogate"), (0, "matched")])
def test_the_diamond_of_the_ladder_is_the_test_that_decides(report, n, deciding):
    results = {**report.results, "surrogates": {**report.results["surrogates"], "n": n}}
    spec = json.loads(figures.ladder_charts(results)[0].spec)
    (diamond,) = [trace for trace in spec["data"] if trace.get("marker", {}).get("symbol") == "diamond"]
    assert [spec["layout"]["yaxis"]["ticktext"][y] for y in diamond["y"]] == [evidence_tables.RATIOS[deciding]]


def test_a_test_that_was_not_made_says_why_in_its_row(report):
    results = json.loads(json.dumps(report.results))
    last = results["evidence"]["zscore"]["24h"][9]
    assert last["test"] == "surrogate"
    last.update(estimate=None, p=None, note="not <run>")
    place = study_tables.detectors_by_verdict(results).index("zscore")
    notes = json.loads(figures.ladder_charts(results)[place].spec)["layout"]["annotations"]
    inside = [(note["y"], note["text"]) for note in notes if note.get("xref") != "paper"]
    assert inside == [(8, "not &lt;run&gt;")]
    assert next(note["text"] for note in notes if note["y"] == 8) == fmt.DASH


def test_the_naive_row_carries_its_warning_in_picture_and_table(report, page):
    spec = _specs(page)["ladder-0"]
    assert spec["layout"]["yaxis"]["ticktext"][0] == "naive (a warning)"
    (naive,) = [trace for trace in spec["data"] if trace.get("marker", {}).get("symbol") == "circle-open"]
    assert NAIVE_WARNING[:60] in naive["hovertext"][0]
    table = evidence_tables.ladder_table(report.results)
    warned = [row[2].text for row in table.rows if row[-1].text == NAIVE_WARNING]
    assert set(warned) == {"naive (a warning)"}
    assert len(warned) == len(DETECTORS)


def test_the_table_behind_the_ladder_writes_each_test_on_its_own_scale(report):
    table = evidence_tables.ladder_table(report.results)
    assert len(table.rows) == len(report.results["detectors"]) * len(CONTROLS)
    found = {row[2].text: [cell.text for cell in row[3:8]] + [row[3].detail] for row in table.rows if row[0].text == "pca"}
    n = report.results["detectors"]["pca"]["forward"]["24h"]["n_events"]
    assert found["naive (a warning)"] == ["2.00", "1", "< 0.001", fmt.count(n), "9,000", "[1.80, 2.40]"]
    assert found["QLIKE gain, losses × 10,000"][::5] == ["0.20", "[0.18, 0.24]"]
    assert found["direction, bps"][::5] == ["37.0", "[33.3, 44.4]"]
    assert found["hit rate, a difference of shares"][:2] == ["4.2\u202f%", "0"]
    assert found["surrogates"][-1] == fmt.DASH


def test_the_surrogate_table_holds_t_of_the_data_beside_that_of_the_surrogates(report):
    table = evidence_tables.surrogate_table(report.results)
    assert table
    assert "n = 199 histories" in table.caption
    row = next(row for row in table.rows if (row[0].text, row[1].text) == ("zscore", "6h"))
    moves = report.results["detectors"]["zscore"]["forward"]["6h"]
    assert [cell.text for cell in row[2:]] == [
        fmt.ratio(moves["path_effect"]),
        "1.75",
        "0.31",
        "1.17",
        fmt.p_value(moves["p_surrogate"]),
        fmt.p_value(moves["q"]),
        fmt.count(moves["n_events"]),
    ]


def test_lead_lag_pictures_draw_activity_band_and_lead(report, page):
    specs, seen = _specs(page), _text(page)
    for i, name in enumerate(study_tables.detectors_by_verdict(report.results)):
        curve, spec = report.results["lead_lag"][name], specs[f"lead-{i}"]
        low, high, usual, alert, activity, *lead = spec["data"]
        for trace, key in ((low, "low"), (high, "high"), (activity, "activity")):
            assert trace["x"] == curve["offsets"]
            assert trace["y"] == pytest.approx(curve[key], rel=1e-4)
        assert high["fill"] == "tonexty"
        assert (usual["y"], alert["x"]) == ([1, 1], [0, 0])
        if curve["lead"] is None:
            assert lead == []
            assert f"{name}: no lead found" in seen
        else:
            span, point = lead
            assert span["x"] == curve["lead_ci"]
            assert point["x"] == [curve["lead"]]
            assert point["y"] == [curve["activity"][curve["offsets"].index(curve["lead"])]]
            assert f"{name}: lead {fmt.count(curve['lead'])} bars {fmt.interval(curve['lead_ci'], fmt.count)}" in seen
    assert "mad: lead 0 bars [−2, 1]" in seen
    assert "n = 204 events; no offset stands out above 1" in seen
    assert _rows(page, "lead-table")["rolling_volatility"][:3] == ["−1 [−3, 0]", "< 0.001", "204"]
    names = study_tables.detectors_by_verdict(report.results)
    at_two = _rows(page, "activity-table")["2"]
    assert at_two[names.index("zscore")] == "1.00 [0.80, 1.30]"
    assert at_two[names.index("mad")] == "1.70 [1.50, 2.00]"


def test_a_curve_without_a_band_is_drawn_without_one(report):
    blank = [None] * 49
    curve = {**_lead(None), "low": blank, "high": blank, "p": None, "reason": "fewer than 2 groups of events with known bars"}
    results = {**report.results, "lead_lag": {"zscore": {**curve, "activity": [None, *curve["activity"][1:]]}}}
    (chart,) = figures.lead_charts(results)
    traces = json.loads(chart.spec)["data"]
    assert not any("fill" in trace for trace in traces)
    assert traces[-1]["y"][:2] == [None, pytest.approx(curve["activity"][1], rel=1e-4)]
    assert chart.note.endswith("n = 204 events; fewer than 2 groups of events with known bars")


def test_the_calibration_card_shows_size_before_power_with_the_naive_test_beside_it(page):
    table = evidence_tables.calibration_table(_report().results)
    assert table
    rows = [[cell.text for cell in row] for row in table.rows]
    assert [row[2] for row in rows] == ["size", "size", "size", "power"]
    assert rows[0] == ["GARCH, Student t", "returns", "size", "none", "2,500", "24", "41", "200", "99", "4.5\u202f%", "91.0\u202f%"]
    assert rows[-1][:4] == ["GJR-GARCH, Student t", "returns", "power", "1.50×"]
    assert table.rows[0][9].detail == "[2.5\u202f%, 7.5\u202f%]"
    seen = _text(page).replace("\u202f", " ")
    assert "still finds something in 4.5 % to 6.5 % of simulated histories" in seen
    assert "the naive test does in 86.0 % to 95.0 %" in seen


def test_a_percentile_in_percent_is_refused(report):
    draws = {"anomaly_avoidance[zscore]": {"n_draws": 10, "total_returns": [0.1], "percentile": 97.0}}
    with pytest.raises(ConfigError, match="fraction between 0 and 1, got 97"):
        replace(report, random_draws=draws)


def test_fifty_strategies_still_make_a_small_page(report):
    names = [f"strategy_{i}" for i in range(50)]
    equity = pd.concat([report.equity.iloc[:, 0]] * 50, axis=1, keys=names)
    assert len(replace(report, equity=equity).to_html().encode()) < 3e6


def test_a_name_cannot_turn_the_direction_of_the_numbers_beside_it(report):
    page = _renamed(report, "zscore", "z\u202escore\u2066").to_html()
    body = page[page.index("<body>") : page.rindex("<script>")]
    body = re.sub(r"<script>.*?</script>", "", body, flags=re.DOTALL)
    assert "z\ufffdscore\ufffd" in body
    assert not re.search("[\u202e\u2066]|\\\\u202e|\\\\u2066", body)

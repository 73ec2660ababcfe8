"""A scan of made-up alerts, and its page."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

import foreshock as fs
from foreshock.reports.cases.page import CasesReport
from foreshock.study.cases.cases import cases_of
from foreshock.study.cases.known import known_of
from foreshock.study.cases.output import scan_content
from foreshock.study.cases.scan import Scan

HOUR = np.timedelta64(1, "h")
COOLDOWN = 6
# Row, column, detector, score, tail probability: three cases, the first of two detectors.
ALERTS = (
    (100, 0, "zscore", 4.0, 0.010),
    (103, 0, "zscore", 6.0, 0.002),
    (103, 0, "mad", 9.0, 0.004),
    (106, 0, "zscore", 5.0, 0.006),
    (101, 1, "mad", 7.0, 0.003),
)


def alerts_of(bars: fs.Bars, labels: dict[str, str]) -> pd.DataFrame:
    """Alerts as ``alerts_table`` writes them, by detector and time."""
    rows = [
        {
            "time": bars.time[row],
            "symbol": bars.symbols[col],
            "detector": labels[detector],
            "score": score,
            "threshold": 3.0,
            "tail_probability": tail,
            "regime": "calm",
            "price_change": 0.01,
            "driver_1": "log_return" if tail < 0.01 else None,
            "driver_1_added": score if tail < 0.01 else np.nan,
            "driver_2": "range" if row == 103 else None,
            "driver_2_added": 0.5 if row == 103 else np.nan,
            "driver_3": None,
            "driver_3_added": np.nan,
            "move_1h": 0.001 * row,
            "move_6h": np.nan,
        }
        for row, col, detector, score, tail in ALERTS
    ]
    return pd.DataFrame(rows).sort_values(["detector", "time"], kind="stable", ignore_index=True)


def found(first: str = "BTC/USDT", second: str = "ETH/USDT", detector: str = "zscore", n_alerts: int | None = None) -> Scan:
    """A scan of two symbols, with its first alerts alone if ``n_alerts`` is passed."""
    bars = replace(fs.simulate_market(seed=1, n_symbols=2, n_bars=240).bars, symbols=(first, second))
    alerts = alerts_of(bars, {"zscore": detector, "mad": "mad"}).head(n_alerts)
    cases, of_alert = cases_of(alerts, bars, bars.close * bars.volume, COOLDOWN, 48, "9f2c")
    study = {"identity": "1a2b", "features": ["log_return", "range"], "detectors": {detector: {}, "mad": {}}, "seed": 0}
    scored = {detector: 300, "mad": 300}
    spans = (COOLDOWN * HOUR, 6 * HOUR, bars.time[90])
    said = {
        "symbol": [first, first, second],
        "start": bars.time[[102, 200, 101]],
        "kind": ["pump", "crash", "pump"],
        "disposition": ["true", "true", "false"],
        "note": [f"said of {detector}", "", ""],
    }
    known = known_of(cases, fs.Labels.from_frame(pd.DataFrame(said)), spans[-1])
    cases = cases.assign(disposition=known.disposition, label=known.label)
    return Scan(f"About {first}", study, "9f2c", fs.BarSource(bars), bars, scored, alerts, cases, of_alert, *spans, known)


@cache
def page_of(*names: str) -> str:
    """The page of two symbols and a detector of these names."""
    content = json.loads(json.dumps(scan_content(found(*names)), allow_nan=False))
    return CasesReport(content, "foreshock scan study.toml").to_html()

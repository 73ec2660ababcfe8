"""``foreshock scan`` on trades, a book and bars: the example, files that are the same again, and what is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from tests.console import foreshock, refused
from tests.paths import ROOT

BARS = """\
title = "Bars"
detectors = ["zscore"]
horizons = ["1h", "6h"]

[data]
path = "bars.csv"

[splits]
train = "14D"
test = "7D"

[threshold]
QUANTILE
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def done(monkeypatch, capsys, *arguments: str) -> str:
    code, printed, wrong = foreshock(monkeypatch, capsys, *arguments)
    assert code == 0, wrong
    return printed


def files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def bars_study(threshold: str) -> None:
    fs.simulate_market(seed=3, n_symbols=2, n_bars=900).bars.to_frame().to_csv("bars.csv", index=False)
    Path("study.toml").write_text(BARS.replace("QUANTILE", threshold))


def test_the_example_finds_cases_in_trades_and_keeps_the_trades_of_each(here, monkeypatch, capsys):
    market = fs.simulate_market(seed=4, n_symbols=2, n_bars=40).bars
    (here / "trades").mkdir()
    trades = {}
    for symbol in market.symbols:
        name = symbol.replace("/", "-")
        fs.bar_trades(market.select(symbol)).to_frame().to_parquet(here / "trades" / f"{name}.parquet")
        trades[name] = fs.read_trades(here / "trades" / f"{name}.parquet")
    shutil.copy(ROOT / "examples" / "scan.toml", here)
    printed = done(monkeypatch, capsys, "scan", "scan.toml", "trades", "--out", "out")
    cases, alerts = pd.read_csv("out/cases.csv"), pd.read_csv("out/alerts.csv")
    assert f"{len(cases)} cases in {len(alerts)} alerts of 3 detectors" in printed
    assert cases["n_alerts"].sum() == len(alerts) > 10
    for case in cases.itertuples():
        place = here / "out" / "evidence" / case.case_id
        told = json.loads((place / "manifest.json").read_text())
        file = told["files"]["trades.parquet"]
        assert file["sha256"] == hashlib.sha256((place / "trades.parquet").read_bytes()).hexdigest()
        first, stop = (np.datetime64(file[name].removesuffix("Z")) for name in ("from", "before"))
        assert first == np.datetime64(case.start.removesuffix("Z")) - np.timedelta64(10, "m")
        assert stop == np.datetime64(case.stop.removesuffix("Z")) + np.timedelta64(30, "m")
        own = trades[case.symbol].to_frame()
        own = own[(own["time"] >= first) & (own["time"] < stop)].reset_index(drop=True)
        pd.testing.assert_frame_equal(pd.read_parquet(place / "trades.parquet"), own)
        assert told["again"]["inputs"].keys() == {f"trades/{name}.parquet" for name in trades}
        assert told["again"]["study_file"]["text"] == (ROOT / "examples" / "scan.toml").read_text()
    once = files(here / "out")
    done(monkeypatch, capsys, "scan", "scan.toml", "trades", "--out", "again")
    assert files(here / "again") == once


def test_a_scan_of_a_book_keeps_its_snapshots(here, monkeypatch, capsys):
    book = fs.simulate_book(seed=1, n_rows=1_500).book
    book.to_frame().to_parquet("book.parquet")
    (here / "book.toml").write_text(
        'detectors = ["zscore"]\nhorizons = ["1m", "5m"]\n[source]\nkind = "book"\nsymbols = ["BTC/USDT"]\npath = "book.parquet"\n'
        '[splits]\ntrain = "30m"\ntest = "20m"\nembargo = "none"\n[threshold]\nq = 0.99\nwindow = "20m"\n'
        '[avoidance]\nhold = "5m"\nrebalance = "20m"\n'
    )
    done(monkeypatch, capsys, "scan", "book.toml", "--out", "out")
    case = pd.read_csv("out/cases.csv").iloc[0]
    rows = fs.read_book(f"out/evidence/{case['case_id']}/snapshots.parquet", partial=True)
    start, stop = (np.datetime64(case[name].removesuffix("Z")) for name in ("start", "stop"))
    wanted = book.between(start - np.timedelta64(5, "m"), stop + np.timedelta64(5, "m"))
    np.testing.assert_array_equal(rows.notional, wanted.notional)
    assert case["symbol"] == "BTC/USDT"


def test_what_an_analyst_said_of_cases_stands_beside_them_in_the_next_scan(here, monkeypatch, capsys):
    bars_study('window = "7D"\nq = 0.95')
    done(monkeypatch, capsys, "scan", "study.toml", "--out", "first")
    cases = pd.read_csv("first/cases.csv")
    assert "disposition" not in cases
    assert len(cases) > 3
    n_rest = len(cases) - 3
    said = cases.assign(disposition=["true", "false", "unsure"] + [None] * n_rest, kind="pump", note="a story").head(3)
    last = pd.Timestamp(fs.read_bars("bars.csv").time[-1])
    missed = {"symbol": cases["symbol"].iloc[0], "start": f"{last}", "stop": f"{last + pd.Timedelta('1h')}", "kind": "crash"}
    pd.concat([said, pd.DataFrame([missed | {"disposition": "true"}])]).to_csv("said.csv", index=False)
    Path("study.toml").write_text(Path("study.toml").read_text() + '[labels]\npath = "said.csv"\n')
    printed = done(monkeypatch, capsys, "scan", "study.toml", "--out", "second")
    again = pd.read_csv("second/cases.csv", keep_default_na=False)
    assert again["case_id"].tolist() == cases["case_id"].tolist()
    assert again["disposition"].tolist() == ["true", "false", "unsure"] + [""] * n_rest
    assert again["label"].tolist()[:4] == ["pump: a story"] * 3 + [""]
    told = f"1 of 2 labelled events is in a case; of the cases, labels call 1 true, 1 a false alarm, 1 unsure, {n_rest} nothing."
    assert told in " ".join(printed.split())
    page = (here / "second" / "cases.html").read_text()
    assert "no case" in page
    assert "a story" in page
    manifest = json.loads((here / "second" / "evidence" / cases["case_id"].iloc[0] / "manifest.json").read_text())
    assert (manifest["case"]["disposition"], manifest["case"]["label"]) == ("true", "pump: a story")


def test_no_alert_is_a_result_and_a_file_says_so(here, monkeypatch, capsys):
    bars_study('kind = "fixed"\nvalue = 1e9')
    printed = done(monkeypatch, capsys, "scan", "study.toml", "--out", "out")
    assert "No alert: 1 detector scored up to " in printed
    assert len(pd.read_csv("out/cases.csv")) == len(pd.read_csv("out/alerts.csv")) == 0
    assert "No detector raised an alert." in (here / "out" / "cases.html").read_text()


def test_what_is_sealed_is_not_scanned_and_not_kept(here, monkeypatch, capsys):
    bars_study('window = "7D"\nq = 0.95')
    done(monkeypatch, capsys, "scan", "study.toml", "--out", "whole")
    # The sealed part begins right after an alert, in the evidence that an open study would keep.
    last = pd.read_csv("whole/alerts.csv", parse_dates=["time"])["time"].max().tz_localize(None)
    n_sealed = int((pd.Timestamp(fs.read_bars("bars.csv").time[-1]) - last) / pd.Timedelta("1h"))
    assert n_sealed > 0
    Path("study.toml").write_text(f'sealed = "{n_sealed}h"\n' + Path("study.toml").read_text())
    done(monkeypatch, capsys, "scan", "study.toml", "--out", "out")
    kept = {
        out: max(pd.read_parquet(path)["time"].max() for path in (here / out / "evidence").rglob("*.parquet"))
        for out in ("whole", "out")
    }
    assert kept["out"] == last < kept["whole"]
    assert pd.read_csv("out/alerts.csv", parse_dates=["time"])["time"].max().tz_localize(None) == last


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("scan", "study.toml", "none.csv"), 3, "none.csv"),
        (("scan", "no.toml"), 2, "no.toml"),
        (("scan", "study.toml", "--out", "bars.csv"), 2, "--out must be a folder"),
    ],
)
def test_wrong_use_is_refused_and_changes_nothing(here, monkeypatch, capsys, arguments, code, words):
    bars_study('window = "7D"')
    before = files(here)
    refused(monkeypatch, capsys, code, words, *arguments)
    assert files(here) == before

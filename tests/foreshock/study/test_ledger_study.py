"""Studies in the trial ledger: the command line writes, shows and checks it, and deflated figures count what it holds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foreshock.engine.trials.ledger import Ledger
from foreshock.engine.validation.selection.sharpe import deflated_sharpe, sharpe_estimate
from foreshock.study.study import Study
from foreshock.study.trials import deflate_study, record_study
from tests.console import foreshock, refused
from tests.market import make_bars


@pytest.fixture(scope="module")
def studied():
    """Two studies of the same bars; the second stands aside for longer."""
    from foreshock.engine.out_of_sample.splits import WalkForward
    from foreshock.engine.thresholds.quantiles import RollingQuantile

    bars = make_bars(1_700, 2, seed=12)

    def study(hold: str, title: str):
        plan = Study(
            bars,
            ["zscore"],
            WalkForward("14D", "7D", "1D"),
            RollingQuantile(0.98, "7D"),
            ["1h"],
            features=["log_return", "volume_ratio_20"],
            random_draws=2,
            n_bootstrap=99,
            n_surrogates=0,
            hold=hold,
            title=title,
        )
        return plan.run()

    return study("24h", "first"), study("48h", "second")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.jsonl")


def test_a_study_alone_counts_its_own_strategies(studied):
    first, _ = studied
    found = deflate_study(first).results
    ratios = [sharpe_estimate(backtest.returns).ratio for backtest in first.backtests.values()]
    assert len(set(ratios)) == len(ratios) == found["trials"]["n_trials"] == 8
    assert found["trials"]["sharpe_variance"] == pytest.approx(np.var(ratios, ddof=1))
    assert found["trials"]["ledger"] is None
    for name, backtest in first.backtests.items():
        expected = deflated_sharpe(backtest.returns, 8, float(np.var(ratios, ddof=1))).probability
        assert found["backtests"][name]["deflated_sharpe"] == pytest.approx(expected)
    assert first.results["backtests"] == found["backtests"]
    json.dumps(found, allow_nan=False)


def test_what_was_tried_before_on_the_same_data_counts_once_each(studied, ledger):
    first, second = studied
    alone = record_study(first, ledger)
    again = record_study(first, ledger)
    assert alone.results["trials"]["n_trials"] == again.results["trials"]["n_trials"] == 8
    both = record_study(second, ledger)
    returns = {b.returns.tobytes(): sharpe_estimate(b.returns).ratio for s in studied for b in s.backtests.values()}
    # Holding and equal weight are the same in both studies.
    assert both.results["trials"]["n_trials"] == len(returns) == 14
    assert both.results["trials"]["n_configurations"] == 2
    assert both.results["trials"]["sharpe_variance"] == pytest.approx(np.var(list(returns.values()), ddof=1))
    assert both.results["trials"]["ledger"] == {"sequence": 2, "sha256": ledger.verify().head}
    seen = deflate_study(first, ledger).results["trials"]
    assert (seen["n_trials"], seen["ledger"]) == (14, None)
    assert len(ledger.entries()) == 3


def test_what_was_tried_on_other_data_does_not_count_and_configurations_of_other_tools_do(studied, ledger):
    first, second = studied
    elsewhere = {**second.results, "data": {**second.results["data"], "hash": "other data"}}
    record_study(replace(second, results=elsewhere), ledger)
    data_hash = first.results["data"]["hash"]
    for i in range(50):
        ledger.append({"i": i}, "other data", {})
    assert record_study(first, ledger).results["trials"]["n_trials"] == 8
    luck = {}
    for n in (8, 30):
        for i in range(n - ledger.count(data_hash)):
            ledger.append({"n": n, "i": i}, data_hash, {})
        found = deflate_study(first, ledger).results
        assert found["trials"]["n_trials"] == n
        luck[n] = found["backtests"]["buy_and_hold"]["deflated_sharpe"]
    assert luck[30] < luck[8]


def test_the_entry_holds_what_the_verdict_was_decided_on_and_a_title_is_no_configuration(studied, ledger):
    first, _ = studied
    record_study(first, ledger)
    renamed = {**first.results, "config": {**first.results["config"], "title": "another one"}}
    record_study(replace(first, results=renamed), ledger)
    assert ledger.count() == 1
    entry = ledger.entries()[0]
    assert entry.data_hash == first.results["data"]["hash"]
    assert entry.configuration["avoidance"]["hold"] == "24h"
    assert "title" not in entry.configuration
    section = first.results["detectors"]["zscore"]
    assert entry.result["detectors"]["zscore"]["verdict"] == section["verdict"]
    assert entry.result["detectors"]["zscore"]["forward"]["1h"]["matched_ratio"] == section["forward"]["1h"]["matched_ratio"]
    ratio = entry.result["strategies"]["buy_and_hold"]["sharpe"]
    assert ratio == sharpe_estimate(first.backtests["buy_and_hold"].returns).ratio


def test_run_writes_an_entry_show_prints_it_and_verify_finds_it_whole(place, monkeypatch, capsys):
    monkeypatch.setenv("FORESHOCK_LEDGER", str(place / "mine.jsonl"))
    assert foreshock(monkeypatch, capsys, "run", "study.toml")[0] == 0
    code, out, _ = foreshock(monkeypatch, capsys, "run", "study.toml", "--ledger", "other.jsonl", "--out", "b")
    assert code == 0
    assert len(Ledger("mine.jsonl").entries()) == len(Ledger("other.jsonl").entries()) == 1
    results = json.loads(Path("b/results.json").read_text())
    assert results["trials"]["ledger"]["sha256"] == Ledger("other.jsonl").verify().head
    assert all(0 <= backtest["deflated_sharpe"] <= 1 for backtest in results["backtests"].values())
    code, out, err = foreshock(monkeypatch, capsys, "ledger", "show")
    assert (code, err) == (0, "")
    assert "A small study: 3 detectors, 8 strategies, best " in out
    assert "1 entries; 1 configurations on 1 sets of data; " in out
    code, out, err = foreshock(monkeypatch, capsys, "ledger", "verify", "--ledger", "other.jsonl")
    assert (code, err) == (0, "")
    assert results["trials"]["ledger"]["sha256"] in out


def test_without_the_ledger_nothing_is_written_and_figures_are_still_deflated(place, monkeypatch, capsys):
    monkeypatch.setenv("FORESHOCK_LEDGER", str(place / "mine.jsonl"))
    assert foreshock(monkeypatch, capsys, "run", "study.toml", "--no-ledger", "--out", "b")[0] == 0
    assert not Path("mine.jsonl").exists()
    results = json.loads(Path("b/results.json").read_text())
    assert (results["trials"]["ledger"], results["trials"]["n_trials"]) == (None, 8)
    assert results["backtests"]["buy_and_hold"]["deflated_sharpe"] is not None


def test_a_touched_ledger_is_a_sentence_and_exit_code_3_before_a_study_runs(place, monkeypatch, capsys):
    ledger = Ledger("mine.jsonl")
    for i in range(4):
        ledger.append({"i": i}, "data", {"title": "\x1b[31m\n"})
    content = ledger.path.read_bytes()
    code, out, _ = foreshock(monkeypatch, capsys, "ledger", "show", "--ledger", "mine.jsonl")
    assert code == 0
    assert "\x1b" not in out
    ledger.path.write_bytes(content.replace(b'"i":1', b'"i":7').replace(b'"i":2', b'"i":8'))
    where = ("--ledger", "mine.jsonl")
    words = "line 2 was changed or cut: it is not an entry as it was written (and 1 more)"
    refused(monkeypatch, capsys, 3, words, "ledger", "verify", *where)
    refused(monkeypatch, capsys, 3, "line 2 was changed", "ledger", "show", *where)
    refused(monkeypatch, capsys, 3, "line 2 was changed", "run", "study.toml", *where)
    ledger.path.write_bytes(content + b'{"configuration":{"torn')
    refused(monkeypatch, capsys, 3, "line 5 is torn, its writing was interrupted", "ledger", "verify", *where)
    assert Path("out/results.json").read_bytes() == b'{"earlier": true}'


def test_a_ledger_that_is_not_there_or_cannot_be_is_refused(place, device, monkeypatch, capsys):
    for verb in ("show", "verify"):
        refused(monkeypatch, capsys, 3, "no ledger at none.jsonl", "ledger", verb, "--ledger", "none.jsonl")
    refused(monkeypatch, capsys, 2, "must be a file that can be written", "run", "study.toml", "--ledger", "out")
    refused(monkeypatch, capsys, 2, "must be a file that can be written", "run", "study.toml", "--ledger", "bars.csv/x/ledger")
    refused(monkeypatch, capsys, 2, "exclude each other", "run", "study.toml", "--ledger", "a", "--no-ledger")
    refused(monkeypatch, capsys, 2, "which is a device", "run", "study.toml", "--ledger", str(device))
    assert not Path("none.jsonl").exists()
    for verb in ("show", "verify"):
        words = "must be a file that can be written, got out, which is a folder"
        refused(monkeypatch, capsys, 2, words, "ledger", verb, "--ledger", "out")
        Path("noise").write_bytes(np.random.default_rng(1).bytes(500))
        refused(monkeypatch, capsys, 3, "line 1 was changed or cut", "ledger", verb, "--ledger", "noise")


def test_results_are_saved_though_the_ledger_fails_in_the_end(place, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Ledger, "append", full)
    code, out, err = foreshock(monkeypatch, capsys, "run", "study.toml", "--ledger", "mine.jsonl", "--out", "b")
    assert code == 3
    assert "report: b" in out
    assert err == (
        "error: the results are saved, but writing the ledger mine.jsonl failed: No space left on device; fix this and run again\n"
    )
    results = json.loads(Path("b/results.json").read_text())
    assert (results["trials"]["ledger"], results["trials"]["n_trials"]) == (None, 8)
    assert len(list(Path("b").iterdir())) == 9

"""What once gave a wrong number in silence is refused, or read as what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.engine.out_of_sample.causality import difference
from foreshock.study.trials import describe
from tests.samples import samples

LABELLED = np.zeros(500, dtype=bool)
LABELLED[100:110] = LABELLED[300:305] = True
RANDOM = np.random.default_rng(0).normal(size=500)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.full(500, np.nan), "got NaN in 500 of 500; fill them in"),
        (np.where(np.arange(500) % 2, LABELLED, np.nan), "got NaN in 250 of 500"),
        (np.where(LABELLED, -1, 1), "got -1 in 15 of 500; -1 and 1 are predictions, of which -1 is the anomaly"),
        (LABELLED * 0.5, "got 0.5 in 15 of 500; compare them"),
        (LABELLED.astype(str), "labels must be"),
        (LABELLED * 2, "got 2 in 15 of 500"),
        (LABELLED.astype("M8[s]"), "labels must be"),
    ],
)
@pytest.mark.parametrize("measure", [fs.auc_pr, lambda scores, labels: fs.vus_pr(scores, labels, 10)])
def test_labels_that_are_not_yes_or_no_are_refused(measure, labels, said):
    with pytest.raises(fs.ForeshockError, match=said):
        measure(RANDOM, labels)


@pytest.mark.parametrize("kind", [bool, np.int8, np.float32, object])
def test_labels_of_yes_and_no_give_one_figure_whatever_their_type(kind):
    assert fs.auc_pr(RANDOM, LABELLED.astype(kind)) == fs.auc_pr(RANDOM, LABELLED)


@pytest.mark.parametrize(
    ("is_buy", "said"),
    [
        (np.array([-1, 1, -1, -1]), "is_buy must be True or False, or 1 and 0, got -1 in 3 of 4"),
        (np.full(4, np.nan), "got NaN in 4 of 4"),
        (np.array(["sell", "buy", "sell", "sell"]), "is_buy must be"),
        ([True, None, False, True], "is_buy must be"),
    ],
)
def test_sides_that_are_not_yes_or_no_are_refused(is_buy, said):
    ones = np.ones(4)
    with pytest.raises(fs.ForeshockError, match=said):
        fs.Trades(np.arange(4).astype("M8[s]"), ones, ones, ones, is_buy)


def test_sides_of_one_and_zero_are_read():
    ones = np.ones(3)
    assert fs.Trades(np.arange(3).astype("M8[s]"), ones, ones, ones, np.array([1.0, 0.0, 1.0])).is_buy.tolist() == [
        True,
        False,
        True,
    ]


def test_alerts_that_are_predictions_or_not_known_are_refused():
    signals = samples()["Signals"]
    with pytest.raises(fs.DataError, match=r"active must be .* pass prediction == -1"):
        replace(signals, active=signals.prediction)
    with pytest.raises(fs.DataError, match="decided must be True or False"):
        replace(signals, decided=np.full(signals.active.shape, np.nan))
    with pytest.raises(fs.DataError, match=r"active must be .* pass prediction == -1"):
        fs.match_events(np.where(signals.active, -1, 1), samples()["Events"])
    with pytest.raises(fs.DataError, match="threshold must have the shape"):
        replace(signals, threshold=signals.threshold[:5])
    with pytest.raises(fs.DataError, match="counted must be"):
        fs.detection_report(samples()["Scores"], signals, samples()["Events"], counted=np.full(signals.active.shape, -1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: replace(s, time=s.time + np.timedelta64(30, "m")), "signals must cover the rows of the scores, 600 from 2022"),
        (lambda s: replace(s, symbols=s.symbols[::-1]), "signals must have the symbols of the scores, BTC/USDT, ETH/USDT, got ETH"),
    ],
)
def test_a_report_takes_no_signals_of_other_rows_or_symbols(change, said):
    found = samples()
    events = fs.Events([0], [400], [405], found["Scores"].values.shape)
    with pytest.raises(fs.ConfigError, match=said):
        fs.detection_report(found["Scores"], change(found["Signals"]), events)


@pytest.mark.parametrize("name", ["Features", "Scores", "Signals"])
@pytest.mark.parametrize(
    ("times", "said"),
    [
        (lambda time: time[::-1], "time must rise from row to row, got 2022-01-25.* in row 1; sort the rows"),
        (lambda time: np.full_like(time, time[0]), "time must rise from row to row"),
        (lambda time: np.r_[time[:300], time[299:-1]], "time must rise .* in row 300"),
        (lambda time: np.r_[time[:-1], np.datetime64("NaT")], "time must be known in every row, got NaT in row 599"),
    ],
)
def test_rows_that_do_not_rise_in_time_are_refused(name, times, said):
    one = samples()[name]
    with pytest.raises(fs.DataError, match=said):
        replace(one, time=times(one.time))


@pytest.mark.parametrize("name", ["Features", "Scores", "Signals"])
@pytest.mark.parametrize("interval", [5, np.timedelta64(0, "s"), np.timedelta64(-1, "h"), np.timedelta64("NaT"), "1h"])
def test_a_row_has_a_length(name, interval):
    with pytest.raises(fs.ForeshockError, match="interval must"):
        replace(samples()[name], interval=interval)


def leak(bars):
    return np.broadcast_to(bars.close.mean(axis=0), bars.close.shape)


@pytest.mark.parametrize(
    "tolerance", [float("nan"), float("inf"), -1.0, True, {"computation": float("nan")}, {"computation": True}]
)
def test_a_tolerance_that_would_pass_any_leak_is_refused(tolerance):
    with pytest.raises(fs.ConfigError, match=r"tolerance.* must be"):
        fs.audit(leak, samples()["Bars"], 5, 100, tolerance=tolerance)


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        (lambda bars: {}, "compute must return at least one computation, got none"),
        (lambda bars: np.full(bars.shape, np.nan), "values that are known before a cut, got none of computation"),
        (lambda bars: {"a": bars.close, "b": np.full(bars.shape, np.nan)}, "got none of b "),
        (lambda bars: 3.0, "one row for each of the 600 bars, but computation gave one value"),
        (lambda bars: {"a" if len(bars) == 600 else "b": bars.close}, "compute must return a of every history, got b of"),
    ],
)
def test_an_audit_that_compares_nothing_is_refused(compute, said):
    with pytest.raises(fs.ConfigError, match=said):
        fs.audit(compute, samples()["Bars"], 5, 100)


def test_infinities_of_two_signs_differ():
    assert difference(np.array([np.inf, 1.0]), np.array([-np.inf, 1.0])) == np.inf
    assert difference(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])) == 0.0


@pytest.mark.parametrize("block", [0, -1, -(10**9), 1.5, True])
def test_a_block_has_at_least_one_bar(block):
    held = samples()["BacktestResult"]
    with pytest.raises(fs.ConfigError, match="block must be a whole number"):
        fs.paired_difference(held, held, block=block, n_bootstrap=99)


def test_lags_are_fewer_than_the_returns():
    with pytest.raises(fs.ConfigError, match="lags must be fewer than the 500 returns, got 1000000000000"):
        fs.probabilistic_sharpe(RANDOM, lags=10**12)


def test_a_detector_of_no_columns_is_refused():
    with pytest.raises(fs.ConfigError, match="columns must be at least one feature, got none"):
        fs.make_detector("zscore", columns=()).fit(samples()["Features"])


def test_a_study_refuses_a_seed_that_scikit_learn_refuses_after_the_work():
    with pytest.raises(fs.ConfigError, match="seed must be at most 4,294,967,295, got 4294967296"):
        fs.Study(samples()["Bars"], ["zscore"], seed=2**32)


@pytest.mark.parametrize(
    "entry",
    [
        {"configuration": [1]},
        {"data_hash": None},
        {"result": [1, 2]},
        {"kind": 0},
    ],
)
def test_a_ledger_takes_no_entry_that_it_cannot_show(entry, tmp_path):
    good = {"configuration": {}, "data_hash": "h", "result": {}}
    with pytest.raises(fs.ConfigError, match=f"{next(iter(entry))} must be"):
        fs.Ledger(tmp_path / "ledger.jsonl").append(**good | entry)


@pytest.mark.parametrize("result", [{"strategies": 5}, {"strategies": {"a": 1}}, {"strategies": {"a": {}}, "detectors": 3}])
def test_a_trial_of_another_program_is_shown_without_figures(result, tmp_path):
    assert "Sharpe" not in describe(fs.Ledger(tmp_path / "ledger.jsonl").append({}, "h", result))


def test_the_returns_of_a_series_in_reverse_are_refused():
    time = pd.DatetimeIndex(samples()["Bars"].time[1:])
    returns = pd.Series(samples()["Bars"].returns()[1:, 0], time)
    with pytest.raises(fs.ForeshockError, match="returns must be in order of time"):
        fs.risk_report(returns.iloc[::-1], interval="1h")

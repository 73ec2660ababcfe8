"""The pumps benchmark: what counts as caught and as false, the rule's known figures, and a detector that does better."""

import json

import numpy as np
import pandas as pd
import pytest

from foreshock.benchmarks import pump_forest
from foreshock.benchmarks.pump_alerts import ScoredEvent, best_within, cooled, curve, outcome, wilson
from foreshock.benchmarks.pump_events import PumpEvent, read_pumps
from foreshock.benchmarks.pumps import Setting, pumps_benchmark
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.trades.trades import Trades
from foreshock.data.trades.windows import trade_windows
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.features import Features
from foreshock.engine.features.windows import window_features
from foreshock.engine.scores import Scores, thin
from foreshock.engine.thresholds.quantiles import Fixed

SECOND = np.timedelta64(1_000_000, "us")


def event(alerts: list[float], days: float = 1.0) -> ScoredEvent:
    return ScoredEvent(np.array(alerts), np.ones(len(alerts)), days)


@pytest.mark.parametrize(
    ("alerts", "delay", "n_false"),
    [
        ([-120.0], -120.0, 0),
        ([60.0], 60.0, 0),
        ([-125.0], None, 1),
        ([65.0], None, 1),
        ([-5.0, 0.0, 30.0], -5.0, 0),
        # An early alert silences the half hour after it, the pump included.
        ([-1_000.0, 5.0], None, 1),
        ([-1_800.0, 0.0], 0.0, 1),
        ([5.0, 900.0, 1_804.0, 1_805.0], 5.0, 1),
        ([], None, 0),
    ],
)
def test_an_alert_is_caught_from_two_minutes_before_to_one_after_and_false_elsewhere(alerts, delay, n_false):
    found = outcome([event(alerts)], 0.5)
    assert found.n_false.tolist() == [n_false]
    assert found.delay.tolist() == [delay] if delay is not None else np.isnan(found.delay).all()
    assert found.caught == (delay is not None)


def test_rates_are_per_day_of_trades_and_delays_are_medians_over_caught_events():
    found = outcome([event([5.0], 2.0), event([-4_000.0, 20.0], 3.0), event([7_200.0], 5.0)], 0.5)
    assert found.recall == pytest.approx(2 / 3)
    assert found.false_per_day == pytest.approx(2 / 10)
    assert found.median_delay == 12.5
    row = found.row()
    assert row["precision"] == pytest.approx(0.5)
    assert row["f1"] == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert row["false_per_day_ci"][0] <= 0.2 <= row["false_per_day_ci"][1]
    json.dumps(row, allow_nan=False)


def test_nothing_alerted_leaves_precision_and_delay_unknown():
    row = outcome([event([])], 0.5).row()
    assert (row["recall"], row["precision"], row["f1"], row["median_delay_s"]) == (0.0, None, 0.0, None)
    json.dumps(row, allow_nan=False)


def test_the_interval_of_recall_is_wilsons():
    # Brown, Cai and DasGupta (2001): at 0 of n the upper end is z^2 / (n + z^2).
    assert wilson(0, 10) == pytest.approx([0.0, 3.841459 / 13.841459], abs=1e-6)
    assert wilson(28, 29) == pytest.approx([0.8282, 0.9939], abs=1e-4)


def test_the_cool_down_is_that_of_signals_on_a_grid():
    rng = np.random.default_rng(0)
    active = rng.random(5_000) < 0.01
    for step in (5, 15, 25):
        rows = np.flatnonzero(thin(active[:, None], 1_800 // step)[:, 0])
        np.testing.assert_array_equal(cooled(np.flatnonzero(active) * float(step)), rows * float(step))


def test_a_curve_holds_each_outcome_of_its_threshold_and_the_best_point_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(3)
    seconds = np.arange(-40_000.0, 40_000.0, 25.0)
    events = []
    for i in range(12):
        score = rng.exponential(1.0, len(seconds))
        score[np.abs(seconds - 10) < 13] += i
        score[:100] = np.nan
        events.append(ScoredEvent(seconds, score, 80_000 / 86_400))
    points = curve(events)
    thresholds = [threshold for threshold, _ in points]
    assert thresholds == sorted(thresholds, reverse=True)
    assert points[0][1].false_per_day < 0.1
    assert 3 < points[-1][1].false_per_day <= 5
    for threshold, found in points[::10]:
        again = outcome(events, threshold)
        assert (again.caught, again.n_false.sum()) == (found.caught, found.n_false.sum())
    best = best_within(points, 1.0)
    assert best is not None
    every = [outcome(events, t) for t in np.unique(np.concatenate([e.score[~np.isnan(e.score)] for e in events]))[-400:]]
    assert best[1].recall >= max(found.recall for found in every if found.false_per_day <= 1.0) - 1 / 12


def test_joint_tail_is_the_weakest_column_over_its_scale():
    x = np.array([[2.0, 9.0], [-1.0, 4.0], [np.nan, 1.0], [8.0, 2.0]])
    time = np.datetime64("2024-01-01", "us") + np.arange(4) * SECOND
    features = Features(time, ("A",), ("a", "b"), x[:, None, :], SECOND)
    detector = make_detector("joint_tail", columns=("b", "a"), scales=(3.0, 2.0)).fit(features)
    np.testing.assert_array_equal(detector.score(features).values[:, 0], [1.0, -0.5, np.nan, 2 / 3])


def test_joint_tail_learns_a_quantile_of_the_training_rows_of_each_symbol():
    rng = np.random.default_rng(8)
    x = np.abs(rng.normal(size=(400, 3, 2))) * np.array([1.0, 100.0, 0.0])[None, :, None]
    time = np.datetime64("2024-01-01", "us") + np.arange(400) * SECOND
    features = Features(time, ("A", "B", "C"), ("a", "b"), x, SECOND)
    detector = make_detector("joint_tail", columns=("a", "b"), q=0.9).fit(features.rows(slice(0, 300)))
    scores = detector.score(features).values
    expected = np.min(x[:, :2] / np.quantile(x[:300, :2], 0.9, axis=0), axis=2)
    np.testing.assert_allclose(scores[:, :2], expected, rtol=1e-12)
    assert np.isnan(scores[:, 2]).all(), "a column that never leaves zero has no tail"
    other = Features(time, ("A", "Z"), ("a", "b"), x[:, :2], SECOND)
    assert np.isnan(detector.score(other).values[:, 1]).all(), "no quantile was learned for Z"
    with pytest.raises(ConfigError, match="knows none of Z"):
        detector.score(Features(time, ("Z",), ("a", "b"), x[:, :1], SECOND))


@pytest.mark.parametrize(
    "params",
    [{"columns": ()}, {"q": 1.0}, {"scales": (1.0,)}, {"scales": (1.0, 0.0)}, {"columns": ("a", "nope")}],
)
def test_joint_tail_refuses_what_cannot_work(params):
    time = np.datetime64("2024-01-01", "us") + np.arange(4) * SECOND
    features = Features(time, ("A",), ("a", "b"), np.ones((4, 1, 2)), SECOND)
    with pytest.raises(ConfigError):
        make_detector("joint_tail", **({"columns": ("a", "b")} | params)).fit(features)


def pump_frame(name: str, announced: str, seed: int, crowd: bool) -> pd.DataFrame:
    """A thin market for 20 hours, then a rise of 30 %: by a crowd of buyers, or by one large order."""
    rng = np.random.default_rng(seed)
    at = int(pd.Timestamp(announced).value // 1_000_000)
    quiet = np.sort(rng.integers(at - 16 * 3_600_000, at + 4 * 3_600_000, 2_500))
    quiet = quiet[np.abs(quiet - at) > 120_000]
    calm = pd.DataFrame({"timestamp": quiet, "side": rng.choice(["buy", "sell"], len(quiet))})
    calm["price"] = 1e-5 * np.exp(rng.normal(0, 0.003, len(quiet)))
    calm["amount"] = rng.pareto(2.0, len(quiet)) + 1
    n = 400
    start = at + np.sort(rng.integers(2_000, 20_000, n // 4)) if crowd else np.full(n // 4, at + 4_000)
    pump = pd.DataFrame({"timestamp": np.repeat(start, 4), "side": "buy", "price": 1e-5 * np.linspace(1.0, 1.3, n), "amount": 20.0})
    return pd.concat([calm, pump]).sort_values("timestamp", kind="stable").assign(event_id=name)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pumps")
    starts = ["2021-02-01 17:00", "2021-02-10 17:00", "2021-02-20 17:00", "2021-03-01 17:00"]
    frames = [pump_frame(f"E{i}", start, i, crowd=i != 2) for i, start in enumerate(starts)]
    pd.concat(frames).to_parquet(folder / "trades.parquet")
    events = pd.DataFrame({"event_id": ["E3", "E0", "E1", "E2", "E9"], "max_up_11min": [0.3, 0.3, 0.3, 0.3, 0.01]})
    events["event"] = [starts[3], starts[0], starts[1], starts[2], "2021-04-01 17:00"]
    events.to_csv(folder / "events.csv", index=False)
    return folder


def test_planted_crowds_are_caught_and_one_large_order_is_not_a_crowd(planted):
    steps: list[str] = []
    result = pumps_benchmark(planted / "trades.parquet", planted / "events.csv", steps.append)
    json.dumps({**result, "labels": None}, allow_nan=False)
    labels = result["labels"].to_frame()
    assert labels["symbol"].tolist() == ["E0", "E1", "E2", "E3"]
    assert labels["start"].tolist()[0] == pd.Timestamp("2021-02-01 16:58")
    assert labels["stop"].tolist()[0] == pd.Timestamp("2021-02-01 17:01")
    rows = {(row["detector"], row["window_s"]): row for row in result["rows"] if not row["published"]}
    for seconds in (5, 15, 25):
        assert rows["joint_tail", seconds]["caught"] == 3
        assert rows["pump_rule", seconds]["caught"] == 4
        assert rows["joint_tail", seconds]["false_per_day"] == 0
        assert 0 < rows["joint_tail", seconds]["median_delay_s"] <= 30
        assert rows["random", seconds]["caught"] <= 1
    assert {row["window_s"] for row in result["rows"] if row["published"]} == {5, 15, 25}
    assert {point["detector"] for point in result["curves"]} == {name for name, _ in rows}
    assert "left out" in result["notes"][0]
    assert len(steps) > 20
    assert [pump.name for pump in read_pumps(planted / "trades.parquet", planted / "events.csv")] == ["E0", "E1", "E2", "E3"]


def test_what_is_missing_is_said(planted, tmp_path):
    good, table = planted / "trades.parquet", pd.read_csv(planted / "events.csv")
    with pytest.raises(ConfigError, match="pass --trades FILE and --events FILE"):
        pumps_benchmark(None, planted / "events.csv", print)
    with pytest.raises(DataError, match="no such file"):
        read_pumps(good, tmp_path / "none.csv")
    for frame, message in [
        (table.drop(columns="event"), "lacks the column event; got event_id, max_up_11min"),
        (table.assign(max_up_11min=0.0), r"no event with max_up_11min above 0\.1"),
        (table.assign(max_up_11min=1.0), "no trades of 1 events, the first E9"),
    ]:
        frame.to_csv(tmp_path / "events.csv", index=False)
        with pytest.raises(DataError, match=message):
            read_pumps(good, tmp_path / "events.csv")


@pytest.fixture(scope="module")
def real_pumps(shared_data):
    return read_pumps(shared_data / "pump_trades.parquet", shared_data / "pump_events.csv")


def score(pump: PumpEvent, trades: Trades, seconds: int, n_columns: int) -> Scores:
    setting = Setting()
    columns, scales = setting.columns(seconds)[:n_columns], (setting.jump, setting.burst, setting.rush)[:n_columns]
    features = window_features(trade_windows(trades, seconds), columns, pump.name)
    return make_detector("joint_tail", columns=columns, scales=scales).fit(features).score(features)


def scored(pump: PumpEvent, seconds: int, n_columns: int) -> ScoredEvent:
    scores = score(pump, pump.trades, seconds, n_columns)
    days = len(scores.time) * seconds / 86_400
    return ScoredEvent((scores.time - pump.announced + scores.interval) / SECOND, scores.values[:, 0], days)


def test_the_rule_has_its_known_figures_and_joint_tail_matches_its_recall_at_fewer_false_alerts(real_pumps):
    assert len(real_pumps) == 29
    rule = outcome([scored(pump, 5, 2) for pump in real_pumps], 1.0)
    assert rule.caught == 28
    assert round(rule.false_per_day, 2) == 0.15
    assert rule.median_delay == 5.0
    for seconds in (5, 15, 25):
        rule, ours = (outcome([scored(pump, seconds, n) for pump in real_pumps], 1.0) for n in (2, 3))
        assert ours.caught >= rule.caught >= 28
        assert ours.false_per_day < 0.6 * rule.false_per_day
        for half in (slice(0, None, 2), slice(1, None, 2)):
            assert ours.select(half).caught >= rule.select(half).caught
            assert ours.select(half).false_per_day < rule.select(half).false_per_day


def test_alerts_are_those_of_the_signals_of_the_engine(real_pumps):
    pump = next(pump for pump in real_pumps if pump.name == "POA_202003121900")
    signals = score(pump, pump.trades, 5, 2).signals(Fixed(1.0), cooldown="30m")
    event_ = scored(pump, 5, 2)
    np.testing.assert_array_equal(cooled(event_.seconds[event_.score > 1.0]), event_.seconds[signals.active[:, 0]])
    assert signals.active.sum() > 3


def test_later_trades_do_not_change_earlier_alerts_of_a_real_pump(real_pumps):
    pump = real_pumps[8]
    full = score(pump, pump.trades, 5, 3)
    near = int(np.searchsorted(pump.trades.time, pump.announced))
    for cut in (near - 3_000, near, near + 50, near + 400):
        part = score(pump, pump.trades.rows(slice(0, cut)), 5, 3)
        closed = int((part.time + part.interval <= pump.trades.time[cut]).sum())
        assert np.array_equal(part.values[:closed], full.values[:closed], equal_nan=True)


def test_the_forest_learns_from_earlier_events_only(real_pumps, shared_data, monkeypatch):
    seen = []

    class Spy:
        def __init__(self, **_):
            pass

        def fit(self, _x, y):
            seen.append((int(y.sum()), int((1 - y).sum())))
            return self

        def predict_proba(self, x):
            return np.zeros((len(x), 2))

    monkeypatch.setattr("sklearn.ensemble.RandomForestClassifier", Spy)
    (row,) = pump_forest.forest_rows(real_pumps, shared_data / "lamorgia_labelled_rows.csv", (25,), lambda _: None)
    published = pd.read_csv(shared_data / "lamorgia_labelled_rows.csv").query("freq == '25s'")
    dates = pd.to_datetime(published["date"], utc=True).dt.tz_convert(None)
    firsts = [real_pumps[i].announced - np.timedelta64(4, "D") for i in (7, 15, 22)]
    assert [n for n, _ in seen] == [int((dates < first).sum()) for first in firsts]
    assert seen[0][1] < seen[1][1] < seen[2][1]
    assert (row["n_events"], row["caught"], row["n_events_scored"]) == (22, 0, 16)

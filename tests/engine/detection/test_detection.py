"""Detection quality: against slow references written from the definitions, closed forms, and chance."""

import time

import numpy as np
import pandas as pd
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.simulate.market import simulate_market
from foreshock.engine.detection import METRICS, Events, auc_pr, detection_report, match_events, pooled_report, vus_pr
from foreshock.engine.detection.curves import Panel, Surroundings, VolumeSums
from foreshock.engine.detection.report import _weighted_median
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.statistics.proportions import wilson_of_draws

HOUR = np.timedelta64(3_600_000_000, "us")


def runs_of(labels: np.ndarray) -> list[tuple[int, int]]:
    """First and last row of every run of ones."""
    runs, start = [], None
    for i, label in enumerate([*labels, 0]):
        if label and start is None:
            start = i
        if not label and start is not None:
            runs.append((start, i - 1))
            start = None
    return runs


def slow_vus_pr(scores: np.ndarray, labels: np.ndarray, window: int) -> float:
    """Volume under the PR surface, one buffer, threshold and row at a time, from Paparrizos et al. (2022)."""
    n, events = len(scores), runs_of(labels)
    ranked = sorted(scores, reverse=True)
    thresholds = [ranked[int(position)] for position in np.linspace(0, n - 1, 250)]
    areas = []
    for buffer in range(window + 1):
        reach = buffer // 2
        soft = [0.0] * n
        for row in range(n):
            for first, last in events:
                if first <= row <= last:
                    soft[row] += 1.0
                elif first - reach <= row <= last + reach:
                    distance = first - row if row < first else row - last
                    soft[row] += np.sqrt(1 - distance / buffer)
            soft[row] = min(soft[row], 1.0)
        joined: list[list[int]] = []
        for first, last in events:
            if joined and joined[-1][1] >= first - reach:
                joined[-1][1] = last + reach
            else:
                joined.append([first - reach, last + reach])
        area = before = 0.0
        for threshold in thresholds:
            alerted = [row for row in range(n) if scores[row] >= threshold]
            hits = sum(soft[row] for row in alerted)
            outside = sum(soft[row] for row in alerted if not labels[row])
            found = sum(any(first <= row <= last for row in alerted) for first, last in joined)
            recall = min(hits / (sum(labels) + outside / 2), 1.0) * found / len(joined)
            area += (recall - before) * hits / len(alerted)
            before = recall
        areas.append(area)
    return float(np.mean(areas))


CASES = {
    "one short event": ([(30, 31)], 60, 8),
    "events that join, and one with two neighbours": ([(20, 22), (27, 28), (31, 40), (70, 71)], 120, 21),
    "events at both ends": ([(0, 3), (55, 60)], 60, 12),
    "more rows than thresholds": ([(40, 60), (200, 201), (320, 380)], 420, 15),
    "a window as long as the series": ([(10, 12), (30, 31)], 40, 39),
    "no buffer": ([(5, 9), (15, 16)], 30, 0),
}


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("ties", [False, True])
def test_vus_pr_equals_a_slow_reference_written_from_the_paper(case, ties):
    spans, n, window = CASES[case]
    labels = np.zeros(n, dtype=int)
    for start, stop in spans:
        labels[start:stop] = 1
    scores = np.random.default_rng(3).normal(size=n) + labels
    scores = np.round(scores) if ties else scores
    assert vus_pr(scores, labels, window) == pytest.approx(slow_vus_pr(scores, labels, window), abs=1e-12)


def test_vus_pr_equals_the_slow_reference_on_random_labels():
    rng = np.random.default_rng(0)
    for _ in range(30):
        n, window = int(rng.integers(20, 80)), int(rng.integers(0, 30))
        labels = (rng.random(n) < rng.uniform(0.05, 0.6)).astype(int)
        labels[rng.integers(n)] = 1
        scores = rng.integers(0, 20, n).astype(float)
        assert vus_pr(scores, labels, window) == pytest.approx(slow_vus_pr(scores, labels, window), abs=1e-9)


@pytest.mark.real_data
def test_vus_pr_and_auc_pr_give_the_published_figures_of_the_first_nab_series(shared_data):
    table = pd.read_csv(shared_data / "nab" / "001_NAB_id_1_Facility_tr_1007_1st_2014.csv")
    value, labels = table["Data"].to_numpy(), table["Label"].to_numpy()
    scores = np.abs(value - value.mean())
    assert round(vus_pr(scores, labels, 10), 5) == 0.13707
    assert round(vus_pr(scores, labels, 100), 5) == 0.16366
    assert round(auc_pr(scores, labels), 5) == 0.13774


def test_vus_pr_of_twenty_thousand_rows_takes_a_fraction_of_a_second():
    rng = np.random.default_rng(0)
    scores, labels = rng.random(20_000), np.zeros(20_000, dtype=int)
    for start in rng.integers(0, 19_900, 20):
        labels[start : start + 50] = 1
    vus_pr(scores[:100], np.arange(100) < 5, 4)
    began = time.perf_counter()
    vus_pr(scores, labels, 100)
    assert time.perf_counter() - began < 0.5


def test_auc_pr_is_average_precision_with_and_without_ties():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(1)
    for decimals in (0, 1, 8):
        scores, labels = np.round(rng.normal(size=500), decimals), rng.random(500) < 0.1
        assert auc_pr(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_symbols_are_pooled_and_buffers_end_at_the_symbol():
    rng = np.random.default_rng(2)
    window, labels = 14, rng.random((60, 3)) < 0.15
    scores = rng.normal(size=labels.shape) + labels
    # The symbols one after the other, with a gap without scores that no buffer crosses.
    gap = np.full((window, 3), np.nan)
    flat_scores, flat_labels = np.vstack([scores, gap]).T.ravel(), np.vstack([labels, np.isnan(gap) & False]).T.ravel()
    assert vus_pr(scores, labels, window) == pytest.approx(vus_pr(flat_scores, flat_labels, window), abs=1e-12)
    assert auc_pr(scores, labels) == auc_pr(flat_scores, flat_labels)
    assert vus_pr(scores, labels, window) != pytest.approx(vus_pr(scores.T.ravel(), labels.T.ravel(), window), abs=1e-6)


def test_rows_without_a_score_are_left_out():
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=300), np.arange(300) % 50 < 5
    longer = np.append(scores, np.full(40, np.nan))
    padded = np.append(labels, np.zeros(40, dtype=bool))
    assert auc_pr(longer, padded) == auc_pr(scores, labels)
    assert vus_pr(longer, padded, 6) == pytest.approx(vus_pr(scores, labels, 6), abs=1e-12)
    # The gap between the runs is a gap, not a seam.
    holed = np.where(np.arange(300) == 52, np.nan, scores)
    assert auc_pr(holed, labels) == auc_pr(np.delete(scores, 52), np.delete(labels, 52))


def test_a_perfect_score_has_auc_pr_one_and_an_inverted_one_almost_none():
    labels = np.arange(1000) % 100 < 10
    assert auc_pr(labels.astype(float), labels) == 1.0
    assert vus_pr(labels.astype(float), labels, 0) == 1.0
    assert vus_pr(-labels.astype(float), labels, 0) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.ones(5), np.zeros(5), "no scored row is labelled"),
        (np.ones(5), np.ones(4), "one shape"),
        (np.full(3, np.nan), np.ones(3), "no scored row is labelled"),
        (np.where(np.arange(4) == 2, np.nan, 1.0), np.arange(4) == 2, "no scored row is labelled"),
    ],
)
def test_scores_and_labels_that_cannot_be_compared_are_refused(scores, labels, message):
    for measure in (auc_pr, lambda s, y: vus_pr(s, y, 2)):
        with pytest.raises(DataError, match=message):
            measure(scores, labels)


def test_a_negative_window_is_refused():
    with pytest.raises(ConfigError, match="at least 0, got -1"):
        vus_pr(np.ones(3), np.array([0, 1, 0]), -1)


def slow_match(active: np.ndarray, events: Events, early: int, cooldown: int):
    """Event by event and row by row."""
    inside, rows = np.zeros_like(active), []
    for col, start, stop in zip(events.col, events.start, events.stop, strict=True):
        window = [row for row in range(max(start - early, 0), stop)]
        inside[window, col] = True
        rows.append(next((row for row in window if active[row, col]), -1))
    false = np.zeros_like(active)
    for col in range(active.shape[1]):
        last = -cooldown
        for row in np.flatnonzero(active[:, col] & ~inside[:, col]):
            if row - last >= cooldown:
                false[row, col], last = True, row
    return rows, false


@pytest.mark.parametrize(("early", "cooldown"), [(0, 1), (3, 1), (0, 10), (5, 24)])
def test_matching_equals_a_slow_reference(early, cooldown):
    rng = np.random.default_rng(early + cooldown)
    active = rng.random((400, 3)) < 0.05
    start = np.array([2, 60, 130, 300, 10, 200, 390])
    events = Events(np.array([0, 0, 1, 1, 2, 2, 2]), start, start + np.array([5, 1, 40, 20, 3, 60, 10]), active.shape)
    found = match_events(active, events, early=early, cooldown=cooldown)
    rows, false = slow_match(active, events, early, cooldown)
    assert list(found.alert_row) == rows
    assert np.array_equal(found.false_alarms, false)


def test_an_alert_counts_once_from_the_early_rows_to_the_last_row_of_the_event():
    def caught(row: int) -> tuple[list[float], int]:
        active = np.zeros((100, 1), dtype=bool)
        active[row] = True
        found = match_events(active, Events(np.array([0]), np.array([50]), np.array([60]), (100, 1)), early=5)
        return found.delay_rows[found.caught].tolist(), int(found.false_alarms.sum())

    assert caught(44) == ([], 1)
    # Known at the close of row 45, four rows before the event opens.
    assert caught(45) == ([-4.0], 0)
    assert caught(50) == ([1.0], 0)
    assert caught(59) == ([10.0], 0)
    assert caught(60) == ([], 1)


def test_a_false_alarm_just_before_an_event_does_not_silence_the_alert_within_it():
    active = np.zeros((100, 1), dtype=bool)
    active[[49, 52]] = True
    found = match_events(active, Events(np.array([0]), np.array([50]), np.array([60]), (100, 1)), cooldown=24)
    assert found.alert_row.tolist() == [52]
    assert np.flatnonzero(found.false_alarms).tolist() == [49]


def test_events_from_times_are_the_rows_open_at_some_moment_of_them():
    time_ = np.datetime64("2024-01-01", "us") + np.arange(48) * HOUR
    frame = pd.DataFrame(
        {
            "symbol": ["B", "A", "A", "A"],
            "start": pd.to_datetime(["2024-01-01 05:30", "2024-01-01 03:00", "2024-01-01 20:10", "2023-12-01 00:00"]),
            "stop": pd.to_datetime(["2024-01-01 07:00", "2024-01-01 05:00", "2024-01-01 20:20", "2023-12-02 00:00"]),
        }
    )
    events = Events.from_frame(frame, time_, ("A", "B"), HOUR)
    assert list(zip(events.col.tolist(), events.start.tolist(), events.stop.tolist(), strict=True)) == [
        (0, 3, 5),
        (0, 20, 21),
        (1, 5, 7),
    ]


def test_events_of_the_simulated_market_fall_on_their_own_rows():
    market = simulate_market(seed=5, n_symbols=3, n_bars=4_000)
    truth = market.events
    frame = pd.DataFrame({"symbol": truth["symbol"], "start": truth["signature_time"], "stop": truth["stop"]})
    events = Events.from_frame(frame, market.bars.time, market.bars.symbols, market.bars.interval)
    expected = sorted(
        zip([market.bars.symbols.index(s) for s in truth["symbol"]], truth["signature_row"], truth["stop_row"], strict=True)
    )
    assert list(zip(events.col, events.start, events.stop, strict=True)) == expected


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"symbol": ["Z"], "start": ["2024-01-01"], "stop": ["2024-01-02"]}, "events name Z"),
        ({"symbol": ["A"], "start": ["2024-01-02"], "stop": ["2024-01-02"]}, "stop after it starts"),
        ({"symbol": ["A"], "start": ["2024-01-02"]}, "columns symbol, start and stop"),
    ],
)
def test_events_that_cannot_be_placed_are_refused(frame, message):
    time_ = np.datetime64("2024-01-01", "us") + np.arange(48) * HOUR
    with pytest.raises(DataError, match=message):
        Events.from_frame(pd.DataFrame(frame), time_, ("A", "B"), HOUR)
    with pytest.raises(DataError, match="at least one row, got rows 5 to 5"):
        Events(np.array([0]), np.array([5]), np.array([5]), (10, 1))


def panel_of(values: np.ndarray, active: np.ndarray) -> tuple[Scores, Signals]:
    time_ = np.datetime64("2024-01-01", "us") + np.arange(len(values)) * HOUR
    symbols = tuple("ABCDEFGH"[: values.shape[1]])
    known = np.ones(values.shape, dtype=bool)
    return Scores(time_, symbols, values, HOUR), Signals(time_, symbols, active, np.zeros(values.shape), known, HOUR)


def spread_events(length: int, n_rows: int, n_symbols: int, per_symbol: int, rng: np.random.Generator) -> Events:
    slot = n_rows // per_symbol
    start = np.concatenate(
        [np.arange(per_symbol) * slot + rng.integers(0, slot - length - 1, per_symbol) for _ in range(n_symbols)]
    )
    return Events(np.repeat(np.arange(n_symbols), per_symbol), start, start + length, (n_rows, n_symbols))


RATE = 0.02


@pytest.fixture(scope="module")
def random_reports():
    """Reports on uniform scores that know nothing, by event length."""
    found = {}
    for length in (1, 5, 20, 50, 200):
        found[length] = []
        for seed in range(12):
            rng = np.random.default_rng([length, seed])
            values = rng.random((3_000, 4))
            events = spread_events(length, 3_000, 4, 10, rng)
            found[length].append(
                detection_report(*panel_of(values, values > 1 - RATE), events, window=10, n_draws=199, n_shifts=49, seed=seed)
            )
    return found


@pytest.mark.parametrize("name", METRICS)
def test_the_lift_of_a_random_score_is_one_within_its_interval_at_every_event_length(random_reports, name):
    for length, reports in random_reports.items():
        lifts = np.array([report.metrics[name].lift for report in reports])
        known = lifts[~np.isnan(lifts).any(axis=1)]
        assert len(known) == len(lifts) or name == "median_delay_s", (name, length)
        inside = (known[:, 1] <= 1) & (known[:, 2] >= 1)
        # Of twelve intervals of 95 %, three or more miss in 2 % of cases.
        assert inside.sum() >= len(known) - 2, (name, length, known)


def test_chance_by_shifting_is_what_the_closed_forms_say(random_reports):
    n = 3_000 * 4
    for length, reports in random_reports.items():
        by_chance = {name: np.mean([report.metrics[name].chance for report in reports]) for name in METRICS}
        positives = 40 * length
        recall = 1 - (1 - RATE) ** length
        # Mean over uniform rankings: the k-th place has precision (1 + (k - 1) (P - 1) / (n - 1)) / k if it is labelled.
        harmonic = np.log(n) + np.euler_gamma
        precision = (harmonic + (n - harmonic) * (positives - 1) / (n - 1)) / n
        assert by_chance["recall"] == pytest.approx(recall, rel=0.1), length
        assert by_chance["false_per_day"] == pytest.approx(RATE * 24 * (1 - positives / n), rel=0.05), length
        assert by_chance["auc_pr"] == pytest.approx(precision, rel=0.05), length
    # The first alert of a long event waits 1 / rate rows on average, which for a geometric wait is a median of log 2 / rate.
    delay = np.mean([report.metrics["median_delay_s"].chance for report in random_reports[200]])
    assert delay == pytest.approx(3_600 * np.log(2) / RATE, rel=0.15)


def test_a_random_score_reaches_ninety_seven_percent_under_point_adjustment_which_is_why_it_is_not_offered(random_reports):
    rng = np.random.default_rng(0)
    labels = np.zeros(20_000, dtype=bool)
    for start in range(500, 20_000, 4_000):
        labels[start : start + 1_000] = True
    scores = rng.random(len(labels))
    best = 0.0
    for quantile in (0.98, 0.99, 0.995, 0.998):
        adjusted = scores > quantile
        for first, last in runs_of(labels):
            adjusted[first : last + 1] = adjusted[first : last + 1].any()
        best = max(best, 2 * (adjusted & labels).sum() / (adjusted.sum() + labels.sum()))
    assert best > 0.97
    assert vus_pr(scores, labels, 10) == pytest.approx(labels.mean(), abs=0.02)


def test_a_detector_that_knows_the_truth_has_the_best_value_of_every_metric():
    events = spread_events(12, 3_000, 3, 8, np.random.default_rng(0))
    labels = events.labels()
    row = detection_report(*panel_of(labels + 0.0, labels), events, window=0).row()
    assert (row["recall"], row["precision"], row["f1"], row["false_per_day"]) == (1.0, 1.0, 1.0, 0.0)
    assert (row["auc_pr"], row["vus_pr"], row["median_delay_s"]) == (1.0, 1.0, 3_600.0)
    # All 24 caught says that recall is high, not that it is 1; no false alarm in 375 days that they are rare, not absent.
    assert row["recall_ci"] == pytest.approx([24 / (24 + 1.96**2), 1.0], abs=1e-4)
    assert row["false_per_day_ci"] == pytest.approx([0.0, np.log(40) / 375], rel=1e-9)
    assert row["auc_pr_lift"] > 5


def test_counts_delays_and_rates_are_those_that_were_planted():
    events = Events(np.array([0, 0, 1]), np.array([100, 300, 200]), np.array([120, 320, 220]), (1_000, 2))
    active = np.zeros((1_000, 2), dtype=bool)
    active[[104, 105, 500, 505, 600], 0] = True
    active[[198, 700], 1] = True
    report = detection_report(*panel_of(active + 0.0, active), events, early=3, cooldown=24)
    row = report.row()
    # 505 falls into the cool-down of 500.
    assert (report.n_events, report.n_caught, report.n_false) == (3, 2, 3)
    assert row["recall"] == pytest.approx(2 / 3)
    assert row["precision"] == pytest.approx(2 / 5)
    assert row["f1"] == pytest.approx(2 / (3 / 2 + 5 / 2))
    assert row["false_per_day"] == pytest.approx(3 / (2_000 / 24))
    assert row["median_delay_s"] == pytest.approx(3_600 * (5 + -1) / 2)
    assert np.isnan(row["median_delay_s_ci"]).all()


def test_rows_that_do_not_count_are_neither_hits_nor_false_nor_time():
    rng = np.random.default_rng(4)
    values = rng.random((1_000, 2))
    active = values > 0.97
    events = Events(np.array([0, 1, 1]), np.array([300, 50, 600]), np.array([320, 80, 640]), values.shape)
    counted = np.zeros(values.shape, dtype=bool)
    counted[70:] = True
    counted[450:500, 0] = False
    report = detection_report(*panel_of(values, active), events, counted=counted)
    # The event that began at row 50 takes its rows 70 to 79 along.
    outside = counted & ~events.labels()
    assert report.n_events == 2
    assert report.n_false == (active & outside).sum()
    # Rows of the event that began too early are left out.
    assert report.days == pytest.approx((counted.sum() - 10) / 24)
    kept = np.where(outside | (counted & events.take(np.array([0, 2])).labels()), values, np.nan)
    assert report.metrics["auc_pr"].value == pytest.approx(auc_pr(kept, events.labels()), abs=1e-12)


def test_a_counted_row_without_a_score_ranks_last():
    values = np.arange(200.0)[:, None]
    values[50] = np.nan
    events = Events(np.array([0, 0]), np.array([50, 150]), np.array([51, 151]), (200, 1))
    counted = np.ones(values.shape, dtype=bool)
    report = detection_report(*panel_of(values, np.zeros(values.shape, dtype=bool)), events, counted=counted)
    assert report.n_events == 2
    assert report.metrics["auc_pr"].value == pytest.approx((1 / 50 + 2 / 200) / 2)
    assert detection_report(*panel_of(values, np.zeros(values.shape, dtype=bool)), events).n_events == 1


def test_without_alerts_recall_is_zero_and_precision_is_not_known():
    values = np.random.default_rng(0).random((500, 1))
    events = Events(np.array([0, 0]), np.array([100, 300]), np.array([110, 310]), values.shape)
    row = detection_report(*panel_of(values, np.zeros(values.shape, dtype=bool)), events).row()
    assert (row["recall"], row["f1"], row["false_per_day"]) == (0.0, 0.0, 0.0)
    assert np.isnan(row["precision"])
    assert np.isnan(row["median_delay_s"])
    assert np.isnan(row["recall_lift"])


def test_events_outside_the_scored_rows_are_an_error():
    values = np.full((100, 1), np.nan)
    values[50:] = 1.0
    with pytest.raises(DataError, match="no event starts in a row that counts"):
        detection_report(*panel_of(values, values > 2), Events(np.array([0]), np.array([10]), np.array([20]), values.shape))


def test_draws_of_units_equal_the_measure_on_repeated_rows():
    rng = np.random.default_rng(7)
    values = np.round(rng.random((240, 2)), 2)
    labels = np.zeros(values.shape, dtype=bool)
    labels[30:34, 0] = labels[100:102, 1] = labels[200:210, 0] = True
    unit = np.repeat((np.arange(240) // 60)[:, None], 2, axis=1)
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 3, 0, 1], [0, 0, 4, 0]])
    panel = Panel.of(values, labels)
    found = panel.average_precision_draws(unit, weights)
    for draw, weight in zip(found[:3], weights, strict=False):
        times = weight[unit].astype(int).ravel()
        assert draw == pytest.approx(auc_pr(np.repeat(values.ravel(), times), np.repeat(labels.ravel(), times)), abs=1e-12)
    assert np.isnan(found[3])
    sums = VolumeSums.of(panel, Surroundings.of(labels, 8), unit, 4, panel.alerted(unit, 4))
    drawn = sums.draws(weights)
    assert drawn[0] == pytest.approx(vus_pr(values, labels, 8), abs=1e-12)
    assert np.isnan(drawn[3])
    # A unit twice is as the same unit, and its events, beside itself, at the same thresholds.
    twice = VolumeSums.of(panel, Surroundings.of(labels, 8), unit, 4, panel.alerted(unit, 4)).draws(2 * weights)
    assert twice[:3] == pytest.approx(drawn[:3], abs=1e-12)


def test_the_weighted_median_is_the_median_of_repeated_values():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, weights = rng.normal(size=7), rng.integers(0, 4, (1, 7)).astype(float)
        expected = np.median(np.repeat(values, weights[0].astype(int))) if weights.any() else np.nan
        assert _weighted_median(values, weights)[0] == pytest.approx(expected, nan_ok=True)


def test_the_wilson_interval_is_that_of_statsmodels_and_widens_with_the_design_effect():
    from statsmodels.stats.proportion import proportion_confint

    for caught, n in ((0, 12), (3, 12), (12, 12)):
        assert wilson_of_draws(caught / n, n, np.array([caught / n])) == pytest.approx(
            proportion_confint(caught, n, method="wilson"), abs=1e-12
        )
    # Draws with four times the binomial variance are worth a quarter of the events.
    draws = 0.25 + np.sqrt(4 * 0.25 * 0.75 / 40) * np.array([-1.0, 1.0])
    assert wilson_of_draws(0.25, 40, draws) == pytest.approx(proportion_confint(2.5, 10, method="wilson"), abs=1e-12)


def test_events_that_come_together_widen_the_interval():
    rng = np.random.default_rng(0)
    values = rng.random((4_000, 4))
    start = np.sort(rng.choice(np.arange(20, 3_900, 40), 24, replace=False))
    events = Events(np.repeat(np.arange(4), 24), np.tile(start, 4), np.tile(start, 4) + 10, values.shape)
    # Either all symbols catch an event or none does: 24 independent cases, not 96.
    together = np.zeros(values.shape, dtype=bool)
    together[rng.permutation(start)[:12]] = True
    alone = np.zeros(values.shape, dtype=bool)
    for col in range(4):
        alone[rng.permutation(start)[:12], col] = True
    wide, narrow = (detection_report(*panel_of(values, active), events).metrics["recall"] for active in (together, alone))
    assert wide.value == narrow.value == 0.5
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_same_seed_gives_the_same_report_and_another_only_other_intervals():
    values = np.random.default_rng(0).random((800, 2))
    events = spread_events(10, 800, 2, 8, np.random.default_rng(1))
    one, same, other = (detection_report(*panel_of(values, values > 0.97), events, seed=seed).row() for seed in (0, 0, 1))
    np.testing.assert_equal(one, same)
    assert one["auc_pr"] == other["auc_pr"]
    assert one["auc_pr_ci"] != other["auc_pr_ci"]


def test_a_pooled_report_adds_events_and_averages_curves(random_reports):
    reports = random_reports[20][:4]
    pooled = pooled_report(reports)
    assert pooled.n_events == sum(report.n_events for report in reports)
    assert pooled.metrics["recall"].value == pytest.approx(sum(r.n_caught for r in reports) / sum(r.n_events for r in reports))
    assert pooled.metrics["vus_pr"].value == pytest.approx(np.mean([r.metrics["vus_pr"].value for r in reports]))
    assert pooled.metrics["recall"].chance == pytest.approx(np.mean([r.metrics["recall"].chance for r in reports]), rel=1e-9)
    delays = np.concatenate([report.tally.delay_s for report in reports])
    assert pooled.metrics["median_delay_s"].value == np.median(delays)

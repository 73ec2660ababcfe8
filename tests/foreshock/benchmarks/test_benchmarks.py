"""The labelled benchmarks: what they print, what they write, and that their figures are those of the measures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import foreshock as fs
from foreshock.benchmarks import common, nab, planted
from foreshock.cli import root as cli
from foreshock.data.errors import DataError
from foreshock.data.simulate.market import simulate_market
from foreshock.detectors.registry import detectors, neural_detectors
from foreshock.engine.detection import METRICS, Events, auc_pr, vus_pr
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from tests.sentences import refused

FAST = ["mad", "pca", "random", "volatility_only"]
# Of the networks one: what the benchmark does with another is the same, and training it takes seconds.
ONE_NETWORK = [name for name in detectors() if name not in neural_detectors() or name == "autoencoder"]


@pytest.fixture(scope="module")
def small_market():
    """The planted benchmark on two symbols and a year."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planted, "detectors", lambda: [*FAST, "pyod:IForest"])
        steps = []
        found = planted.planted_benchmark(seed=3, on_step=steps.append, n_symbols=3, n_bars=11_000)
        assert len(steps) == 2 * len(planted.planted_names())
    return found


def saved(name: str, result: dict, folder: Path) -> dict:
    path = common.save_benchmark(name, result, folder)
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_planted_rows_have_every_metric_with_its_interval_and_chance(small_market, tmp_path):
    content = saved("planted", small_market, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmark.json", "labels.csv"]
    assert content["benchmark"] == "planted"
    assert {row["detector"] for row in content["rows"]} == set(FAST)
    assert {row["kind"] for row in content["rows"]} == {"all", *planted.KINDS, "foreshock before onset"}
    for row in content["rows"]:
        assert row["published"] is False
        for name in METRICS:
            low, high = row[f"{name}_ci"]
            if row[name] is None or low is None:
                continue
            assert low <= row[name] <= high, (row["detector"], name)
            assert (
                row[f"{name}_chance"] is None
                or row[f"{name}_lift"] is None
                or row[f"{name}_lift"] == pytest.approx(row[name] / row[f"{name}_chance"])
            )


def test_the_planted_events_are_labels_that_a_study_can_take(small_market, tmp_path):
    content = saved("planted", small_market, tmp_path)
    assert content["labels"] == "labels.csv"
    labels = fs.read_labels(tmp_path / "labels.csv")
    market = simulate_market(seed=3, n_symbols=3, n_bars=11_000)
    pd.testing.assert_frame_equal(labels.to_frame(), market.labels.to_frame())
    # They are the events that the benchmark counts, and the decoys, which are none.
    true = labels.to_frame().query("disposition == 'true'")
    events = Events.from_frame(true, market.bars.time, market.bars.symbols, market.bars.interval)
    _, expected, _ = next(planted.event_groups(market.events, ohlcv_features(market.bars)))
    np.testing.assert_array_equal(events.labels(), expected.labels())
    assert labels.kinds.count("decoy") == labels.dispositions.count("false") > 0


def vus_rows(**bounds: tuple[float, float, float]) -> list[dict]:
    """Rows of all events, and of one kind that says the contrary."""
    rows = []
    for name, (low, value, high) in bounds.items():
        rows.append({"detector": name, "kind": "all", "size": "all", "vus_pr": value, "vus_pr_ci": [low, high]})
        rows.append({"detector": name, "kind": "pump", "size": "all", "vus_pr": 1 - value, "vus_pr_ci": [1 - high, 1 - low]})
    return rows


def test_the_note_names_the_networks_not_told_from_chance_and_what_the_best_does_not_beat():
    rows = vus_rows(
        pca=(0.2, 0.3, 0.4),
        autoencoder=(0.05, 0.2, 0.3),
        vae=(0.06, 0.1, 0.2),
        anogan=(float("nan"), 0.15, float("nan")),
        random=(0.03, 0.04, 0.05),
        volatility_only=(0.01, 0.02, 0.045),
    )
    apart, pca, volatility = planted.network_notes(rows)
    assert "not told from random" in apart
    assert "touch: autoencoder (0.200 [0.050, 0.300]), anogan (" in apart
    assert "vae" not in apart
    assert "(1 of 3 networks are apart)" in apart
    assert "autoencoder (0.200 [0.050, 0.300]), does not beat pca (0.300 [0.200, 0.400]); the intervals are not apart" in pca
    assert "autoencoder (0.200 [0.050, 0.300]), beats volatility_only (0.020 [0.010, 0.045]); the intervals are apart" in volatility


def test_the_note_says_so_where_every_network_is_apart_and_nothing_without_networks():
    rows = vus_rows(vae=(0.06, 0.1, 0.2), beta_vae=(0.07, 0.1, 0.2), random=(0.03, 0.04, 0.05), zscore=(0.5, 0.6, 0.7))
    (apart,) = planted.network_notes(rows)
    assert apart.startswith("the VUS-PR of every network on all events is apart from that of random (0.040 [0.030, 0.050])")
    assert planted.network_notes(vus_rows(pca=(0.2, 0.3, 0.4), random=(0.03, 0.04, 0.05))) == []


def test_planted_events_are_all_counted_once_and_kinds_add_up(small_market):
    rows = {(row["detector"], row["kind"], row["size"]): row for row in small_market["rows"]}
    market = simulate_market(seed=3, n_symbols=3, n_bars=11_000)
    first = np.searchsorted(market.bars.time, np.datetime64(small_market["settings"]["counted_from"]))
    truth = market.events[(market.events["signature_row"] >= first) & (market.events["kind"] != "decoy")]
    for name in FAST:
        assert rows[name, "all", "all"]["n_events"] == len(truth)
        for kind in planted.KINDS:
            assert rows[name, kind, "all"]["n_events"] == (truth["kind"] == kind).sum()
        caught = [rows[name, kind, "all"]["n_caught"] for kind in planted.KINDS]
        assert rows[name, "all", "all"]["n_caught"] == sum(caught)
        # A false alarm is one for every kind; only what the cool-down starts from differs.
        assert rows[name, "pump", "all"]["n_false"] == pytest.approx(rows[name, "all", "all"]["n_false"], rel=0.03)


def random_scores(features):
    """The baseline on the blocks of the benchmark, which purges the longest lookback of all its detectors."""
    purge = max(planted.make_detector(name).lookback for name in FAST)
    detector = planted.make_detector("random")
    return walk_forward(detector, features, planted.SPLITS, label_bars=purge - detector.lookback)


def test_planted_curves_are_those_of_the_public_measures_on_the_counted_rows(small_market):
    market = simulate_market(seed=3, n_symbols=3, n_bars=11_000)
    features = ohlcv_features(market.bars)
    first = int(np.searchsorted(market.bars.time, np.datetime64(small_market["settings"]["counted_from"])))
    scores = random_scores(features).values.copy()
    labels = np.zeros(scores.shape, dtype=bool)
    for _, event in market.events[market.events["kind"] != "decoy"].iterrows():
        col = market.bars.symbols.index(event["symbol"])
        labels[event["signature_row"] : event["stop_row"], col] = True
        if event["signature_row"] < first:
            scores[event["signature_row"] : event["stop_row"], col] = np.nan
            labels[event["signature_row"] : event["stop_row"], col] = False
    scores[:first] = np.nan
    (row,) = [r for r in small_market["rows"] if (r["detector"], r["kind"]) == ("random", "all")]
    assert row["auc_pr"] == pytest.approx(auc_pr(scores, labels), rel=1e-12)
    assert row["vus_pr"] == pytest.approx(vus_pr(scores, labels, planted.WINDOW), rel=1e-9)


def test_random_is_at_chance_on_planted_events_and_pca_is_above(small_market):
    rows = {row["detector"]: row for row in small_market["rows"] if row["kind"] == "all"}
    for name in ("recall", "auc_pr", "vus_pr", "false_per_day"):
        low, high = rows["random"][f"{name}_lift_ci"]
        assert low <= 1 <= high, name
        assert name == "false_per_day" or rows["pca"][f"{name}_lift_ci"][0] > 1, name


def test_event_groups_leave_out_the_rows_of_other_events_only():
    market = simulate_market(seed=3, n_symbols=3, n_bars=11_000)
    features = ohlcv_features(market.bars)
    groups = {(keys["kind"], keys["size"]): (events, left) for keys, events, left in planted.event_groups(market.events, features)}
    everything = groups["all", "all"][0].labels()
    for events, left_out in groups.values():
        assert np.array_equal(events.labels() | left_out, everything)
        assert not (events.labels() & left_out).any()
    pumps = market.events[market.events["kind"] == "pump"]
    assert sorted(groups["pump", "large"][0].start.tolist()) == sorted(
        pumps.nlargest(len(groups["pump", "large"][0]), "size")["row"]
    )
    before = groups["foreshock before onset", "all"][0]
    leads = market.events.loc[market.events["kind"] == "foreshock", "lead_bars"]
    assert sorted(before.stop - before.start) == sorted(leads)


@pytest.fixture
def nab_folder(tmp_path) -> Path:
    """Two series of which the first has doubled stamps and the second a clock that was set back."""
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    windows = {}
    for name, wrong in (("one", "doubled"), ("two", "backward")):
        n = 2_400
        stamps = pd.date_range("2014-04-01", periods=n, freq="5min").to_numpy().copy()
        if wrong == "doubled":
            stamps[1_000:1_012] = stamps[1_012]
        else:
            stamps[1_000:] -= np.timedelta64(3_600, "s")
        value = 10 + np.sin(np.arange(n) / 20) + 0.1 * rng.normal(size=n)
        value[1_500:1_560] += 3
        pd.DataFrame({"timestamp": stamps, "value": value}).to_csv(tmp_path / "data" / f"{name}.csv", index=False)
        windows[f"any/{name}.csv"] = [[str(stamps[1_490]), str(stamps[1_570])]]
    (tmp_path / "combined_windows.json").write_text(json.dumps(windows), encoding="utf-8")
    return tmp_path


def test_doubled_and_backward_stamps_of_nab_are_kept_as_rows_and_counted(nab_folder):
    one = nab.read_nab(nab_folder / "data" / "one.csv", nab_folder / "combined_windows.json")
    two = nab.read_nab(nab_folder / "data" / "two.csv", nab_folder / "combined_windows.json")
    # Thirteen equal stamps in a row, behind a gap; one step back of 55 minutes.
    assert (one.n_doubled, one.n_backward, one.n_late) == (12, 0, 1)
    assert (two.n_doubled, two.n_backward, two.n_late) == (0, 1, 0)
    for series in (one, two):
        assert len(series.values) == len(series.time) == 2_400
        assert (np.diff(series.time) == np.timedelta64(300, "s")).all()
        assert (series.events.start.tolist(), series.events.stop.tolist()) == ([1_490], [1_571])
        assert series.n_train == 360


GAPPY = pd.date_range("2014-01-01", periods=300, freq="5min").delete(range(100, 160))
EDGES = st.integers(-20, 320).map(lambda row: pd.Timestamp("2014-01-01") + row * pd.Timedelta("5min"))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=EDGES, last=EDGES, form=st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%SZ"]))
@example(first=GAPPY[99] + pd.Timedelta("5min"), last=GAPPY[100] - pd.Timedelta("5min"), form="%Y-%m-%d %H:%M:%S.%f")
@example(first=GAPPY[0], last=GAPPY[0], form="%Y-%m-%d %H:%M:%S.%f")
@example(first=GAPPY[-1], last=GAPPY[0], form="%Y-%m-%d %H:%M:%S.%f")
def test_a_labelled_window_is_the_rows_it_holds_or_is_named(tmp_path, first, last, form):
    pd.DataFrame({"timestamp": GAPPY, "value": np.arange(len(GAPPY))}).to_csv(tmp_path / "a.csv", index=False)
    windows = {"real/a.csv": [[first.strftime(form), last.strftime(form)]]}
    (tmp_path / "w.json").write_text(json.dumps(windows), encoding="utf-8")
    inside = [row for row, time in enumerate(GAPPY) if first <= time <= last]
    if inside:
        events = nab.read_nab(tmp_path / "a.csv", tmp_path / "w.json").events
        assert (events.start.tolist(), events.stop.tolist()) == ([inside[0]], [inside[-1] + 1])
    else:
        why = "it ends before it begins" if last < first else "with gaps"
        with refused(DataError, "w.json: the window from ", "holds no row of a.csv: ", why):
            nab.read_nab(tmp_path / "a.csv", tmp_path / "w.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"real/a.csv": [["2014-01-01"]]}', "a window of a.csv must be two times, got"),
        ('{"real/a.csv": [["2014-01-01", 5]]}', "a window of a.csv must be two times, got"),
        ('{"real/a.csv": [["yesterday", "2014-01-01"]]}', "a window of a.csv must be two times, got"),
        ('{"real/a.csv": [null]}', "a window of a.csv must be two times, got None"),
        ('{"real/a.csv": 3}', "must have a list of windows for a.csv, got 3"),
        ('{"real/b.csv": []}', "has no windows of a.csv"),
        ("[]", "has no windows of a.csv"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_labels_of_another_form_are_refused(content, message, tmp_path):
    pd.DataFrame({"timestamp": GAPPY, "value": np.arange(len(GAPPY))}).to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "w.json").write_text(content, encoding="utf-8")
    with refused(DataError, message):
        nab.read_nab(tmp_path / "a.csv", tmp_path / "w.json")


def test_nab_features_and_scores_do_not_change_when_later_rows_are_removed(nab_folder, monkeypatch):
    monkeypatch.setattr(nab, "detectors", lambda: ONE_NETWORK)
    whole = nab.read_nab(nab_folder / "data" / "one.csv", nab_folder / "combined_windows.json")
    cut = 1_700
    head = nab.Series(
        whole.name, whole.time[:cut], whole.values[:cut], whole.interval, whole.events.rows(slice(0, cut)), whole.n_train
    )
    for make in (nab.series_features, nab.lag_features, nab.bar_features):
        assert np.array_equal(make(head).values, make(whole).values[:cut], equal_nan=True)
    late, early = dict(nab.scored_series(whole, {})), dict(nab.scored_series(head, {}))
    for name, scores in early.items():
        np.testing.assert_allclose(scores.values, late[name].values[:cut], rtol=1e-9, err_msg=name)


def test_lag_features_hold_the_last_values_newest_first():
    series = nab.Series("x", np.arange(150).astype("datetime64[us]"), np.arange(150.0), np.timedelta64(1, "us"), None, 100)  # type: ignore[arg-type]
    lags = nab.lag_features(series).values[:, 0]
    assert np.isnan(lags[: nab.LAGS - 1]).all()
    assert lags[120].tolist() == list(range(120, 120 - nab.LAGS, -1))


def test_nab_pools_series_and_says_which_detectors_do_not_run_on_a_single_column(nab_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(nab, "detectors", lambda: ONE_NETWORK)
    steps = []
    found = nab.nab_benchmark(nab_folder, on_step=steps.append)
    content = saved("nab", found, tmp_path / "out")
    assert steps == ["one", "two"]
    pooled = {row["detector"]: row for row in content["rows"] if row["series"] == "all series"}
    assert {"isolation_forest", "pca", "random", "volatility_only", "zscore"} <= set(pooled)
    for name, row in pooled.items():
        each = [r for r in content["rows"] if r["detector"] == name and r["series"] in ("one", "two")]
        assert row["n_series"] == len(each) == 2
        assert row["vus_pr"] == pytest.approx(np.mean([r["vus_pr"] for r in each]))
        assert row["n_events"] == 2
    # Lags see a level shift that no single value of a sine shows.
    assert pooled["pca"]["vus_pr_lift"] > 3
    assert pooled["autoencoder"]["vus_pr_lift"] > 3
    assert any(note.startswith("joint_tail does not run on a single column") for note in content["notes"])
    assert [clock["series"] for clock in content["settings"]["clock"]] == ["one", "two"]
    published = [row for row in content["rows"] if row["published"]]
    assert {row["detector"]: row["vus_pr"] for row in published} == nab.PUBLISHED_MEANS
    assert all(row["recall"] is None for row in published)


@pytest.mark.real_data
def test_the_first_nab_series_has_the_published_order(shared_data, monkeypatch):
    folder = shared_data / "nab"
    monkeypatch.setattr(
        nab, "nab_files", lambda folder: [folder / "data" / "ec2_request_latency_system_failure.csv", folder / nab.TSB_FILE]
    )
    monkeypatch.setattr(nab, "detectors", lambda: ["isolation_forest", "pca", "random", "volatility_only"])
    found = nab.nab_benchmark(folder)
    of_series = [row for row in found["rows"] if row["series"] == Path(nab.TSB_FILE).stem]
    published = {row["detector"]: row["vus_pr"] for row in of_series if row["published"]}
    assert {name: round(published[name], 3) for name in ("IForest", "AutoEncoder", "Sub-PCA")} == {
        "IForest": 0.135,
        "AutoEncoder": 0.321,
        "Sub-PCA": 0.180,
    }
    ours = {row["detector"]: row["vus_pr_all_rows"] for row in of_series if not row["published"]}
    assert ours["pca"] > ours["isolation_forest"] > ours["random"]
    # Eleven readings stamped 03:00 on the night that clocks were put forward.
    assert found["settings"]["clock"][0]["doubled"] == 11


def test_the_period_of_a_series_is_that_of_its_autocorrelation():
    x = np.sin(2 * np.pi * np.arange(2_000) / 48) + 0.1 * np.random.default_rng(0).normal(size=2_000)
    assert nab.period(x) == 48
    assert nab.period(np.arange(2_000.0)) == nab.UNKNOWN_PERIOD


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "combined_windows.json").unlink(), "must hold combined_windows.json"),
        (lambda folder: (folder / "combined_windows.json").write_text("{}", encoding="utf-8"), "no windows of one.csv"),
        (lambda folder: (folder / "data" / "one.csv").write_text("a,b\n1,2\n", encoding="utf-8"), "columns timestamp, value"),
    ],
)
def test_a_folder_that_is_not_nab_is_refused_in_one_sentence(nab_folder, spoil, message):
    spoil(nab_folder)
    with pytest.raises(DataError, match=message):
        nab.nab_benchmark(nab_folder)


def test_benchmark_verbs_print_the_table_and_write_the_file(nab_folder, small_market, tmp_path, monkeypatch):
    monkeypatch.setattr(nab, "detectors", lambda: ["isolation_forest", "random", "volatility_only"])
    ran = CliRunner().invoke(cli.app, ["benchmark", "nab", "--data", str(nab_folder), "--out", str(tmp_path / "nab")])
    assert ran.exit_code == 0, ran.output
    assert "NAB, 2 series" in ran.output
    assert "isolation_forest" in ran.output
    assert "Sub-PCA *" in ran.output
    assert "published figures of others" in ran.output
    assert json.loads((tmp_path / "nab" / "benchmark.json").read_text(encoding="utf-8"))["benchmark"] == "nab"

    noted = {**small_market, "notes": [*small_market["notes"], "the best network is told"]}
    monkeypatch.setattr(planted, "planted_benchmark", lambda seed, step: noted)
    ran = CliRunner().invoke(cli.app, ["benchmark", "planted", "--seed", "3", "--out", str(tmp_path / "planted")])
    assert ran.exit_code == 0, ran.output
    assert "Recall by kind and size of event" in ran.output
    assert "note: the best network is told" in ran.output
    for line in ran.output.splitlines():
        assert len(line.rstrip()) <= 120, line
    assert (tmp_path / "planted" / "benchmark.json").is_file()


def test_the_verbs_without_data_say_what_is_wanted_and_where_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("FORESHOCK_SHARED_DATA", raising=False)
    for verb, words in {
        "nab": ("numenta/NAB", "pass --data DIR"),
        "pumps": ("pump-and-dump-dataset", "pass --trades FILE"),
    }.items():
        monkeypatch.setattr("sys.argv", ["foreshock", "benchmark", verb, "--out", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr().err
        assert left.value.code == 2
        assert told.count("\n") == 1
        assert all(word in told for word in words)
    assert not (tmp_path / "out").exists()


def test_the_folder_of_nab_is_the_one_that_was_passed_or_that_of_the_shared_data(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESHOCK_SHARED_DATA", str(tmp_path))
    assert nab.nab_folder(None) == tmp_path / "nab"
    assert nab.nab_folder(tmp_path / "mine") == tmp_path / "mine"
    with pytest.raises(DataError, match=r"must hold combined_windows\.json"):
        nab.nab_files(nab.nab_folder(None))


def test_a_failed_write_leaves_the_earlier_file(small_market, tmp_path, monkeypatch):
    path = common.save_benchmark("planted", small_market, tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(common.json, "dumps", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        common.save_benchmark("planted", small_market, tmp_path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["benchmark.json", "labels.csv"]

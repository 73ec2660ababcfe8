# ruff: noqa: ARG002 - a model takes the arguments of its kind
"""Detectors of one's own: the sign of each kind of model, what a function and a table may return, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, OneClassSVM

import foreshock as fs
from foreshock.detectors.own import EstimatorDetector
from tests.market import make_bars

SPLITS = fs.WalkForward("20D", "10D", "1D")
NAMES = ["log_return", "range", "volume_ratio_20"]


@pytest.fixture(scope="module")
def features() -> fs.Features:
    made = fs.ohlcv_features(make_bars(1_200, 2, seed=3), NAMES)
    # A row as strange as can be, for the sign of the score.
    made.values[1_000, 0] = [0.5, 0.9, 60.0]
    return made


def rebuilds() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(2, 3))


def pyod_model(name: str):
    module = pytest.importorskip(f"pyod.models.{name.lower()}")
    return getattr(module, name)()


def volume(frame: pd.DataFrame, window: int = 50) -> pd.Series:
    return (frame["volume_ratio_20"] - frame["volume_ratio_20"].rolling(window).mean()).abs()


MODELS = {
    "score_samples": lambda: IsolationForest(n_estimators=20),
    "decision_function": lambda: OneClassSVM(nu=0.1),
    "density": lambda: GaussianMixture(2, random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), IsolationForest(n_estimators=20, random_state=0)),
    "neighbours": lambda: LocalOutlierFactor(novelty=True),
    "pyod": lambda: pyod_model("KNN"),
    "pyod among others": lambda: pyod_model("ECOD"),
    "module": rebuilds,
    "function": lambda: volume,
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_strangest_row_has_the_highest_score_and_every_contract_is_kept(kind, features):
    detector = fs.as_detector(MODELS[kind]())
    assert detector.own
    scores = fs.walk_forward(detector, features, SPLITS)
    assert np.nanargmax(scores.values[:, 0]) == 1_000
    fs.check_detector(detector, features)


def test_scores_of_a_model_are_minus_those_of_scikit_learn_and_those_of_pyod(features):
    features = fs.Features(features.time, ("A",), features.names, features.values[:, :1], features.interval)
    rows = EstimatorDetector(IsolationForest(random_state=1)).fit(features).scaler.complete(features)[0]
    theirs = -IsolationForest(random_state=1).fit(rows).score_samples(rows)
    ours = fs.as_detector(IsolationForest(random_state=1)).fit(features).score(features).values
    np.testing.assert_allclose(ours[~np.isnan(ours)], theirs, rtol=1e-12)
    knn = fs.as_detector(pyod_model("KNN")).fit(features).score(features).values
    np.testing.assert_allclose(knn[~np.isnan(knn)], pyod_model("KNN").fit(rows).decision_function(rows), rtol=1e-9)


@pytest.mark.parametrize("kind", ["score_samples", "module", "function"])
def test_parameters_pass_through_a_clone(kind):
    detector = fs.as_detector(MODELS[kind](), "mine")
    copied = clone(detector)
    assert copied.name == "mine"
    assert repr(copied.get_params()) == repr(detector.get_params())
    assert len(repr(detector)) < 200


def test_names_come_from_the_thing():
    assert fs.as_detector(IsolationForest()).name == "sklearn_isolation_forest"
    assert fs.as_detector(volume).name == "volume"
    assert fs.as_detector(volume, "mine", window=10).params == {"window": 10}
    assert fs.as_detector(pd.DataFrame({"time": ["2024-01-01"], "score": [1.0]}), "theirs").name == "theirs"


def test_a_module_is_trained_from_its_seed_alone(features):
    scores = [fs.as_detector(rebuilds(), seed=seed).fit(features).score(features).values for seed in (1, 1, 2)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2], equal_nan=True)
    untrained = rebuilds()
    before = [weight.clone() for weight in untrained.parameters()]
    fs.as_detector(untrained).fit(features)
    assert all(torch.equal(a, b) for a, b in zip(before, untrained.parameters(), strict=True))


def test_shares_of_the_squared_error_of_a_module_add_up_to_its_score(features):
    detector = fs.as_detector(rebuilds()).fit(features)
    added = detector.explain_rows(features, [1_000, 900], [0, 1])
    np.testing.assert_allclose(added.sum(axis=1), detector.score(features).values[[1_000, 900], [0, 1]], rtol=1e-9)
    assert detector.explain(features, 1_000, features.symbols[0]).iloc[0] == added[0].max()


class WithoutSign:
    def fit(self, rows):
        return self

    def decision_function(self, rows):
        return np.zeros((len(rows), 2))


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (LinearRegression(), "a detector must be a name, a Detector, a model with fit and score_samples or"),
        (LocalOutlierFactor(), "set its novelty=True"),
        (IsolationForest, r"got the class IsolationForest; make one, such as IsolationForest\(\)"),
        (3, "a detector must be a name, .* got 3"),
    ],
)
def test_a_thing_that_is_no_detector_is_refused(thing, said):
    with pytest.raises(fs.ConfigError, match=said):
        fs.as_detector(thing)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (SVC(), "sklearn_svc cannot learn from rows of 3 features without labels: TypeError"),
        (WithoutSign(), r"must return one number for each row, got the shape \(16, 2\)"),
        (torch.nn.Linear(5, 5), "torch_linear cannot take rows of 3 features: RuntimeError: .*; its first layer"),
        (torch.nn.Linear(3, 2), r"must rebuild rows of 3 features, got \(2, 2\) for 2 rows"),
        (lambda frame: frame["log_return"].iloc[1:].to_numpy(), r"must return one score for each of the .* got the shape"),
        (lambda frame: frame["nothing"], "function raised KeyError: 'nothing'; fix it"),
        (lambda frame: "high", "must return numbers for A, got 'high'"),
        (lambda frame: frame["log_return"] / 0, "gives A an infinite score at 2024-01"),
    ],
)
def test_what_a_thing_returns_is_refused_in_a_sentence(thing, said, features):
    detector = fs.as_detector(thing)
    with np.errstate(all="ignore"), pytest.raises(fs.ConfigError, match=said) as caught:
        fs.walk_forward(detector, features, SPLITS)
    assert len(str(caught.value)) < 500


def long_table(features: fs.Features) -> pd.DataFrame:
    return features.to_frame().reset_index()[["time", "symbol", "range"]].rename(columns={"range": "score"})


@pytest.mark.parametrize("kind", ["long", "wide", "wide column", "csv", "parquet", "epochs", "shuffled"])
def test_scores_of_a_table_stand_on_their_rows(kind, features, tmp_path):
    table = long_table(features)
    if kind.startswith("wide"):
        table = table.pivot(index="time", columns="symbol", values="score")
        table = table if kind == "wide" else table.reset_index()
    elif kind == "epochs":
        table["time"] = table["time"].astype("datetime64[us, UTC]").astype("int64") // 1_000
    elif kind == "shuffled":
        table = table.sample(frac=1, random_state=0)
    given = table
    if kind in ("csv", "parquet"):
        given = tmp_path / f"theirs.{kind}"
        table.to_csv(given, index=False) if kind == "csv" else table.to_parquet(given)
    detector = fs.as_detector(given)
    assert detector.name == ("theirs" if kind in ("csv", "parquet") else "scores")
    scores = fs.walk_forward(detector, features, SPLITS)
    expected = features.column("range").copy()
    expected[: scores.folds[0].test.start] = np.nan
    np.testing.assert_allclose(scores.values, expected, rtol=1e-12)
    assert np.isnan(detector.explain_rows(features, [5], [0])).all()


def test_scores_of_one_symbol_need_no_symbol(features):
    one = fs.Features(features.time, ("X",), features.names, features.values[:, :1], features.interval)
    table = pd.Series(np.arange(1_200.0), pd.DatetimeIndex(features.time))
    assert fs.PrecomputedScores(table).score(one).values[-1, 0] == 1_199
    with pytest.raises(fs.DataError, match="names no symbols, and the study has 2; add a column 'symbol'"):
        fs.walk_forward(fs.PrecomputedScores(table), features, SPLITS)


def moved(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(time=table["time"] + pd.Timedelta("30min"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (moved, "has scores at other times than the study, .* are no rows; stamp each score with the open of its bar, in UTC"),
        (lambda t: t.assign(time=t["time"] - pd.Timedelta("900D")), "has scores at other times than the study"),
        (
            lambda t: pd.concat([t, moved(t)[::4]]),
            "has scores at 600 times between the rows of the study, which are 1h apart, the first at 2024-01-01T00:30:00",
        ),
        (lambda t: t.assign(symbol="X" + t["symbol"]), "has scores of XA, XB and none of A, B; name the symbols as the study does"),
        (lambda t: t.assign(score=np.nan), "no score is known, NaN everywhere"),
        (lambda t: t.assign(score=np.inf), "got an infinite score at 2024"),
        (lambda t: t.assign(score="high"), "column score must hold numbers, got 'high' in row 0"),
        (lambda t: pd.concat([t, t]), "got two scores of A at 2024-01-01 00:00:00"),
        (lambda t: t.assign(time="soon"), "column time cannot be read as times"),
        (
            lambda t: t.rename(columns={"time": "when"}).set_index("symbol"),
            "need times as the column 'time' or as index, got the columns",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_sentence(change, said, features):
    with pytest.raises(fs.DataError, match=said) as caught:
        fs.walk_forward(fs.PrecomputedScores(change(long_table(features))), features, SPLITS)
    assert len(str(caught.value)) < 500


def test_a_file_of_scores_that_is_none_is_refused(tmp_path):
    with pytest.raises(fs.DataError, match="no such file of scores"):
        fs.as_detector(str(tmp_path / "none.csv")).table()
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(fs.DataError, match="cannot be read as parquet"):
        fs.as_detector(tmp_path / "bad.parquet").table()


LONG = "time,symbol,score\n"


@pytest.mark.parametrize("symbol", ["NA", "007", "1e5", "nan", "True", '"a,b"', " BTC"])
def test_symbols_of_a_file_of_scores_stay_as_they_are_written(symbol, tmp_path):
    (tmp_path / "s.csv").write_text(f"{LONG}2024-01-01,{symbol},1\n2024-01-02,{symbol},NA\n")
    table = fs.PrecomputedScores(tmp_path / "s.csv").table()
    assert list(table.columns) == [symbol.strip().strip('"')]
    np.testing.assert_array_equal(table.to_numpy(), [[1.0], [np.nan]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{LONG}2024-01-01,BTC\n2024-01-02,BTC,2\n", "every row must have the 3 fields of the header .* got 2 in line 2"),
        (f"{LONG}2024-01-01,,1\n2024-01-02,BTC,2\n", "column symbol must have a name in every row, got 1 without"),
        (f"{LONG}2024010101,BTC,1\n2024010102,BTC,2\n", "a date written YYYYMMDDHH or an epoch in s"),
        (f"{LONG}20240101,BTC,1\n20240102,BTC,2\n", "must hold epochs of the years 2000 to 2099"),
        (f"{LONG}1704067200,BTC,1\n1704070800000,BTC,2\n", "must hold epochs of the years 2000 to 2099, got 1704067200 in row 0"),
        (f"{LONG}now,BTC,1\n2024-01-01,BTC,2\n", "column time cannot be read as times"),
        (f"{LONG}2240-01-01,BTC,1\n2240-01-02,BTC,2\n", "must hold times of the past"),
        ("time,symbol,score,score\n2024-01-01,BTC,1,3\n", "columns are doubled, or differ only in case: score"),
        ("time;symbol;score\n2024-01-01;BTC;1,5\n", "fields must be separated by commas, got ';'"),
        (f'{LONG}2024-01-01,BTC,"1,5"\n', "column score must hold numbers, got '1,5' in row 0"),
        ("a", "column 'time' or as index"),
    ],
)
def test_a_file_of_scores_is_read_as_strictly_as_one_of_bars(text, said, tmp_path):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(fs.DataError, match=said) as caught:
        fs.PrecomputedScores(tmp_path / "s.csv").table()
    assert str(tmp_path) in str(caught.value)


def test_columns_of_scores_are_named_in_any_case_and_times_as_in_bars(tmp_path):
    (tmp_path / "long.csv").write_text("Date,Symbol,Score\n2024-01-01,BTC,1\n")
    (tmp_path / "wide.csv").write_text("Open_Time,btc,BTC/USDT\n2024-01-01,1,True\n")
    assert fs.PrecomputedScores(tmp_path / "long.csv").table().loc["2024-01-01"].to_dict() == {"BTC": 1.0}
    assert list(fs.PrecomputedScores(tmp_path / "wide.csv").table().columns) == ["btc", "BTC/USDT"]


@pytest.mark.parametrize("score", [1 + 1j, pd.Timestamp("2024-01-01"), pd.Timedelta("1s")])
def test_what_is_no_number_is_no_score(score):
    table = pd.DataFrame({"time": ["2024-01-01", "2024-01-02"], "symbol": "A", "score": [score, score]})
    with pytest.raises(fs.DataError, match="scores: column score must hold numbers"):
        fs.PrecomputedScores(table).table()


@pytest.mark.parametrize("thing", ["score_samples", "module", "function"])
def test_what_holds_a_foreign_object_is_not_saved(thing, features, tmp_path):
    with pytest.raises(fs.ConfigError, match="it holds an object that is not foreshock's; fit it again"):
        fs.as_detector(MODELS[thing]()).fit(features).save(tmp_path / "one")


def test_the_steps_of_a_pipeline_are_seeded(features):
    from sklearn.ensemble import IsolationForest
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), IsolationForest(n_estimators=10))
    one, two = (fs.as_detector(model).fit(features).score(features).values for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert model[-1].random_state is None


@pytest.mark.parametrize(
    "score",
    [lambda f: f.index.to_series(), lambda f: f.index.to_series().diff(), lambda f: 1j * f["range"], lambda f: f.index.to_numpy()],
)
def test_a_function_whose_results_are_no_numbers_is_refused(score, features):
    with pytest.raises(fs.ConfigError, match="lambda must return numbers for A"):
        fs.as_detector(score).fit(features).score(features)


class Overwriting(fs.Detector):
    """Fills what is not known with zeros, in place."""

    name = "overwriting"

    def _fit(self, features: fs.Features) -> None:
        features.values[:] = np.nan_to_num(features.values)

    def _score(self, features: fs.Features) -> np.ndarray:
        features.values[np.isnan(features.values)] = 0.0
        return np.abs(features.column("range"))


def test_what_a_detector_writes_into_features_reaches_nobody_else(features):
    before = features.values.copy()
    found = Overwriting().fit(features).score(features).values
    np.testing.assert_array_equal(features.values, before)
    np.testing.assert_array_equal(found, np.nan_to_num(np.abs(features.column("range"))))
    bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    close = bars.close.copy()

    def flat(given: fs.Bars) -> fs.Features:
        given.close[:] = 1.0
        return fs.ohlcv_features(given, ["log_return"])

    assert np.nanmax(fs.BarSource(bars, flat).features.values) == 0
    np.testing.assert_array_equal(bars.close, close)

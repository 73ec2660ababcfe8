"""eda.json: every number against plain NumPy, pandas, SciPy or statsmodels."""

import itertools
import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.decomposition import PCA
from statsmodels.tsa.stattools import acf

import foreshock as fs
from foreshock.data.bars import FIELDS, PRICES, Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.quality.clean import clean
from foreshock.data.simulate.market import simulate_market
from foreshock.detectors.clusters.regimes import KMeansRegime
from foreshock.detectors.scaling import RobustScaler
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.statistics.description import autocorrelation, correlation, histogram, rank_within, summarise
from foreshock.exploration import sections
from tests.market import make_bars


def holed(bars: Bars, rows: np.ndarray, col: int) -> Bars:
    fields = {name: getattr(bars, name).copy() for name in FIELDS}
    for values in fields.values():
        values[rows, col] = np.nan
    return replace(bars, **fields)


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Two symbols: one listed late, with holes; hourly over 80 days."""
    whole = simulate_market(seed=5, n_symbols=2, n_bars=1_920).bars
    return holed(whole, np.r_[0:100, 400:406, 900], 1)


@pytest.fixture(scope="module")
def found(bars) -> dict:
    return fs.explore(bars).results


@pytest.fixture(scope="module")
def moves(bars) -> pd.DataFrame:
    return np.log(pd.DataFrame(bars.close, index=pd.DatetimeIndex(bars.time), columns=list(bars.symbols))).diff()


def test_the_data_are_named_by_symbols_span_interval_and_hash(bars, found):
    data = found["data"]
    assert data["hash"] == clean(bars)[0].fingerprint()
    assert (data["symbols"], data["interval"], data["n_bars"]) == (list(bars.symbols), "1h", 1_920)
    assert (data["start"], data["end"]) == (str(bars.time[0]), str(bars.time[-1]))
    assert data["listed"][bars.symbols[1]] == {"n_bars": 1_920 - 107, "start": str(bars.time[100]), "end": str(bars.time[-1])}


def test_quality_is_that_of_clean(bars, found):
    _, report = clean(bars)
    assert {s: row["missing"] for s, row in found["quality"]["table"].items()} == {bars.symbols[0]: 0, bars.symbols[1]: 7}
    runs = found["quality"]["runs"]
    assert [(run["symbol"], run["kind"], run["rows"]) for run in runs] == [(bars.symbols[1], "missing", n) for n in (6, 1)]
    assert runs[0]["from"] == str(pd.Timestamp(bars.time[400]))
    assert (found["quality"]["n_runs"], found["quality"]["n_findings"]) == (len(report.runs), len(report.findings)) == (2, 7)


def test_moments_and_quantiles_are_those_of_scipy_and_pandas(found, moves):
    for symbol, row in found["returns"].items():
        x = moves[symbol].dropna()
        assert row["n"] == len(x)
        expected = {
            "mean": x.mean(),
            "std": x.std(),
            "skew": stats.skew(x),
            "kurtosis": stats.kurtosis(x, fisher=False),
            "min": x.min(),
            "low": x.quantile(0.01),
            "q25": x.quantile(0.25),
            "median": x.median(),
            "q75": x.quantile(0.75),
            "high": x.quantile(0.99),
            "max": x.max(),
            "far": ((x - x.mean()).abs() > 3 * x.std()).mean(),
        }
        assert {key: row[key] for key in expected} == pytest.approx(expected, rel=1e-9)
        assert 0.003 < row["far"] < 0.05


def test_each_return_is_in_one_bin_and_the_normal_is_the_normal(found, moves):
    for symbol, row in found["returns"].items():
        x, drawn = moves[symbol].dropna(), row["histogram"]
        edges = np.array(drawn["edges"])
        np.testing.assert_allclose(edges, x.mean() + x.std() * np.arange(-6, 6.1, 0.2), rtol=1e-9, atol=1e-12)
        by_hand = [((x >= low) & (x < high)).sum() for low, high in itertools.pairwise(edges)]
        assert drawn["counts"] == by_hand
        assert (drawn["below"], drawn["above"]) == ((x < edges[0]).sum(), (x > edges[-1]).sum())
        assert sum(drawn["counts"]) + drawn["below"] + drawn["above"] == len(x)
        np.testing.assert_allclose(drawn["normal"], len(x) * np.diff(stats.norm(x.mean(), x.std()).cdf(edges)), rtol=1e-6)


def test_boxes_by_symbol_hour_and_period_are_those_of_their_returns(found, moves):
    boxes = found["boxes"]
    assert boxes["unit"] == "month"
    groups = {
        "symbol": {symbol: moves[symbol] for symbol in moves},
        "hour": {f"{hour:02d}": part.stack() for hour, part in moves.groupby(moves.index.hour)},
        "period": {str(period): part.stack() for period, part in moves.groupby(moves.index.to_period("M"))},
    }
    for key, parts in groups.items():
        assert [box["name"] for box in boxes[key]] == list(parts)
        for box in boxes[key]:
            x = parts[box["name"]].dropna()
            quantiles = x.quantile([0, 0.01, 0.25, 0.5, 0.75, 0.99, 1]).tolist()
            assert [box[name] for name in ("min", "low", "q25", "median", "q75", "high", "max")] == pytest.approx(
                quantiles, abs=1e-15
            )
            assert box["n"] == len(x)
    assert sum(box["n"] for box in boxes["hour"]) == sum(box["n"] for box in boxes["period"]) == moves.count().sum()


@pytest.mark.parametrize(
    ("interval", "n_bars", "unit", "n", "n_hours"),
    [
        ("1d", 900, "month", 30, 0),
        ("1d", 901, "month", 30, 0),
        ("1d", 950, "quarter", 11, 0),
        ("7d", 500, "year", 10, 0),
        ("12h", 100, "month", 2, 2),
    ],
)
def test_time_is_cut_into_the_shortest_periods_of_which_there_are_few(interval, n_bars, unit, n, n_hours):
    boxes = sections.boxes_section(make_bars(n_bars, 1, interval=interval))
    assert (boxes["unit"], len(boxes["period"]), len(boxes["hour"])) == (unit, n, n_hours)


def test_autocorrelation_is_that_of_statsmodels_where_nothing_is_missing(bars, found, moves):
    symbol = bars.symbols[0]
    x = moves[symbol].dropna().to_numpy()
    curve = found["autocorrelation"][symbol]
    assert (curve["n"], len(curve["returns"])) == (len(x), 168)
    np.testing.assert_allclose(curve["returns"], acf(x, nlags=168, adjusted=True, fft=False)[1:], atol=1e-10)
    np.testing.assert_allclose(curve["absolute"], acf(np.abs(x), nlags=168, adjusted=True, fft=False)[1:], atol=1e-10)
    assert curve["bound"] == pytest.approx(1.96 / np.sqrt(len(x)))


def test_autocorrelation_across_holes_is_of_the_known_pairs(bars, found, moves):
    x = moves[bars.symbols[1]].to_numpy()
    d = x - np.nanmean(x)
    slow = [np.nanmean(d[k:] * d[:-k]) / np.nanmean(d**2) for k in range(1, 169)]
    np.testing.assert_allclose(found["autocorrelation"][bars.symbols[1]]["returns"], slow, atol=1e-12)
    assert np.isnan(autocorrelation(np.array([1.0, np.nan, 2.0]), 3)).tolist() == [True, False, True]
    assert np.isnan(autocorrelation(np.full(5, 2.0), 2)).all()


def test_correlations_are_those_of_pandas(bars, found, moves):
    np.testing.assert_allclose(found["correlation"]["pearson"], moves.corr(), atol=1e-12)
    assert found["correlation"]["n"] == (moves.notna().astype(int).T @ moves.notna().astype(int)).to_numpy().tolist()
    features = ohlcv_features(bars, sections.FEATURES)
    parts = [pd.DataFrame(features.values[:, i], columns=list(features.names)).dropna().assign(symbol=i) for i in range(2)]
    rows = pd.concat(parts, ignore_index=True)
    own = found["features"]
    assert (own["names"], own["n"]) == (list(sections.FEATURES), len(rows))
    np.testing.assert_allclose(own["pearson"], rows[own["names"]].corr(), atol=1e-9)
    ranks = rows.groupby("symbol")[own["names"]].rank(pct=True)
    np.testing.assert_allclose(own["spearman"], ranks.corr(), atol=1e-9)


def test_ranks_within_one_symbol_give_spearmans_correlation():
    x = np.random.default_rng(1).integers(0, 9, (200, 3)).astype(float)
    found = correlation(rank_within(x, np.zeros(200, int)))
    np.testing.assert_allclose(found, pd.DataFrame(x).corr(method="spearman"), atol=1e-12)


def test_correlation_with_unknown_values_is_pairwise_and_without_spread_unknown():
    x = np.random.default_rng(2).normal(size=(50, 3))
    x[:10, 0] = x[30:45, 1] = np.nan
    np.testing.assert_allclose(correlation(x), pd.DataFrame(x).corr(), atol=1e-12)
    x[:, 2] = 1.0
    assert np.isnan(correlation(x)[2]).all()
    assert np.isnan(correlation(np.column_stack([np.arange(5.0), np.ones(5)]))[1]).all()


def test_scatter_cells_hold_the_rows_within_their_edges(bars, found):
    scatter = found["scatter"]
    values = ohlcv_features(bars, sections.FEATURES).values
    rows = values[~np.isnan(values).any(axis=2)]
    column = {name: rows[:, sections.FEATURES.index(name)] for name in scatter["names"]}
    assert scatter["names"] == list(sections.PAIRED)
    assert len(scatter["cells"]) == 15
    for name, edges in scatter["edges"].items():
        np.testing.assert_allclose(edges[:: len(edges) - 1], np.quantile(column[name], [0.001, 0.999]), rtol=1e-9)
    ratios = np.diff(np.log(scatter["edges"]["range"]))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    x, y = column["log_return"], column["range"]
    across, up = scatter["edges"]["log_return"], scatter["edges"]["range"]
    cells = scatter["cells"]["log_return range"]
    for i, j, count in cells[::17]:
        assert count == ((x >= across[i]) & (x < across[i + 1]) & (y >= up[j]) & (y < up[j + 1])).sum()
    inside = (x >= across[0]) & (x <= across[-1]) & (y >= up[0]) & (y <= up[-1])
    assert sum(count for *_, count in cells) == inside.sum() > 0.99 * len(rows)


def test_paths_are_means_last_values_and_modes_of_stretches(bars, found):
    path, prices = found["volatility"], found["prices"]
    k = path["bars_per_point"]
    assert (k, path["n_points"], path["seconds_per_point"], path["start"]) == (2, 960, 7_200, str(bars.time[0]))
    groups = np.arange(bars.n_bars) // k
    volatility = ohlcv_features(bars, ("volatility_20",)).values[:, :, 0] * np.sqrt(24 * 365)
    detector = KMeansRegime()
    features = ohlcv_features(bars, sections.REGIME_FEATURES)
    labels = detector.fit(features).regimes(features).labels
    for i, symbol in enumerate(bars.symbols):
        mean = pd.Series(volatility[:, i]).groupby(groups).mean()
        np.testing.assert_allclose(np.array(path["annual"][symbol], float), mean, rtol=1e-9)
        last = pd.Series(bars.close[:, i]).groupby(groups).last()
        np.testing.assert_array_equal(np.array(prices["close"][symbol], float), last)
        own = pd.Series(labels[:, i]).where(labels[:, i] >= 0).groupby(groups).agg(lambda x: x.mode().min())
        np.testing.assert_array_equal(np.array(prices["regime"][symbol], float), own)


def test_the_number_of_regimes_can_be_chosen(bars, tmp_path):
    found = fs.explore(bars, n_regimes=3)
    assert len(found.results["regimes"]["names"]) == 3
    assert "finds 3 regimes" in found.report(tmp_path / "eda.html").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="n_regimes must be a number from 2 to 8, got 1"):
        fs.explore(bars, n_regimes=1)


def test_regimes_are_those_of_the_detector(bars, found):
    features = ohlcv_features(bars, sections.PAIRED)
    own = features.select(sections.REGIME_FEATURES)
    labels = KMeansRegime().fit(own).regimes(own)
    regimes = found["regimes"]
    assert (regimes["names"], regimes["every"]) == (list(labels.names), 1)
    assert regimes["share"] == pytest.approx(labels.share())
    assert sum(row["n"] for row in regimes["rows"].values()) == (labels.labels >= 0).sum()
    for k, (name, row) in enumerate(regimes["rows"].items()):
        assert name == labels.names[k]
        for i, feature in enumerate(features.names):
            assert row["means"][feature] == pytest.approx(np.nanmean(features.values[:, :, i][labels.labels == k]))
        stays = [len(run) for col in labels.labels.T for run in np.split(col, np.flatnonzero(np.diff(col)) + 1) if run[0] == k]
        assert row["stay"] == pytest.approx(np.mean(stays))
    by_period = pd.DataFrame(found["periods"]["rows"])
    for symbol, rows in by_period.groupby("symbol"):
        assert rows["n"].sum() == found["data"]["listed"][symbol]["n_bars"]
        close = bars.close[:, bars.symbols.index(symbol)]
        known = close[~np.isnan(close)]
        assert rows["move"].sum() == pytest.approx(np.log(known[-1] / known[0]))
        assert np.array(rows["regimes"].tolist()).sum(axis=1) == pytest.approx(np.ones(len(rows)))


def test_the_projection_is_that_of_sklearns_pca(bars, found):
    features = ohlcv_features(bars, sections.PAIRED)
    rows, _ = RobustScaler.learn(features).complete(features)
    clipped = np.clip(rows, -10, 10)
    own, reference = found["projection"], PCA(2).fit(clipped)
    assert own["explained"] == pytest.approx(reference.explained_variance_ratio_, rel=1e-6)
    np.testing.assert_allclose(np.abs(own["axes"]), np.abs(reference.components_), atol=1e-6)
    assert (own["n"], len(own["points"])) == (len(rows), sections.N_PROJECTED)
    points = {tuple(np.round(p, 6)) for p in (clipped - clipped.mean(axis=0)) @ np.array(own["axes"]).T}
    assert all(tuple(np.round(p, 6)) in points for p in own["points"][:50])


def test_a_faultless_history_omits_nothing_and_the_same_one_gives_the_same(bars, found):
    assert found["omitted"] == []
    again = fs.explore(bars).results
    assert json.dumps(again, allow_nan=False) == json.dumps(found, allow_nan=False)
    other = fs.explore(bars, seed=1).results
    assert other["projection"]["points"] != found["projection"]["points"]
    assert other["returns"] == found["returns"]


def test_a_table_with_faults_is_cleaned_and_each_fault_listed():
    table = make_bars(300, 2).to_frame()
    table.loc[100, "low"], table.loc[103, "high"] = -1.0, np.inf
    table = pd.concat([table, table.iloc[[7]]], ignore_index=True).drop(index=[200, 202])
    found = fs.explore(table)
    kinds = {run["kind"]: run for run in found.results["quality"]["runs"]}
    assert set(kinds) == {"not_positive", "infinite", "doubled", "missing", "unsorted"}
    assert (kinds["not_positive"]["symbol"], kinds["infinite"]["symbol"]) == ("A", "B")
    assert found.bars.symbols == ("A", "B")
    assert found.quality.count("missing") == 4
    assert found.summary().loc["A", ["n_bars", "gaps", "findings"]].tolist() == [297, 2, 4]


def test_what_the_data_cannot_show_is_named_with_its_reason():
    few = {part["what"]: part["why"] for part in fs.explore(make_bars(30, 1)).results["omitted"]}
    assert few["regimes and projection"] == "no symbol has 100 bars with a 20-bar volatility and a 24-bar return, at most 6"
    assert few["correlation and scatter matrix of the features"] == "fewer than two are left"
    flat = make_bars(300, 1)
    for name in PRICES:
        getattr(flat, name)[:] = 5.0
    silent = {part["what"]: part["why"] for part in fs.explore(flat).results["omitted"]}
    assert silent["histogram of A"] == "299 returns are known, two that differ are needed"
    assert "they never change" in silent.values()
    one = fs.explore(make_bars(1, 1)).results
    assert (one["features"], one["scatter"], one["regimes"], one["projection"], one["correlation"]) == (None,) * 5


def test_no_volume_still_has_regimes_and_a_projection_without_volume():
    quiet = make_bars(300, 2)
    quiet.volume[:] = 0.0
    found = fs.explore(quiet).results
    assert found["projection"]["features"] == ["log_return", "volatility_20", "range", "return_24"]
    assert found["regimes"]["share"]["calm"] > 0


def test_a_symbol_that_never_trades_does_no_harm():
    bars = holed(make_bars(400, 2), np.arange(400), 1)
    found = fs.explore(bars).results
    assert found["data"]["listed"]["B"] == {"n_bars": 0, "start": None, "end": None}
    assert found["returns"]["B"]["n"] == 0
    assert found["returns"]["B"]["mean"] is None
    assert found["projection"]["n"] == 400 - 24


def test_the_result_is_frozen_and_writes_what_it_holds(tmp_path, bars):
    result = fs.explore(bars, title="Two coins")
    with pytest.raises(FrozenInstanceError):
        result.title = "x"
    path = result.to_json(tmp_path / "eda.json")
    assert json.loads(path.read_text(encoding="utf-8")) == result.results
    folder = result.save(tmp_path / "deep" / "out")
    assert sorted(file.name for file in folder.iterdir()) == ["eda.html", "eda.json", "regimes.csv", "regimes.parquet"]
    assert result.regimes is not None
    rows = pd.read_parquet(folder / "regimes.parquet")
    assert len(rows) == (result.regimes.labels >= 0).sum()
    assert dict(rows["regime"].value_counts(normalize=True)) == pytest.approx(result.results["regimes"]["share"])
    summary = result.summary()
    assert summary.loc[bars.symbols[0], "kurtosis"] == result.results["returns"][bars.symbols[0]]["kurtosis"]


def test_what_is_no_history_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"bars must be Bars or a table of them, got 'x.csv'; read a file with fs.read_bars"):
        fs.explore("x.csv")
    with pytest.raises(ConfigError, match=r"seed must be a whole number of at least 0, got -1"):
        fs.explore(make_bars(10, 1), seed=-1)
    with pytest.raises(DataError, match=r"^no valid bar is left"):
        fs.explore(make_bars(10, 1).to_frame().assign(close=np.inf))


def test_summaries_of_nothing_and_of_one_value_are_unknown():
    nothing, one = summarise(np.array([np.nan])), summarise(np.array([2.0, np.nan]))
    assert (nothing.n, one.n, one.mean, one.median) == (0, 1, 2.0, 2.0)
    assert np.isnan([nothing.mean, nothing.far, one.std, one.skew, one.far]).all()
    assert histogram(np.array([2.0])) is None


def test_the_eight_assets_have_no_faults_and_heavy_tails(shared_data):
    found = fs.explore(fs.read_bars(shared_data / "ohlcv_1h_8assets.parquet").head(9_000)).results
    assert found["quality"]["n_findings"] == 0
    assert found["returns"]["BTCUSDT"]["kurtosis"] > 20
    assert found["correlation"]["pearson"][0][1] > 0.6


def test_the_outages_of_the_spot_history_are_in_the_listing(shared_data):
    found = fs.explore(fs.read_bars(shared_data / "ohlcv_btc_spot_1h_2017_2024.parquet")).results["quality"]
    (row,) = found["table"].values()
    assert (row["gaps"], row["missing"]) == (28, 128)
    gaps = [run for run in found["runs"] if run["kind"] == "missing"]
    assert (len(gaps), sum(run["rows"] for run in gaps), max(run["rows"] for run in gaps)) == (28, 128, 33)


def test_a_stretch_without_a_known_bar_is_unknown():
    x, starts = np.array([1.0, 2.0, np.nan, np.nan, 5.0]), np.array([0, 2, 4])
    np.testing.assert_array_equal(sections._last(x, starts), [2.0, np.nan, 5.0])
    np.testing.assert_array_equal(sections._mean(x, starts), [1.5, np.nan, 5.0])
    assert sections._mode(np.array([1, 1, -1, -1, 0]), starts, 2) == [1, None, 0]


def test_rows_without_a_regime_are_not_projected():
    features = ohlcv_features(make_bars(400, 2), sections.PAIRED)
    labels = np.zeros((400, 2), int)
    labels[:200, 1] = -1
    found = sections.projection(features, labels, 0, [])
    assert found
    assert found["n"] == 400 - 24 + 200
    assert set(found["regime"]) == {0}

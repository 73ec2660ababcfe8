"""Slices of history, the stability of rankings and the agreement of detectors, against counts by hand."""

import json

import numpy as np
import pytest

from foreshock.comparison.comparison import by_slice, changes, comparison, load_results
from foreshock.data.errors import DataError
from foreshock.data.interval import parse_duration
from foreshock.engine.scores import Signals
from foreshock.engine.validation.moves.forward import MoveTable, forward_moves
from foreshock.engine.validation.moves.slices import agreement, rank_stability, slice_masks, sliced_moves
from foreshock.reports.study.order import detectors_by_verdict
from tests.market import make_bars
from tests.small import small_study


def signals_on(bars, share: float, seed: int) -> Signals:
    active = np.random.default_rng(seed).random(bars.shape) < share
    return Signals(bars.time, bars.symbols, active, np.ones(bars.shape), np.full(bars.shape, True), bars.interval)


def test_a_slice_by_asset_is_the_study_of_that_asset_alone():
    bars = make_bars(n_bars=3_000, n_symbols=2, seed=3, start="2023-11-01")
    signals = signals_on(bars, 0.03, 1)
    masks = slice_masks(bars, np.full(bars.shape, -1), ())
    rows = sliced_moves(MoveTable(bars, ["6h"]), signals, masks, "6h", 199, 0)
    asset = next(row for row in rows if row["slice"] == "B")
    alone = signals_on(bars, 0.03, 1)
    only = Signals(bars.time, ("B",), alone.active[:, 1:], alone.threshold[:, 1:], alone.decided[:, 1:], bars.interval)
    expected = forward_moves(bars.select("B"), only, ["6h"], cooldown="6h", n_bootstrap=199)["6h"]
    assert asset["n_events"] == expected.n_events
    assert asset["matched_ratio"] == pytest.approx(expected.matched_ratio, rel=1e-9)
    assert asset["ci"] == pytest.approx(expected.ci, rel=1e-9)


def test_the_years_hold_all_events_and_only_their_own():
    bars = make_bars(n_bars=3_000, n_symbols=2, seed=3, start="2023-11-01")
    signals = signals_on(bars, 0.03, 1)
    masks = slice_masks(bars, np.full(bars.shape, -1), ())
    assert list(masks["year"]) == ["2023", "2024"]
    assert masks["year"]["2023"].sum() == 61 * 24
    rows = [row for row in sliced_moves(MoveTable(bars, ["6h"]), signals, masks, None, 99, 0) if row["by"] == "year"]
    assert sum(row["n_events"] for row in rows) == forward_moves(bars, signals, ["6h"], n_bootstrap=99)["6h"].n_events


def test_each_asset_in_each_year_holds_the_events_of_both_and_ranks_nothing_against_them():
    bars = make_bars(n_bars=3_000, n_symbols=2, seed=3, start="2023-11-01")
    masks = slice_masks(bars, np.full(bars.shape, -1), ())
    rows = sliced_moves(MoveTable(bars, ["6h"]), signals_on(bars, 0.03, 1), masks, None, 99, 0)
    found = {row["slice"]: row["n_events"] for row in rows if row["by"] == "asset_year"}
    assert list(found) == ["A 2023", "A 2024", "B 2023", "B 2024"]
    for row in rows:
        if row["by"] in ("asset", "year"):
            assert row["n_events"] == sum(n for name, n in found.items() if row["slice"] in name.split())
        assert 0 <= row["p_matched"] <= 1
    blocks = [row | {"by": "asset_year"} for row in ranked("year", "A 2023", dict.fromkeys("abc", 1.0))]
    assert rank_stability([*blocks, *(row | {"slice": "A 2024"} for row in blocks)]) == []


def test_a_regime_without_decided_rows_is_left_out():
    bars = make_bars(n_bars=600, n_symbols=1, seed=3)
    regimes = np.zeros(bars.shape, np.int8)
    rows = sliced_moves(
        MoveTable(bars, ["6h"]), signals_on(bars, 0.05, 1), slice_masks(bars, regimes, ("calm", "bearish")), None, 99, 0
    )
    assert [row["slice"] for row in rows if row["by"] == "regime"] == ["calm"]


def ranked(by: str, name: str, ratios: dict[str, float], n_events: int = 50) -> list[dict]:
    return [{"by": by, "slice": name, "detector": d, "matched_ratio": r, "n_events": n_events} for d, r in ratios.items()]


def test_kendalls_tau_of_equal_reversed_and_half_turned_rankings():
    slices = [
        *ranked("year", "2021", {"a": 1.0, "b": 1.1, "c": 1.2}),
        *ranked("year", "2022", {"a": 2.0, "b": 3.0, "c": 4.0}),
        *ranked("year", "2023", {"a": 3.0, "b": 2.0, "c": 1.0}),
        *ranked("year", "2024", {"a": 1.0, "b": 3.0, "c": 2.0}),
        *ranked("asset", "A", {"a": 1.0, "b": 2.0, "c": 3.0}),
    ]
    taus = {(pair["first"], pair["second"]): pair["tau"] for pair in rank_stability(slices)}
    assert taus[("2021", "2022")] == pytest.approx(1)
    assert taus[("2021", "2023")] == pytest.approx(-1)
    assert taus[("2021", "2024")] == pytest.approx(1 / 3)
    assert not any("A" in pair for pair in taus)


def test_a_detector_with_few_events_is_not_ranked():
    slices = [
        *ranked("year", "1", {"a": 1, "b": 2, "c": 3}),
        *ranked("year", "2", {"a": 1, "b": 2}),
        *ranked("year", "2", {"c": 3}, 9),
    ]
    assert rank_stability(slices) == []


def test_agreement_counts_alerts_within_the_distance_in_the_same_symbol():
    time = np.datetime64("2024-01-01", "us") + np.arange(8) * parse_duration("1h")

    def alerts(*places: tuple[int, int]) -> Signals:
        active = np.zeros((8, 2), bool)
        for place in places:
            active[place] = True
        return Signals(time, ("A", "B"), active, np.ones((8, 2)), np.full((8, 2), True), parse_duration("1h"))

    found = agreement({"x": alerts((1, 0), (5, 0), (6, 1)), "y": alerts((2, 0), (7, 0)), "none": alerts()}, within=1)
    assert found["x"]["y"] == pytest.approx(1 / 3)
    assert found["y"]["x"] == pytest.approx(1 / 2)
    assert found["x"]["x"] == 1
    assert found["x"]["none"] == 0
    assert np.isnan(found["none"]["x"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    small_study().run().save(folder)
    return folder


def test_a_comparison_of_a_finished_study_tells_what_its_results_hold(folder):
    results = load_results(folder)
    content = comparison({"one": results, "two": results})
    json.dumps(content, allow_nan=False)
    names, table = by_slice(content["studies"]["one"]["slices"], "asset")
    assert names == results["data"]["symbols"]
    assert list(table) == detectors_by_verdict(results)
    for label, cells in table.items():
        assert {row["horizon"] for row in cells if row} == {results["detectors"][label]["verdict_horizon"]}
    assert content["studies"]["one"]["agreement"]["zscore"]["zscore"] == 1
    assert all(row["verdict_first"] == row["verdict_second"] for row in content["changes"])
    assert len(changes({"one": results, "two": results})) == 4


def test_what_is_no_finished_study_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match=r"no results\.json"):
        load_results(tmp_path)
    for content in ("{", "[]", '{"version": 99}', '{"version": 1}'):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(DataError, match=r"not JSON|not a results file of version 1"):
            load_results(tmp_path)

"""Who is who in results.json: strategy, detector and role, in new files as in old ones."""

from __future__ import annotations

import re

import pytest

from foreshock import Study, WalkForward, simulate_market
from foreshock.comparison.comparison import comparison
from foreshock.study.demo import PlantedForeshocks
from foreshock.study.identities import with_identities
from tests.paths import ROOT

ADDED = ("strategy", "detector", "role")


@pytest.fixture(scope="module")
def result():
    bars = simulate_market(seed=7, n_symbols=1, n_bars=1_600).bars
    detectors = {"a[1]": "zscore", "chance": "random", "truth": PlantedForeshocks()}
    return Study(bars, detectors, WalkForward("30D", "15D"), horizons=("6h",), n_surrogates=0, n_bootstrap=99, random_draws=2).run()


def as_of_old(results):
    """The results without what says who is who."""
    backtests = {name: {key: x for key, x in row.items() if key not in ADDED} for name, row in results["backtests"].items()}
    detectors = {label: {key: x for key, x in row.items() if key != "role"} for label, row in results["detectors"].items()}
    return {**results, "backtests": backtests, "detectors": detectors}


def test_every_backtest_says_its_strategy_its_detector_and_its_role(result):
    found = {name: tuple(row[key] for key in ADDED) for name, row in result.results["backtests"].items()}
    labels = ("a[1]", "chance", "truth", "random", "volatility_only")
    assert found == {
        "buy_and_hold": ("buy_and_hold", None, "baseline"),
        "equal_weight": ("equal_weight", None, "baseline"),
        **{f"anomaly_avoidance[{label}]": ("anomaly_avoidance", label, "strategy") for label in labels},
        **{f"random_avoidance[{label}]": ("random_avoidance", label, "random") for label in labels},
    }


def test_a_detector_has_the_role_of_its_class_whatever_it_is_called(result):
    roles = {label: row["role"] for label, row in result.results["detectors"].items()}
    assert roles == {
        "a[1]": "detector", "chance": "baseline", "truth": "oracle", "random": "baseline", "volatility_only": "baseline",
    }  # fmt: skip


def test_the_summary_and_the_closed_trades_follow_the_roles(result):
    backtests = result.results["backtests"]
    for label, row in result.summary().iterrows():
        assert row["avoidance_return"] == backtests[f"anomaly_avoidance[{label}]"]["total_return"]
    names = set(result.closed_trades_frame()["strategy"])
    assert "anomaly_avoidance[a[1]]" in names
    assert not any(name.startswith("random_avoidance") for name in names)


def test_the_page_names_the_oracle_and_tests_neither_it_nor_a_baseline(result, tmp_path):
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "truth, the truth of the simulated market: " in page
    assert "of 1 detector " in page


def test_old_results_are_told_who_is_who_by_their_names(result):
    filled = with_identities(as_of_old(result.results))
    assert filled["backtests"] == result.results["backtests"]
    old = {"random": {}, "volatility_only": {}, "planted_foreshocks": {}, "zscore": {}}
    roles = {label: row["role"] for label, row in with_identities({"detectors": old})["detectors"].items()}
    assert roles == {"random": "baseline", "volatility_only": "baseline", "planted_foreshocks": "oracle", "zscore": "detector"}


def test_what_results_say_of_themselves_is_kept(result):
    assert with_identities(result.results) == result.results


def test_old_results_are_compared_as_new_ones_are(result):
    results = {**result.results}
    results["detectors"] = {label: row for label, row in results["detectors"].items() if label not in ("chance", "truth")}
    old, new = comparison({"study": as_of_old(results)}), comparison({"study": results})
    assert old == new
    assert new["studies"]["study"]["roles"] == {"a[1]": "detector", "random": "baseline", "volatility_only": "baseline"}


def test_no_other_file_reads_a_name_to_learn_who_is_who():
    parsing = re.compile(
        r"""split\("\["|partition\("\["|removesuffix\("\]"|startswith\("?(random|Random|anomaly|Anomaly)|_avoidance\[|planted_foreshocks"""
    )
    folders = ("foreshock", "reports", "strategies", "engine")
    found = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if parsing.search(path.read_text(encoding="utf-8"))
    }
    # The demo names its own detector, and the identity's docstring shows a name.
    assert found == {"foreshock/study/identities.py", "foreshock/study/demo.py", "strategies/identity.py"}

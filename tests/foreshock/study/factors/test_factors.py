"""Latent factors of a study: the file says what ``fs.latent_factors`` found, and the page what stands in the file."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.reports.factors.page import headline
from foreshock.reports.parts import format as fmt
from foreshock.study.factors.factors import stability
from tests.made.factors import N_FACTORS, SPLITS, bars_of, content_of, page_of
from tests.reading.seen import seen, specs, table_of


@pytest.fixture(scope="module")
def factors() -> fs.LatentFactors:
    return fs.latent_factors(bars_of(), "pca", N_FACTORS, SPLITS)


def test_the_file_holds_what_was_found(factors):
    found = content_of()["models"]["pca"]
    assert found["fit"] == pytest.approx({name: factors.fit[name] for name in found["fit"]})
    assert "fit_seconds" not in found["fit"]
    for k, (name, row) in enumerate(found["factors"].items()):
        assert row["share"] == pytest.approx(factors.variance.loc[name, "share"])
        assert row["market"] == pytest.approx(factors.disentanglement.loc[name, "market"])
        returns = factors.factor_returns[:, k]
        returns = returns[~np.isnan(returns)]
        assert row["n"] == len(returns)
        assert row["total_return"] == pytest.approx(np.prod(1 + returns) - 1)
        assert row["volatility"] == pytest.approx(returns.std() * np.sqrt(365 * 24))
        assert found["correlation"][name] == pytest.approx(factors.correlation.loc[name].to_dict())
        assert found["cumulated"][name][-1] == pytest.approx(row["total_return"])


def loadings(*blocks: np.ndarray) -> tuple[np.ndarray, list[slice]]:
    """Two rows of each block."""
    return np.concatenate([[block, block] for block in blocks]), [slice(2 * k, 2 * k + 2) for k in range(len(blocks))]


def test_stability_does_not_depend_on_order_or_rotation_and_its_cosines_do():
    bars = fs.simulate_market(seed=1, n_symbols=5, n_bars=8).bars
    one = np.random.default_rng(0).normal(size=(5, 2))
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    found = stability(*loadings(one, 3 * one @ turn, one), bars)
    assert found["space"] == pytest.approx(1)
    assert found["chance"] == pytest.approx(2 / 5)
    cosine = one[:, 0] @ one[:, 1] / np.linalg.norm(one[:, 0]) / np.linalg.norm(one[:, 1])
    assert found["blocks"][0]["same"] == pytest.approx([cosine, -cosine])
    apart = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 4)))[0]
    assert stability(*loadings(apart[:, :2], apart[:, 2:]), bars)["space"] == pytest.approx(0, abs=1e-12)


def test_random_loadings_keep_what_chance_says():
    bars = fs.simulate_market(seed=1, n_symbols=6, n_bars=600).bars
    rng = np.random.default_rng(3)
    found = stability(*loadings(*rng.normal(size=(300, 6, 2))), bars)
    assert found["space"] == pytest.approx(found["chance"], abs=0.03)


def test_unknown_symbols_are_left_out_and_as_many_symbols_as_factors_say_nothing():
    bars = fs.simulate_market(seed=1, n_symbols=4, n_bars=4).bars
    one = np.random.default_rng(0).normal(size=(4, 2))
    holed = one.copy()
    holed[3] = np.nan
    found = stability(*loadings(one, holed), bars)["blocks"][0]
    assert (found["n_symbols"], found["chance"]) == (3, pytest.approx(2 / 3))
    assert found["space"] == pytest.approx(1)
    holed[2] = np.nan
    assert np.isnan(stability(*loadings(one, holed), bars)["space"])


def test_tables_and_charts_are_the_formatted_file():
    content, page = content_of(), page_of()
    found = content["models"]["pca"]
    row = table_of(page, "models")[0]
    assert row[:2] == ["pca", fmt.percent(found["fit"]["total_r2"], 2)]
    assert [line[1] for line in table_of(page, "factors-0")] == [fmt.percent(one["share"]) for one in found["factors"].values()]
    heat = table_of(page, "correlation-0")
    assert [line[0] for line in heat] == content["data"]["symbols"]
    for line in heat:
        assert line[1:] == [fmt.ratio(one[line[0]]) for one in found["correlation"].values()]
    charts = specs(page)
    for k, trace in enumerate(charts["returns-0"]["data"]):
        assert trace["y"] == pytest.approx(found["cumulated"][f"factor_{k + 1}"], rel=1e-4, abs=1e-9)
    assert charts["stability"]["data"][0]["y"] == pytest.approx([b["space"] for b in found["stability"]["blocks"]], rel=1e-4)
    said = headline(content)
    assert said[0] == (
        f"2 factors of autoencoder: {fmt.percent(found['fit']['total_r2'])} of squared returns are explained out of sample, "
        f"those of pca {fmt.percent(found['fit']['total_r2'])}."
    )
    assert said[0] in seen(page)

"""Latent factors: planted factors are found, no later bar matters, and what is unknown stays unknown."""

from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.detectors.neural.latent.characteristics import lagged_ranks
from foreshock.detectors.neural.latent.factors import lagged_volatility
from foreshock.detectors.neural.latent.models import CrossSections, LinearFactors

SPLITS = fs.WalkForward(train="60D", test="30D", embargo="1D")
MODELS = ("pca", "autoencoder", "vae", "beta_vae", "conditional_autoencoder")


def market(n_bars: int = 24 * 150, seed: int = 0) -> Bars:
    """Eight symbols: a market, a second factor that lifts four and sinks four, and a part of their own."""
    rng = np.random.default_rng(seed)
    f = rng.standard_t(6, (n_bars, 2)) * [1.0, 0.6]
    loading = np.column_stack([np.linspace(0.7, 1.3, 8), np.tile([1.0, -1.0], 4)])
    returns = 0.005 * (f @ loading.T + 0.4 * rng.normal(size=(n_bars, 8)))
    close = 100 * np.exp(np.cumsum(returns, axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    volume = np.exp(rng.normal(5, 1, close.shape))
    time = np.datetime64("2023-01-01", "us") + np.arange(n_bars) * np.timedelta64(3_600_000_000, "us")
    return Bars(time, tuple("ABCDEFGH"), opened, high, low, close, volume, np.timedelta64(3_600_000_000, "us"))


def without(bars: Bars, rows: slice, col: int) -> Bars:
    fields = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in fields.values():
        values[rows, col] = np.nan
    return replace(bars, **fields)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return market()


@pytest.fixture(scope="module")
def found(bars) -> dict[str, fs.LatentFactors]:
    return {name: fs.latent_factors(bars, name, 2, SPLITS, epochs=8) for name in MODELS}


def test_planted_factors_are_found_out_of_sample(found):
    # Of the squared returns 8.2 of 100 are the symbols' own: 0.16 / (0.16 + 0.36 * 1.5 + 1.04 * 1.5), Student t of 6.
    for name in ("pca", "autoencoder", "vae"):
        fit = found[name].fit
        assert fit["total_r2"] > 0.88, name
        assert fit["left_out_r2"] > 0.75, name
    assert found["pca"].fit["total_r2"] >= found["vae"].fit["total_r2"]
    # Nothing forecasts a martingale.
    assert all(abs(factors.fit["predictive_r2"]) < 0.02 for factors in found.values())


def test_variance_adds_up_and_falls(found):
    for factors in found.values():
        np.testing.assert_allclose(factors.variance["share"].cumsum(), factors.variance["cumulative"])
        assert factors.variance["share"].iloc[0] > factors.variance["share"].iloc[1]
    pca = found["pca"]
    # With linear codes, what all factors explain is what is rebuilt from them.
    assert pca.variance["cumulative"].iloc[-1] == pytest.approx(pca.fit["total_r2"], abs=0.005)


def test_disentanglement_tells_the_market_from_the_rest(found):
    pca = found["pca"].disentanglement
    assert pca["market"].iloc[0] > 0.95
    assert pca["own"].iloc[1] > 0.95
    assert pca["purity"].min() > 0.9
    assert pca.attrs["market_gap"] > 0.9
    # The second factor lifts A, C, E, G and sinks B, D, F, H, or the other way round.
    signs = np.sign(found["pca"].correlation.iloc[1].to_numpy())
    assert abs(signs @ np.tile([1, -1], 4)) == 8


@pytest.mark.parametrize("name", MODELS)
def test_later_bars_do_not_change_earlier_factors(bars, found, name):
    n = 24 * 110
    short = fs.latent_factors(bars.head(n), name, 2, SPLITS, epochs=8)
    for part in ("codes", "weights", "factor_returns", "loadings"):
        np.testing.assert_allclose(getattr(short, part), getattr(found[name], part)[:n], rtol=1e-9, atol=1e-9, err_msg=part)


@pytest.mark.parametrize("name", ["pca", "vae", "conditional_autoencoder"])
def test_weights_and_loadings_are_known_a_bar_before(bars, found, name):
    row = 24 * 100
    changed = {field: getattr(bars, field).copy() for field in ("open", "high", "low", "close")}
    for values in changed.values():
        values[row:] *= 1.3
    other = fs.latent_factors(replace(bars, **changed).head(row + 1), name, 2, SPLITS, epochs=8)
    np.testing.assert_allclose(other.weights[row], found[name].weights[row], rtol=1e-9)
    np.testing.assert_allclose(other.loadings[row], found[name].loadings[row], rtol=1e-9)
    assert not np.allclose(other.codes[row], found[name].codes[row])


@pytest.mark.parametrize("name", MODELS)
def test_factor_returns_are_those_of_the_weights_and_follow_the_codes(bars, found, name):
    factors = found[name]
    known = np.flatnonzero(~np.isnan(factors.factor_returns).any(axis=1))
    assert len(known) > 1_500
    simple = bars.returns(log=False)
    for row in known[::97]:
        np.testing.assert_allclose(factors.weights[row] @ simple[row], factors.factor_returns[row], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(np.abs(factors.weights[known]).sum(axis=2), 1, rtol=1e-9)
    assert np.corrcoef(factors.codes[known, 0], factors.factor_returns[known, 0])[0, 1] > 0.8


@pytest.mark.parametrize("name", ["pca", "autoencoder", "conditional_autoencoder"])
def test_a_symbol_that_ends_or_comes_late_stays_unknown(bars, name):
    ends, starts = 24 * 100, 24 * 70
    holed = without(without(bars, slice(ends, None), 7), slice(0, starts), 0)
    factors = fs.latent_factors(holed, name, 2, SPLITS, epochs=6)
    # Blocks begin on days 82 and 112, multiples of 30 days since 1970. It is listed after more than half of the first training
    # window: not in the first block.
    first = slice(24 * 82, 24 * 112)
    assert np.isnan(factors.weights[first, :, 0]).all()
    assert not np.isnan(factors.weights[24 * 125 :, :, 0]).all()
    gone = slice(ends + 1, 24 * 112)
    # The market goes on without it, and so do the portfolios, but for the bar in which it ends.
    assert not np.isnan(factors.codes[gone]).any()
    assert np.isnan(factors.factor_returns[ends]).all()
    assert not np.isnan(factors.factor_returns[gone]).any()
    assert (factors.weights[gone, :, 7] == 0).all()
    np.testing.assert_allclose(np.abs(factors.weights[gone, :, 1:]).sum(axis=2), 1)


def test_the_code_of_a_row_with_a_hole_is_that_of_the_expected_return():
    rng = np.random.default_rng(0)
    returns = rng.normal(size=(4_000, 1)) * [1.0, 0.8, 1.2, 0.9] + 0.3 * rng.normal(size=(4_000, 4))
    model = LinearFactors(2)
    model.fit(CrossSections(returns, np.zeros((4_000, 4, 1))))
    holed = CrossSections(returns[:50], np.zeros((50, 4, 1))).without(1)
    moments = returns.clip(-10, 10).T @ returns.clip(-10, 10) / 4_000 + 1e-3 * np.eye(4)
    others = [0, 2, 3]
    filled = returns[:50].copy()
    filled[:, 1] = returns[:50][:, others] @ np.linalg.solve(moments[np.ix_(others, others)], moments[others, 1])
    np.testing.assert_allclose(model.encode(holed), filled @ model.components_.T, rtol=1e-8)


def test_volatility_is_that_known_before():
    rng = np.random.default_rng(0)
    returns = rng.normal(0, 0.01, (400, 1))
    mean = returns[0] ** 2
    for row in range(1, 300):
        mean = mean + 2 / 169 * (returns[row] ** 2 - mean)
    volatility = lagged_volatility(returns)
    assert volatility[300, 0] == pytest.approx(np.sqrt(mean[0]))
    assert np.isnan(volatility[:168]).all()
    assert not np.isnan(volatility[168:]).any()


def test_ranks_of_ties_and_unknown_values():
    values = np.array([[[2.0], [2.0], [np.nan], [5.0]], [[1.0], [np.nan], [np.nan], [np.nan]], [[0.0]] * 4])
    ranks = lagged_ranks(values)
    np.testing.assert_array_equal(ranks[1].ravel(), [-0.25, -0.25, np.nan, 0.5])
    np.testing.assert_array_equal(ranks[2].ravel(), [0.0, np.nan, np.nan, np.nan])
    assert np.isnan(ranks[0]).all()


def test_equal_seeds_give_equal_factors(bars, found):
    again = fs.latent_factors(bars, "vae", 2, SPLITS, epochs=8)
    np.testing.assert_array_equal(again.codes, found["vae"].codes)
    other = fs.latent_factors(bars, "vae", 2, SPLITS, epochs=8, seed=1)
    assert not np.array_equal(other.codes, found["vae"].codes, equal_nan=True)


def test_what_cannot_work_is_refused(bars):
    with pytest.raises(ConfigError, match="n_factors must lie between 1 and 7 for 8 symbols, got 8"):
        fs.latent_factors(bars, "pca", 8, SPLITS)
    with pytest.raises(ConfigError, match="no such factor model: 'ica'; expected one of pca"):
        fs.latent_factors(bars, "ica", 2, SPLITS)
    with pytest.raises(ConfigError, match="collapsed: no code varies over the training rows; lower beta"):
        fs.latent_factors(bars, "beta_vae", 2, SPLITS, beta=1e4, epochs=8)
    unknown = bars
    for col in range(1, 8):
        unknown = without(unknown, slice(0, 24 * 140), col)
    with pytest.raises(DataError, match="no test block has latent factors"):
        fs.latent_factors(unknown, "pca", 2, SPLITS)

"""Models of latent factors: sparse and denoising ones do what they are for, hidden layers have the sizes that were asked for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.latent import factors
from foreshock.detectors.neural.latent.dense import NOISE
from foreshock.detectors.neural.latent.models import BetaNetwork, CrossSections
from foreshock.detectors.neural.latent.registry import MODELS, make_factor_model
from foreshock.strategies.factor_portfolio import MODELS as OF_PORTFOLIOS
from foreshock.study.traded.weights import Told

N = 2_000


def model(name: str, n_factors: int, epochs: int = 20, hidden: tuple[int, ...] | None = None) -> Any:
    return make_factor_model(name, n_factors, epochs, None, hidden, 0, "cpu")


def sections(returns: np.ndarray) -> CrossSections:
    return CrossSections(returns, np.zeros((*returns.shape, 1)))


def found_factors(name: str, returns: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The largest absolute correlation of each planted factor with a code."""
    fitted = model(name, factors.shape[1], 14)
    fitted.fit(sections(returns))
    codes = fitted.encode(sections(returns))
    return np.abs(np.corrcoef(codes.T, factors.T)[: codes.shape[1], codes.shape[1] :]).max(axis=0)


def test_a_sparse_network_finds_factors_that_are_seldom_far_from_zero():
    rng = np.random.default_rng(6)
    # Of equal size, so that their variance does not tell them apart.
    factors = rng.normal(size=(N, 2)) * (rng.random((N, 2)) < 0.15) * 2.5
    loadings = np.linalg.qr(rng.normal(size=(8, 2)))[0].T * 2
    returns = factors @ loadings + 0.1 * rng.normal(size=(N, 8))
    assert found_factors("sparse_autoencoder", returns, factors).min() > 0.92
    assert found_factors("pca", returns, factors).max() < 0.88


def test_a_denoising_network_takes_out_noise_that_another_passes_on():
    rng = np.random.default_rng(4)
    returns = rng.normal(size=(1_000, 2)) @ rng.normal(size=(2, 8)) + 0.05 * rng.normal(size=(1_000, 8))
    noisy = returns + NOISE * rng.normal(size=returns.shape)
    errors = {}
    for name in ("autoencoder", "denoising_autoencoder"):
        fitted = model(name, 6, 15)
        fitted.fit(sections(returns))
        rebuilt = fitted.decode(fitted.encode(sections(noisy)), sections(noisy))
        errors[name] = float(((rebuilt - returns) ** 2).mean())
    assert errors["denoising_autoencoder"] < 0.9 * errors["autoencoder"]


def test_hidden_layers_have_the_sizes_that_were_asked_for():
    fitted = model("autoencoder", 2, 1, (7, 5))
    fitted.fit(sections(np.random.default_rng(0).normal(size=(600, 4))))
    assert [layer.out_features for layer in fitted.net_.encoder.linear] == [7, 5]
    assert [layer.out_features for layer in fitted.net_.decoder.linear] == [5, 7]
    assert [layer.out_features for layer in BetaNetwork(6, (9,), 2).beta.linear] == [9]
    assert model("conditional_autoencoder", 2).hidden == (32, 16)


def test_latent_factors_pass_hidden_on_and_have_it_by_default():
    bars = fs.simulate_market(seed=1, n_symbols=3, n_bars=1_500).bars
    splits = fs.WalkForward("30D", "30D", "1D")
    usual, same, other = (
        fs.latent_factors(bars, "sparse_autoencoder", 1, splits, epochs=1, hidden=hidden).codes for hidden in (None, [32], [4])
    )
    np.testing.assert_array_equal(same, usual)
    assert not np.array_equal(other, usual, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "hidden", "message"),
    [
        ("pca", (8,), r"pca has no hidden layers, got hidden=\(8,\)"),
        ("vae", (8, 0), r"hidden must be the sizes of hidden layers, each at least 1, got \(8, 0\); such as \(64, 32\)"),
        ("vae", "64", "hidden must be the sizes of hidden layers, each at least 1, got '64'"),
        ("vae", (), "hidden must be the sizes"),
        ("ica", None, "no such factor model: 'ica'; expected one of pca, autoencoder, sparse_autoencoder, denoising_autoencoder"),
    ],
)
def test_what_cannot_be_a_network_is_refused(name, hidden, message):
    with pytest.raises(ConfigError, match=message):
        model(name, 2, 1, hidden)


def test_portfolios_of_factors_know_every_model():
    assert OF_PORTFOLIOS == MODELS
    assert fs.FactorPortfolio(model="denoising_autoencoder").model == "denoising_autoencoder"


def test_a_portfolio_of_factors_passes_its_hidden_layers_on(monkeypatch):
    asked = {}

    def given(bars: fs.Bars, model: str, n_factors: int, splits: fs.WalkForward, **others: Any) -> Any:
        asked.update(others, model=model)
        return SimpleNamespace(factor_returns=None, symbols=(), time=None, weights=None)

    monkeypatch.setattr(factors, "latent_factors", given)
    unknown: Any = None
    portfolio = fs.FactorPortfolio(model="sparse_autoencoder", hidden=(8, 4))
    Told(unknown, fs.WalkForward(), 3).bound(portfolio, unknown)
    assert asked == {"hidden": (8, 4), "seed": 3, "model": "sparse_autoencoder"}
    for model_name in ("pca", None):
        with pytest.raises(ConfigError, match="hidden belongs to a network"):
            fs.FactorPortfolio(model=model_name, hidden=(8,))
    with pytest.raises(ConfigError, match=r"hidden must be the sizes of hidden layers, each at least 1, got \(0,\)"):
        fs.FactorPortfolio(model="vae", hidden=(0,))

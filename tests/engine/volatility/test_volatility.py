"""Volatility models against arch, their own simulations, and planted parameters."""

import numpy as np
import pytest

from foreshock.data.errors import DataError
from foreshock.engine.volatility import Ewma, Garch, Har, NotConvergedError, StochasticVolatility
from foreshock.engine.volatility.garch import garch_log_likelihood_nb, garch_variance_nb
from foreshock.engine.volatility.model import student_constant


def student(n: int, nu: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(nu, n) * np.sqrt((nu - 2) / nu)


def planted_garch(n: int, seed: int, **changes: float) -> np.ndarray:
    values = {"omega": 2e-7, "alpha": 0.04, "gamma": 0.06, "beta": 0.90, "nu": 6.0, "first": 1e-5} | changes
    model = Garch(**values, log_likelihood=0.0, filtered=np.full(1, values["first"]))
    # The limit on the variance of a simulation belongs to fitted models.
    model = Garch(**values, log_likelihood=0.0, filtered=np.array([values["first"], 1.0]))
    return model.simulate(student(n, values["nu"], seed), 0, np.random.default_rng(0))[0]


def test_likelihood_and_variance_equal_those_of_arch():
    from arch import arch_model

    r = planted_garch(1_500, seed=1) * 1_000
    omega, alpha, gamma, beta, nu = 0.3, 0.05, 0.08, 0.88, 6.5
    fixed = arch_model(r, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False).fix([omega, alpha, gamma, beta, nu])
    first = float(fixed.conditional_volatility[0] ** 2)
    ours = garch_log_likelihood_nb(r, omega, alpha, gamma, beta, nu, first, student_constant(nu))
    assert ours == pytest.approx(fixed.loglikelihood, rel=1e-6)
    h = garch_variance_nb(r, omega, alpha, gamma, beta, first)
    np.testing.assert_allclose(h[:-1], fixed.conditional_volatility**2, rtol=1e-9)


def test_the_fit_is_at_least_as_likely_as_that_of_arch():
    from arch import arch_model

    r = planted_garch(3_000, seed=2)
    theirs = arch_model(r * 1_000, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False).fit(disp="off")
    ours = Garch.fit(r)
    assert ours.log_likelihood - len(r) * np.log(1_000) > theirs.loglikelihood - 0.5
    alpha, gamma, beta = (float(theirs.params[name]) for name in ("alpha[1]", "gamma[1]", "beta[1]"))
    assert ours.persistence == pytest.approx(alpha + gamma / 2 + beta, abs=0.02)


def test_planted_parameters_are_found():
    found = Garch.fit(planted_garch(40_000, seed=3))
    assert found.alpha == pytest.approx(0.04, abs=0.015)
    assert found.gamma == pytest.approx(0.06, abs=0.025)
    assert found.beta == pytest.approx(0.90, abs=0.02)
    assert found.nu == pytest.approx(6.0, abs=0.8)
    assert Garch.fit(planted_garch(40_000, seed=3), leverage=False).gamma == 0


def test_forecasts_of_many_bars_are_the_mean_of_what_is_simulated():
    r = planted_garch(5_000, seed=4)
    model = Garch.fit(r)
    h = np.array([4 * model.omega / (1 - model.persistence)])
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(4_000):
        x = 0.0
        variance = h[0]
        for _ in range(12):
            x += variance
            z = rng.standard_t(model.nu) * np.sqrt((model.nu - 2) / model.nu)
            variance = model.omega + (model.alpha + model.gamma * (z < 0)) * variance * z * z + model.beta * variance
        draws.append(x / 12)
    assert model.mean_variance(h, 12)[0] == pytest.approx(np.mean(draws), rel=4 * np.std(draws) / np.mean(draws) / np.sqrt(4_000))
    assert model.mean_variance(h, 1)[0] == pytest.approx(h[0])


def test_har_prefers_its_own_data_and_garch_its_own():
    garch = planted_garch(15_000, seed=6)
    assert Garch.fit(garch).log_likelihood > Har.fit(garch).log_likelihood
    parameters = {"omega": 1e-6, "gamma": 0.05, "weights": (0.1, 0.1, 0.3, 0.4), "nu": 6.0, "first": 1e-5}
    model = Har(**parameters, log_likelihood=0.0, filtered=np.array([1e-5, 1.0]))
    har = model.simulate(student(15_000, 6.0, 7), 0, np.random.default_rng(0))[0]
    fitted = Har.fit(har)
    assert fitted.log_likelihood > Garch.fit(har).log_likelihood
    np.testing.assert_allclose(fitted.weights, parameters["weights"], atol=0.12)
    assert fitted.persistence == pytest.approx(model.persistence, abs=0.05)


def test_har_variance_equals_the_plain_sum():
    r = student(400, 5.0, 8) * 0.01
    r[200] = np.nan
    model = Har(1e-6, 0.1, (0.2, 0.2, 0.2, 0.1), 5.0, 1e-4, 0.0, np.full(1, 1e-4))
    squares = np.full(96 + 400, 1e-4)
    h = np.empty(401)
    h[0] = 1e-4
    for t in range(400):
        squares[96 + t] = h[t] if np.isnan(r[t]) else r[t] ** 2
        down = 0.5 * h[t] if np.isnan(r[t]) else squares[96 + t] * (r[t] < 0)
        means = [squares[96 + t + 1 - w : 96 + t + 1].mean() for w in (1, 6, 24, 96)]
        h[t + 1] = 1e-6 + 0.1 * down + np.dot(model.weights, means)
    np.testing.assert_allclose(model.variance(r), h, rtol=1e-10)


def test_stochastic_volatility_finds_its_parameters_and_shocks_of_variance_one():
    rng = np.random.default_rng(9)
    x = np.zeros(30_000)
    for t in range(1, len(x)):
        x[t] = 0.97 * x[t - 1] + 0.2 * rng.standard_normal()
    r = 0.01 * np.exp(x / 2) * rng.standard_normal(len(x))
    found = StochasticVolatility.fit(r)
    assert found.phi == pytest.approx(0.97, abs=0.015)
    assert found.noise == pytest.approx(0.2, abs=0.05)
    assert np.mean(r**2 / found.smoothed) == pytest.approx(1, abs=1e-6)
    assert np.corrcoef(np.log(found.variance(r)[:-1]), x)[0, 1] > 0.6


@pytest.mark.parametrize("model", [Garch, Har, StochasticVolatility])
def test_later_returns_do_not_change_the_variance_of_earlier_bars(model):
    r = planted_garch(1_200, seed=10)
    r[300:310] = np.nan
    fitted = model.fit(r)
    full = fitted.variance(r)
    assert len(full) == len(r) + 1
    assert not np.isnan(full).any()
    changed = r.copy()
    changed[700:] = 0.5
    assert np.array_equal(fitted.variance(changed)[:701], full[:701])
    assert np.array_equal(fitted.variance(r[:700]), full[:701])
    assert not np.array_equal(fitted.variance(changed)[701:], full[701:])


def test_an_ewma_is_the_exponentially_weighted_mean_of_squares():
    r = np.array([0.01, -0.02, np.nan, 0.03])
    h0, s = np.nanvar(r), 1 - 0.5 ** (1 / 10)
    h1 = h0 + s * (1e-4 - h0)
    h2 = h1 + s * (4e-4 - h1)
    np.testing.assert_allclose(Ewma(10).variance(r), [h0, h1, h2, h2, h2 + s * (9e-4 - h2)])


@pytest.mark.parametrize("model", [Garch, Har, StochasticVolatility])
def test_too_little_data_and_a_price_that_never_moved_are_refused(model):
    with pytest.raises(DataError, match="at least 300 known returns, got 299"):
        model.fit(np.full(299, 0.01))
    with pytest.raises(DataError, match="never moved"):
        model.fit(np.zeros(400))


def test_variance_without_a_mean_is_refused():
    # Alternating regimes of a random walk in log variance: no level to come back to.
    rng = np.random.default_rng(11)
    r = 0.001 * np.exp(np.cumsum(0.05 * rng.standard_normal(5_000))) * rng.standard_normal(5_000)
    with pytest.raises(NotConvergedError, match="use another family"):
        Garch.fit(r)

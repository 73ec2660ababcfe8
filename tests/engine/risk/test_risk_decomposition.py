"""Factor exposures and risk contributions: planted betas, another package's errors, sums that must hold, derivatives."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.risk.decomposition import risk_contributions
from foreshock.engine.risk.estimators.value_at_risk import historical_cvar, historical_var
from foreshock.engine.risk.exposures import factor_exposures, market_factors

NAN = np.nan


def panel(n: int = 800, seed: int = 0) -> np.ndarray:
    """Four symbols with a common factor, betas 0.5 to 2 and heavy tails."""
    rng = np.random.default_rng(seed)
    return 0.01 * (rng.standard_t(4, (n, 1)) * np.array([0.5, 1.0, 1.5, 2.0]) + rng.standard_t(4, (n, 4)))


# ---- exposures


def test_betas_and_newey_west_errors_are_those_of_statsmodels():
    rng = np.random.default_rng(0)
    factors = {"market": 0.01 * rng.standard_normal(400), "size": 1e-5 * rng.standard_normal(400)}
    returns = (
        0.001 + 1.5 * factors["market"] - 30 * factors["size"] + 0.002 * np.convolve(rng.standard_normal(402), np.ones(3), "valid")
    )
    for lags in (0, 6):
        found = factor_exposures(returns, factors, lags)
        kwargs = {"maxlags": lags, "use_correction": False}
        peer = sm.OLS(returns, sm.add_constant(np.column_stack(list(factors.values())))).fit(cov_type="HAC", cov_kwds=kwargs)
        np.testing.assert_allclose(found.table["beta"], peer.params, rtol=1e-9)
        np.testing.assert_allclose(found.table["error"], peer.bse, rtol=1e-9)
        np.testing.assert_allclose(found.table["p"], peer.pvalues, rtol=1e-6, atol=1e-300)
        assert found.r2 == pytest.approx(peer.rsquared, rel=1e-9)
        assert found.lags == lags
    assert factor_exposures(returns, factors).lags == 5


def test_planted_betas_lie_within_their_errors_and_noise_has_none():
    inside = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        market, noise = rng.standard_t(5, (2, 500)) * 0.01
        found = factor_exposures(0.7 * market + 0.01 * rng.standard_normal(500), {"market": market, "noise": noise}).table
        inside += abs(found.loc["market", "beta"] - 0.7) < 1.96 * found.loc["market", "error"]
        inside += found.loc["noise", "p"] > 0.05
    # Of 200 with a chance of .95 each: 190, give or take four times 3.
    assert 178 <= inside <= 200


def test_the_parts_sum_to_the_returns_and_rows_with_anything_unknown_are_left_out():
    x = panel()
    returns, factors = x[:, 0].copy(), market_factors(x[:, 1:])
    returns[3], factors["market"][9] = NAN, NAN
    found = factor_exposures(returns, factors)
    assert (found.n, found.n_missing) == (798, 2)
    total = np.sum(list(found.parts.values()), axis=0)
    keep = ~np.isnan(total)
    assert keep.sum() == 798
    np.testing.assert_allclose(total[keep], returns[keep], atol=1e-15)
    assert list(found.parts) == ["market", "residual"]


def test_the_market_is_the_mean_of_the_symbols_that_are_known():
    returns = np.array([[0.01, 0.03, NAN], [NAN, NAN, NAN], [0.02, 0.02, 0.05]])
    np.testing.assert_allclose(market_factors(returns)["market"], [0.02, NAN, 0.03])


def test_components_are_uncorrelated_portfolios_and_the_first_explains_the_most():
    x = panel(3_000)
    factors = market_factors(x, 4)
    assert list(factors) == ["market", "pca_1", "pca_2", "pca_3", "pca_4"]
    components = np.array([factors[f"pca_{k}"] for k in (1, 2, 3, 4)])
    correlation = np.corrcoef(components)
    np.testing.assert_allclose(correlation, np.eye(4), atol=1e-9)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    explained = [np.mean([np.corrcoef(part, column)[0, 1] ** 2 for column in standard.T]) for part in components]
    assert explained == sorted(explained, reverse=True)
    np.testing.assert_allclose(4 * np.array(explained), np.sort(np.linalg.eigvalsh(np.corrcoef(x.T)))[::-1], rtol=1e-9)
    # Portfolio returns: twice the returns, twice the factor; a symbol in other units changes nothing.
    weights = np.linalg.lstsq(x, factors["pca_1"])[0]
    assert np.abs(weights).sum() == pytest.approx(1)
    assert weights.sum() > 0
    holes = x.copy()
    holes[5, 2] = NAN
    assert np.isnan(market_factors(holes, 1)["pca_1"][5])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: factor_exposures(x[:, 0], {}), ConfigError, "factors must be at least one"),
        (lambda x: factor_exposures(x[:, 0], {"m": x[:9, 1]}), ConfigError, r"factor 'm' must be finite, one value per return"),
        (lambda x: factor_exposures(x[:, 0], {"m": np.full(800, np.inf)}), ConfigError, "factor 'm' must be finite"),
        (lambda x: factor_exposures(x[:, 0] - 2, {"m": x[:, 1]}), ConfigError, "at least -1"),
        (lambda x: factor_exposures(x[:, 0], {"m": x[:, 1]}, lags=-1), ConfigError, "lags must be a whole number"),
        (lambda x: factor_exposures(x[:3, 0], {"m": x[:3, 1]}), DataError, "2 coefficients need at least 4 known rows, got 3"),
        (lambda x: factor_exposures(x[:, 0], {"m": x[:, 1], "n": 2 * x[:, 1]}), DataError, "not be combinations of each other"),
        (lambda x: factor_exposures(x[:, 0], {"m": np.full(800, 0.007)}), DataError, "must vary"),
        (lambda x: market_factors(x[:, 0]), ConfigError, r"shape \(n_bars, n_symbols\)"),
        (lambda x: market_factors(x, 5), ConfigError, "at most the 4 symbols, got 5"),
        (lambda x: market_factors(x[:4], 1), DataError, "more rows than symbols"),
        (lambda x: market_factors(np.where([True, True, True, False], x, 0.007), 1), DataError, "known and moving"),
        (lambda x: risk_contributions({}), ConfigError, "parts must be at least one"),
        (lambda x: risk_contributions({"total": x[:, 0]}), ConfigError, "none of them named 'total'"),
        (lambda x: risk_contributions({"a": x[:, 0], "b": x[:5, 0]}), ConfigError, "series of equal length"),
        (lambda x: risk_contributions({"a": x}), ConfigError, "series of equal length"),
        (lambda x: risk_contributions({"a": np.full(9, np.inf)}), ConfigError, "finite"),
        (lambda x: risk_contributions({"a": x[:, 0]}, [1.0]), ConfigError, "level must be between 0 and 1"),
        (lambda x: risk_contributions({"a": x[:, 0]}, []), ConfigError, "levels must be at least one"),
        (lambda x: risk_contributions({"a": np.array([NAN, 0.1])}), DataError, "at least 2 rows with every part known, got 1"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(panel())


# ---- contributions


def test_contributions_sum_to_the_risk_of_the_whole():
    x = panel()
    parts = {name: weight * column for name, weight, column in zip("abcd", (0.4, 0.4, 0.4, -0.2), x.T, strict=True)}
    table = risk_contributions(parts, (0.9, 0.95, 0.99, 0.999))
    total = np.sum(list(parts.values()), axis=0)
    np.testing.assert_allclose(table.drop("total").sum(), table.loc["total"], rtol=1e-12)
    assert table.loc["total", "volatility"] == pytest.approx(total.std(ddof=1), rel=1e-12)
    for level in (0.9, 0.95, 0.99, 0.999):
        name = f"{100 * level:g}"
        assert table.loc["total", f"var_{name}"] == historical_var(total, level)
        assert table.loc["total", f"cvar_{name}"] == pytest.approx(historical_cvar(total, level), rel=1e-12)
    # The short position takes risk away.
    assert (table.loc["d"] < 0).all()


def test_contributions_to_volatility_and_cvar_are_derivatives():
    x = panel(500)
    weights = np.array([0.1, 0.2, 0.3, 0.4])

    def risk(w: np.ndarray) -> np.ndarray:
        return np.array([(x @ w).std(ddof=1), historical_cvar(x @ w, 0.95)])

    table = risk_contributions({str(i): weights[i] * x[:, i] for i in range(4)}, [0.95])
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-6
        slope = (risk(weights + step) - risk(weights - step)) / 2e-6
        np.testing.assert_allclose(table.loc[str(i), ["volatility", "cvar_95"]], weights[i] * slope, rtol=1e-4)


def test_of_normal_parts_the_contributions_to_var_are_those_to_volatility():
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((20_000, 1))
    x = 0.01 * (factor * [1.0, 2.0, -1.0] + rng.standard_normal((20_000, 3)) * [1.0, 0.5, 2.0])
    table = risk_contributions({name: column for name, column in zip("abc", x.T, strict=True)}, [0.95])
    share = table / table.loc["total"]
    np.testing.assert_allclose(share["var_95"], share["volatility"], atol=0.03)
    np.testing.assert_allclose(share["cvar_95"], share["volatility"], atol=0.03)


def test_unknown_rows_are_left_out_and_a_sure_gain_has_no_parts_of_var():
    x = panel(300)
    parts = {"a": x[:, 0], "b": x[:, 1]}
    holes = {name: np.insert(part, 7, fill) for (name, part), fill in zip(parts.items(), (NAN, 0.5), strict=True)}
    assert risk_contributions(holes).equals(risk_contributions(parts))
    flat = risk_contributions({"a": np.full(50, 0.007), "b": np.full(50, 0.001)}, [0.95])
    assert flat.loc["total"].to_dict() == pytest.approx({"volatility": 0.0, "var_95": -0.008, "cvar_95": -0.008})
    assert math.isnan(flat.loc["a", "var_95"])
    assert math.isnan(flat.loc["a", "volatility"])
    assert flat.loc["a", "cvar_95"] == pytest.approx(-0.007)


def test_a_strategy_of_market_and_noise_has_its_risk_from_both():
    x = panel(2_000)
    found = factor_exposures(x[:, 0], market_factors(x[:, 1:]))
    table = risk_contributions(found.parts)
    share = table.loc["market", "volatility"] / table.loc["total", "volatility"]
    assert share == pytest.approx(found.r2, rel=1e-9)

"""Risk figures against closed forms, numerical integration, and examples worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, stats

from foreshock.data.errors import ConfigError
from foreshock.engine.risk.estimators.report import ESTIMATORS, MOMENTS, risk_report
from foreshock.engine.risk.estimators.value_at_risk import (
    cornish_fisher_cvar,
    cornish_fisher_is_monotone,
    cornish_fisher_var,
    gaussian_cvar,
    gaussian_var,
    historical_cvar,
    historical_var,
)
from foreshock.engine.risk.forecasts.path import risk_path
from foreshock.engine.risk.performance import drawdown, performance
from tests.studies.var_calibration import right_forecasts

NAN = np.nan
SERIES = arrays(float, st.integers(5, 80), elements=st.floats(-0.5, 0.5, width=32))
LEVELS = st.sampled_from([0.5, 0.9, 0.95, 0.99])


def mild(n: int = 2_000) -> np.ndarray:
    """Returns of mild skew and kurtosis, where the Cornish-Fisher quantile is monotone."""
    rng = np.random.default_rng(2)
    return 0.001 - 0.006 * (rng.gamma(9, 1, n) - 9) / 3 + 0.005 * rng.laplace(0, 1, n)


# ---- value at risk


def test_historical_figures_of_a_hundred_losses_are_read_off():
    returns = -np.random.default_rng(0).permutation(np.arange(1, 101)) / 1000
    assert historical_var(returns, 0.95) == pytest.approx(0.095)
    assert historical_cvar(returns, 0.95) == pytest.approx(np.mean([0.096, 0.097, 0.098, 0.099, 0.100]))
    assert historical_var(returns, 0.99) == pytest.approx(0.099)
    assert historical_cvar(returns, 0.99) == pytest.approx(0.1)


def test_the_historical_tail_weighs_one_minus_the_level_when_it_has_no_whole_number_of_losses():
    # 5 % of 30 losses are the largest and half of the next.
    returns = -np.arange(1, 31) / 100
    assert historical_cvar(returns, 0.95) == pytest.approx((0.30 + 0.5 * 0.29) / 1.5)


@given(returns=SERIES, level=LEVELS)
def test_historical_cvar_is_the_mean_of_the_quantiles_beyond_the_level(returns, level):
    losses = np.sort(-returns)
    edges = np.arange(len(losses) + 1) / len(losses)
    weight = np.clip(edges[1:] - np.maximum(edges[:-1], level), 0, None)
    assert historical_cvar(returns, level) == pytest.approx(weight @ losses / (1 - level), abs=1e-9)


def test_a_gain_in_the_worst_case_is_a_negative_loss():
    assert historical_var(np.full(50, 0.01), 0.95) == -0.01
    assert gaussian_var(np.full(50, 0.01), 0.95) == -0.01


def test_gaussian_figures_are_those_of_the_normal_distribution():
    returns = np.array([-0.03, 0.01, 0.02, 0.04])
    normal = stats.norm(returns.mean(), returns.std(ddof=1))
    for level in (0.95, 0.99):
        assert gaussian_var(returns, level) == pytest.approx(-normal.ppf(1 - level), rel=1e-12)
        below = normal.expect(lambda x: x, ub=normal.ppf(1 - level), conditional=True)
        assert gaussian_cvar(returns, level) == pytest.approx(-below, rel=1e-7)


def cornish_fisher_quantile(returns: np.ndarray, p: float) -> float:
    """Written out from the definition, with scipy's moments."""
    z, s, k = stats.norm.ppf(p), stats.skew(returns), stats.kurtosis(returns)
    w = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    return returns.mean() + returns.std(ddof=1) * w


def test_cornish_fisher_var_is_the_quantile_and_cvar_its_integral():
    returns = mild()
    assert stats.skew(returns) < -0.1
    for level in (0.9, 0.95, 0.99):
        assert cornish_fisher_var(returns, level) == pytest.approx(-cornish_fisher_quantile(returns, 1 - level), rel=1e-12)
        tail, _ = integrate.quad(lambda p: cornish_fisher_quantile(returns, p), 0, 1 - level, epsabs=1e-12)
        assert cornish_fisher_cvar(returns, level) == pytest.approx(-tail / (1 - level), rel=1e-7)


def test_cornish_fisher_comes_closer_to_a_skewed_truth_than_the_gaussian():
    returns, level = 0.001 - 0.01 * (np.random.default_rng(2).gamma(16, 1, 200_000) - 16) / 4, 0.99
    truth = -0.001 + 0.01 * (stats.gamma(16).ppf(level) - 16) / 4
    assert cornish_fisher_var(returns, level) == pytest.approx(truth, rel=0.01)
    assert gaussian_var(returns, level) < 0.92 * truth


def test_without_skew_and_kurtosis_cornish_fisher_is_gaussian():
    # Equal weights at 0 (4 of 6) and at both ends have kurtosis 3 and no skew.
    returns = np.array([-0.03, 0, 0, 0, 0, 0.03])
    for level in (0.95, 0.99):
        assert cornish_fisher_var(returns, level) == pytest.approx(gaussian_var(returns, level), rel=1e-12)
        assert cornish_fisher_cvar(returns, level) == pytest.approx(gaussian_cvar(returns, level), rel=1e-12)


@given(returns=SERIES.filter(lambda r: np.ptp(r) > 1e-6))
@settings(max_examples=300)
def test_the_monotone_domain_is_where_the_quantile_never_falls(returns):
    z = np.linspace(-40, 40, 80_001)
    s, k = stats.skew(returns), stats.kurtosis(returns)
    w = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    if cornish_fisher_is_monotone(returns):
        assert np.diff(w).min() > -1e-9
    else:
        slope_2, slope_1, slope_0 = k / 8 - s**2 / 6, s / 3, 1 - k / 8 + 5 * s**2 / 36
        # Outside the domain it falls somewhere: far out, or at the vertex of its slope.
        assert slope_2 < 0 or slope_0 - slope_1**2 / (4 * slope_2) < 1e-9


def test_heavy_tails_and_negative_kurtosis_are_marked_as_outside_the_cornish_fisher_domain():
    heavy = np.concatenate([np.tile([0.01, -0.01], 500), [-0.3, 0.3]])
    assert stats.kurtosis(heavy) > 8
    assert not cornish_fisher_is_monotone(heavy)
    assert not cornish_fisher_is_monotone(np.tile([0.01, -0.01], 500))
    assert cornish_fisher_is_monotone(mild())
    # Rare crashes (skew -16, kurtosis 307): the slope has no root and is negative throughout.
    assert not cornish_fisher_is_monotone(np.concatenate([np.zeros(1_000), np.full(8, -0.1), [-0.3]]))


@pytest.mark.parametrize("name", MOMENTS)
@given(returns=SERIES, level=LEVELS, shift=st.floats(-0.1, 0.1), scale=st.floats(0.1, 0.9))
@settings(max_examples=50)
def test_risk_moves_with_the_returns(name, returns, level, shift, scale):
    # Spread well above the rounding that a shift brings in.
    if np.ptp(returns) < 1e-4:
        return
    for figure in MOMENTS[name]:
        # Double the returns, double the loss; a sure gain is so much less loss.
        expected = scale * figure(returns, level) - shift
        assert figure(scale * returns + shift, level) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["historical", "gaussian"])
@given(returns=SERIES, level=LEVELS)
@settings(max_examples=50)
def test_the_mean_beyond_the_quantile_is_no_smaller_than_the_quantile(name, returns, level):
    var, cvar = MOMENTS[name]
    assert cvar(returns, level) >= var(returns, level) - 1e-12


@pytest.mark.parametrize("name", MOMENTS)
def test_unknown_returns_are_left_out_not_taken_for_zero(name):
    returns = mild(500)
    holes = np.insert(returns, [0, 100, 500], NAN)
    for figure in MOMENTS[name]:
        assert figure(holes, 0.95) == figure(returns, 0.95)


def test_the_report_has_every_level_and_estimator_and_counts_what_it_left_out():
    history, *_ = right_forecasts(1_000, 0.99, np.random.default_rng(0))
    returns = np.insert(history, [3, 7], NAN)
    report = risk_report(returns)
    assert report.index.tolist() == [("bar", level, name) for level in (0.95, 0.99) for name in ESTIMATORS]
    assert report["n"].unique().tolist() == [1_000]
    assert report["n_missing"].unique().tolist() == [2]
    assert report["valid"].tolist() == [True] * 12
    assert report["reason"].unique().tolist() == [""]
    for level in (0.95, 0.99):
        for name, figures in MOMENTS.items():
            row = report.loc[("bar", level, name), ["var", "cvar"]]
            assert row.tolist() == [figure(returns, level) for figure in figures]


def test_daily_figures_are_those_of_compounded_utc_days():
    rng = np.random.default_rng(1)
    days = rng.normal(0, 0.01, (40, 24))
    compounded = np.prod(1 + days, axis=1) - 1
    report = risk_report(days.ravel(), interval="1h")
    assert report.loc[("day", 0.95, "historical"), "var"] == pytest.approx(historical_var(compounded, 0.95), rel=1e-12)
    # The same bars from 05:00 on: the two days that are cut off do not count.
    time = np.datetime64("2024-03-01T05", "us") + np.arange(40 * 24 - 8) * np.timedelta64(1, "h")
    cut = risk_report(days.ravel()[5:-3], interval="1h", time=time)
    assert cut.loc[("day", 0.95, "gaussian"), "n"] == 38
    assert cut.loc[("day", 0.95, "gaussian"), "var"] == pytest.approx(gaussian_var(compounded[1:-1], 0.95), rel=1e-12)
    assert cut.loc[("bar", 0.95, "gaussian"), "n"] == 40 * 24 - 8


def test_a_day_with_an_unknown_bar_is_unknown():
    days = np.random.default_rng(1).normal(0, 0.01, (30, 24))
    days[4, 7] = NAN
    row = risk_report(days.ravel(), interval="1h").loc[("day", 0.95, "gaussian")]
    assert (row["n"], row["n_missing"]) == (29, 1)
    assert row["var"] == pytest.approx(gaussian_var(np.prod(1 + np.delete(days, 4, axis=0), axis=1) - 1, 0.95), rel=1e-12)


def test_a_tail_without_a_whole_observation_is_marked():
    report = risk_report(mild(60))
    assert not report.loc[("bar", 0.99, "historical"), "valid"]
    assert report.loc[("bar", 0.99, "historical"), "reason"] == "60 returns have no whole one in the tail of 0.99"
    assert report.drop(index=["extreme_value", "filtered_historical", "garch_t"], level=2)["valid"].sum() == 5
    assert risk_report(mild(100)).loc[("bar", 0.99, "historical"), "valid"]


def test_figures_that_do_not_exist_are_nan_and_marked():
    flat = risk_report(np.zeros(200)).loc[("bar", 0.95)]
    assert math.isnan(flat.loc["cornish_fisher", "var"])
    assert not flat.loc["cornish_fisher", "valid"]
    assert flat.loc["gaussian", "var"] == 0
    empty = risk_report(np.full(5, NAN))
    assert np.isnan(empty["var"].to_numpy()).all()
    assert empty["valid"].tolist() == [False] * 12
    assert empty["n_missing"].tolist() == [5] * 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: risk_report(np.ones((2, 2))), r"one series, got the shape \(2, 2\)"),
        (lambda: risk_report(np.array([0.1, -1.5])), "at least -1"),
        (lambda: risk_report(np.array([0.1, np.inf])), "finite"),
        (lambda: risk_report(np.zeros(9), levels=[]), "levels must be at least one"),
        (lambda: risk_report(np.zeros(9), trades=np.array([0.1, -2.0])), "at least -1"),
        (lambda: risk_report(np.zeros(9), levels=[95]), "level must be between 0 and 1, such as 0.95, got 95"),
        (lambda: risk_report(np.zeros(9), interval="7h"), "a day must be a whole number of 7h bars"),
        (lambda: risk_report(np.zeros(9), time=np.zeros(9)), "pass interval"),
        (lambda: risk_report(np.zeros(3), interval="1h", time=np.array(["2024-01-01"], "M8[us]")), "3 in all"),
        (lambda: performance(np.array([0.1, -2.0]), "1h"), "at least -1"),
        (lambda: drawdown(np.array([0.0, 1.0])), "start above zero"),
        (lambda: drawdown(np.ones((2, 2))), "one series"),
    ],
)
def test_returns_that_cannot_be_judged_are_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


# ---- performance


def test_performance_of_four_quarters_is_that_worked_by_hand():
    # Bars of 73 days: five a year. Equity 1.1, 0.99, 1.188, 1.188.
    result = performance(np.array([0.1, -0.1, 0.2, 0.0]), "73d")
    assert result.total_return == pytest.approx(0.188)
    assert result.annual_return == pytest.approx(1.188 ** (5 / 4) - 1)
    std = math.sqrt((0.05**2 + 0.15**2 + 0.15**2 + 0.05**2) / 3)
    assert result.annual_volatility == pytest.approx(std * math.sqrt(5))
    assert result.sharpe == pytest.approx(0.05 / std * math.sqrt(5))
    assert result.sortino == pytest.approx(0.05 / math.sqrt(0.01 / 4) * math.sqrt(5))
    assert result.max_drawdown == pytest.approx(0.1)
    assert result.calmar == pytest.approx((1.188 ** (5 / 4) - 1) / 0.1)
    assert (result.var_95, result.cvar_95) == pytest.approx((0.1, 0.1))
    assert (result.n, result.n_missing) == (4, 0)


def test_a_loss_in_the_first_bar_is_a_drawdown_from_the_start():
    assert performance(np.array([-0.25, 0.1]), "1h").max_drawdown == pytest.approx(0.25)


def test_the_sharpe_interval_covers_a_known_ratio_in_95_percent_of_skewed_histories():
    rng = np.random.default_rng(3)
    # Minus an exponential: skew -2, kurtosis 9. Mean 0.2, deviation 1 (in percent).
    truth, covered = 0.2 * math.sqrt(365), 0
    plain = 0
    for _ in range(2_000):
        returns = 0.01 * (1.2 - rng.exponential(1, 500))
        result = performance(returns, "1d")
        covered += result.sharpe_ci[0] <= truth <= result.sharpe_ci[1]
        normal_error = 1.96 * math.sqrt((1 + 0.5 * result.sharpe**2 / 365) / 500 * 365)
        plain += abs(result.sharpe - truth) <= normal_error
    # Four standard errors of a share of .95 in 2,000 are .02; without skew and kurtosis the interval is too short.
    assert abs(covered / 2_000 - 0.95) < 0.02
    assert plain / 2_000 < 0.92


def test_the_sharpe_error_is_the_delta_method_formula():
    returns = mild(300)
    ratio, s, k = returns.mean() / returns.std(ddof=1), stats.skew(returns), stats.kurtosis(returns, fisher=False)
    error = math.sqrt((1 - s * ratio + (k - 1) / 4 * ratio**2) / 300)
    result = performance(returns, "1h")
    year = math.sqrt(365 * 24)
    assert result.sharpe == pytest.approx(ratio * year, rel=1e-12)
    assert result.sharpe_ci == pytest.approx(((ratio - 1.959964 * error) * year, (ratio + 1.959964 * error) * year), rel=1e-6)


# Fifty times 0.007 has a standard deviation of 9e-19 in floating point.
@pytest.mark.parametrize("value", [0.0, 0.007])
def test_returns_that_do_not_vary_have_no_sharpe_ratio(value):
    result = performance(np.full(50, value), "1h")
    assert math.isnan(result.sharpe)
    assert math.isnan(result.sharpe_ci[0])
    assert math.isnan(result.sortino)
    assert math.isnan(result.calmar)
    assert result.annual_volatility == 0
    assert result.total_return == pytest.approx((1 + value) ** 50 - 1)


def test_unknown_returns_shorten_the_year_and_change_nothing_else():
    returns = mild(100)
    whole, holes = performance(returns, "1h"), performance(np.insert(returns, [5, 50], NAN), "1h")
    assert (holes.n, holes.n_missing) == (100, 2)
    for name in ("total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown", "var_99", "cvar_99"):
        assert getattr(holes, name) == getattr(whole, name)


def test_a_total_loss_is_a_loss_of_everything_a_year():
    result = performance(np.array([0.1, -1.0, 0.5]), "1h")
    assert (result.total_return, result.annual_return, result.max_drawdown) == (-1, -1, 1)


def test_nothing_known_gives_nothing_but_counts():
    result = performance(np.full(3, NAN), "1h")
    assert math.isnan(result.total_return)
    assert math.isnan(result.max_drawdown)
    assert math.isnan(result.var_95)
    assert (result.n, result.n_missing) == (0, 3)


def test_the_year_has_365_days():
    returns = mild(1_000)
    hourly, daily = performance(returns, "1h"), performance(returns, "1d")
    assert hourly.annual_volatility / daily.annual_volatility == pytest.approx(math.sqrt(24))
    assert daily.annual_volatility == pytest.approx(returns.std(ddof=1) * math.sqrt(365))


def test_drawdown_is_the_loss_from_the_highest_equity_so_far_and_passes_over_unknown_rows():
    np.testing.assert_allclose(drawdown(np.array([NAN, 2, 1, NAN, 4, 3])), [NAN, 0, 0.5, NAN, 0, 0.25])


@given(equity=arrays(float, st.integers(1, 40), elements=st.floats(0.01, 100)))
def test_drawdown_is_the_slow_definition(equity):
    slow = [1 - equity[t] / max(equity[: t + 1]) for t in range(len(equity))]
    np.testing.assert_array_equal(drawdown(equity), slow)


def test_filters_of_an_account_that_is_often_in_cash_are_marked_as_not_valid():
    rng = np.random.default_rng(3)
    returns = rng.standard_t(4, 3_000) * 0.005
    held = risk_report(returns, levels=[0.99])
    assert held["valid"].all()
    returns[np.add.outer(np.arange(0, 3_000, 100), np.arange(24)).ravel() % 3_000] = 0.0
    stood_aside = risk_report(returns, levels=[0.99]).xs(("bar", 0.99))
    filters = stood_aside.loc[["filtered_historical", "garch_t"]]
    assert not filters["valid"].any()
    assert filters["reason"].str.startswith("24.0 % of the returns lie in runs of 10 zeros").all()
    assert stood_aside.drop(filters.index)["valid"].all()
    path = risk_path(returns, np.timedelta64(1, "h"), np.datetime64("2024-01-01", "us") + np.arange(3_000) * np.timedelta64(1, "h"))
    assert list(path.forecasts) == ["historical"]
    assert {row["method"] for row in path.tests()} == {"historical"}

"""VaR and CVaR from a Pareto tail and from a GARCH filter, in the report: against closed forms, planted truth and slow twins."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from foreshock.data.errors import DataError
from foreshock.engine.kernels.loss_tail import rolling_four_moments_nb, rolling_loss_tail_nb
from foreshock.engine.risk.estimators.filtered import GarchFilter, filtered_historical, garch_t, student_tail
from foreshock.engine.risk.estimators.report import risk_report
from foreshock.engine.risk.estimators.tail import ParetoTail
from foreshock.engine.risk.estimators.value_at_risk import historical_cvar, historical_var, loss_tail
from foreshock.engine.volatility import Garch, NotConvergedError
from tests.studies.var_calibration import right_forecasts

NAN = np.nan


def history(n: int = 2_000, seed: int = 0) -> np.ndarray:
    returns, *_ = right_forecasts(n, 0.99, np.random.default_rng(seed))
    return returns


# ---- Pareto tail


def test_the_figures_of_a_pareto_tail_are_the_quantile_of_its_distribution_and_the_mean_beyond():
    for shape in (-0.2, 0.0, 0.3):
        tail = ParetoTail(0.02, 0.1, shape, 0.01)
        law = stats.genpareto(shape, loc=0.02, scale=0.01)
        for level in (0.95, 0.99, 0.999):
            quantile = law.ppf(1 - (1 - level) / 0.1)
            assert tail.var(level) == pytest.approx(quantile, rel=1e-12)
            beyond = law.expect(lambda x: x, lb=quantile, conditional=True)
            assert tail.cvar(level) == pytest.approx(beyond, rel=1e-5)


def test_extreme_value_figures_find_those_of_a_student_t_far_out():
    nu, level = 3.0, 0.999
    quantile = stats.t.ppf(level, nu)
    mean = stats.t.pdf(quantile, nu) / (1 - level) * (nu + quantile**2) / (nu - 1)
    found = []
    for seed in range(40):
        returns = 0.01 * stats.t.rvs(nu, size=2_000, random_state=np.random.default_rng(seed))
        tail = ParetoTail.fit(-returns)
        found.append([tail.var(level), historical_var(returns, level), tail.cvar(level)])
    error = np.abs(np.log(np.array(found) / [0.01 * quantile, 0.01 * quantile, 0.01 * mean])).mean(axis=0)
    assert np.median(np.array(found)[:, 0]) == pytest.approx(0.01 * quantile, rel=0.1)
    # Two losses lie beyond the historical quantile; the tail is fitted to two hundred.
    assert error[0] < error[1]
    assert np.median(np.array(found)[:, 2]) == pytest.approx(0.01 * mean, rel=0.15)


def test_a_tail_without_a_mean_has_a_var_and_no_cvar():
    returns = -0.0001 * stats.pareto.rvs(0.5, size=1_000, random_state=np.random.default_rng(0)).clip(0, 9_999)
    report = risk_report(returns, [0.99]).loc[("bar", 0.99, "extreme_value")]
    assert report["var"] > 0
    assert math.isnan(report["cvar"])
    assert (report["valid"], report["reason"]) == (False, "the tail has no mean")


def test_no_tail_is_made_of_too_few_or_tied_losses_or_where_it_has_not_begun():
    for returns in (history(99), np.zeros(500), np.full(500, 0.007), np.repeat([0.01, -0.01], [991, 9])):
        with pytest.raises(DataError, match="Pareto tail needs"):
            ParetoTail.fit(-returns)
    report = risk_report(history(500), [0.9]).loc[("bar", 0.9, "extreme_value")]
    assert math.isnan(report["var"])
    assert report["reason"] == "the tail begins at 0.9"


def test_where_ties_hold_the_threshold_beyond_the_level_it_is_the_quantile():
    # 2 % lie above the tied losses, so the 95 % quantile is among the ties; the excess beyond weighs 2 in 5.
    losses = np.concatenate([np.zeros(850), np.full(130, 0.01), 0.01 + 0.001 * np.arange(1, 21)])
    tail = ParetoTail.fit(losses)
    assert tail.var(0.95) == loss_tail(losses, 0.95)[0] == 0.01
    assert tail.cvar(0.95) == pytest.approx(loss_tail(losses, 0.95)[1], rel=0.02)
    assert tail.var(0.99) > 0.01


# ---- GARCH filter


def test_the_student_tail_is_the_quantile_and_the_mean_beyond():
    for nu in (2.5, 5.0, 50.0):
        for level in (0.9, 0.99):
            law = stats.t(nu, scale=math.sqrt((nu - 2) / nu))
            beyond, _ = integrate.quad(lambda p, law=law: law.ppf(p), level, 1, epsrel=1e-10, limit=500)
            assert student_tail(nu, level) == pytest.approx((law.ppf(level), beyond / (1 - level)), rel=1e-6)


def test_forecasts_of_a_filter_are_those_of_the_process_that_made_the_returns():
    errors = []
    for seed in range(10):
        returns, var, es = right_forecasts(4_001, 0.99, np.random.default_rng(seed))
        known = returns[:-1]
        fitted = GarchFilter.fit(known)
        for figure in (garch_t, filtered_historical):
            errors.append(np.log(np.array(figure(fitted, known, 0.99)) / [var[-1], es[-1]]))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.05
    assert np.abs(errors).max() < 0.35
    # What the volatility of the moment adds: the spread of the true VaR itself is larger.
    assert np.std(np.log(right_forecasts(4_000, 0.99, np.random.default_rng(0))[1])) > 0.2


def test_a_filter_reproduces_the_recursion_step_by_step():
    returns = history(600)
    fitted = GarchFilter.fit(returns)
    model, h = fitted.model, fitted.model.first
    deviation, shocks = [], []
    for r in returns:
        deviation.append(math.sqrt(h))
        shocks.append((r - fitted.mean) / deviation[-1])
        h = model.omega + model.alpha * (r - fitted.mean) ** 2 + model.beta * h
    q, tail = student_tail(model.nu, 0.99)
    assert garch_t(fitted, returns, 0.99) == pytest.approx((math.sqrt(h) * q - fitted.mean, math.sqrt(h) * tail - fitted.mean))
    sample = np.sort(-np.array(shocks))
    var, cvar = filtered_historical(fitted, returns, 0.95)
    assert var == pytest.approx(math.sqrt(h) * sample[569] - fitted.mean)
    assert cvar == pytest.approx(math.sqrt(h) * sample[570:].mean() - fitted.mean)


def test_the_figures_of_a_filter_know_that_volatility_is_high_now():
    calm, wild = history(1_500).copy(), history(1_500).copy()
    wild[-3:] = [0.06, -0.07, 0.06]
    quiet, loud = (risk_report(returns, [0.99]).loc[("bar", 0.99)] for returns in (calm, wild))
    for name in ("garch_t", "filtered_historical"):
        assert loud.loc[name, "var"] > 1.5 * quiet.loc[name, "var"]
    assert loud.loc["historical", "var"] < 1.1 * quiet.loc["historical", "var"]


def test_a_filter_that_cannot_be_fitted_says_why_in_the_report():
    report = risk_report(history(299), [0.95])
    for name in ("garch_t", "filtered_historical"):
        row = report.loc[("bar", 0.95, name)]
        assert math.isnan(row["var"])
        assert "at least 300 known returns, got 299" in row["reason"]
    for value in (0.0, 0.007):
        flat = risk_report(np.full(400, value), [0.95]).loc[("bar", 0.95)]
        assert flat.loc["garch_t", "reason"].startswith("a volatility model needs returns that differ")
        assert flat.loc["historical", "var"] == -value


# ---- the report


def test_every_estimator_leaves_out_what_is_unknown_and_none_takes_it_for_zero():
    returns = history(900)
    holes = np.insert(returns, [0, 100, 100, 900], NAN)
    whole, with_holes = risk_report(returns), risk_report(holes)
    assert with_holes[["var", "cvar"]].equals(whole[["var", "cvar"]])
    assert with_holes["n_missing"].unique().tolist() == [4]


def test_every_figure_is_positive_and_grows_with_the_level_and_cvar_lies_beyond_var():
    report = risk_report(history(4_000), (0.95, 0.99, 0.995))
    assert report["valid"].all()
    assert (report["cvar"] > report["var"]).all()
    for name in report.index.unique("estimator"):
        figures = report.xs(name, level="estimator")["var"].to_numpy()
        assert (np.diff(figures) > 0).all()
        assert figures[0] > 0


def test_per_trade_figures_are_those_of_the_trades():
    trades = np.concatenate([history(400, 1), [NAN]])
    report = risk_report(history(300), [0.95], trades=trades)
    assert report.index.unique("period").tolist() == ["bar", "trade"]
    row = report.loc[("trade", 0.95, "historical")]
    assert (row["var"], row["cvar"]) == (historical_var(trades, 0.95), historical_cvar(trades, 0.95))
    assert (row["n"], row["n_missing"]) == (400, 1)
    assert report.loc[("trade", 0.95, "garch_t")].to_dict() == risk_report(trades, [0.95]).loc[("bar", 0.95, "garch_t")].to_dict()


# ---- kernels


def test_the_rolling_tail_is_that_of_each_window_bit_for_bit_in_var():
    rng = np.random.default_rng(0)
    # Ties, and values that enter and leave at either end.
    for losses in (rng.standard_t(2, 400), rng.integers(-3, 4, 400).astype(float), np.arange(400.0), -np.arange(400.0)):
        for window in (1, 7, 100, 400):
            levels = np.array([0.5, 0.9, 0.95, 0.99])
            var, cvar = rolling_loss_tail_nb(losses, window, levels)
            for k in range(window, 401, 3):
                for i, level in enumerate(levels):
                    expected = loss_tail(losses[k - window : k], level)
                    assert var[i, k - window] == expected[0]
                    assert cvar[i, k - window] == pytest.approx(expected[1], rel=1e-12, abs=1e-12)
    assert rolling_loss_tail_nb(np.zeros(3), 5, np.array([0.9]))[0].shape == (1, 0)


def test_the_rolling_moments_are_those_of_each_window():
    x = 1e-6 * np.random.default_rng(0).standard_t(3, 300)
    x[100:140] = 0.007
    found = rolling_four_moments_nb(x, 30)
    for k in range(30, 301):
        part = x[k - 30 : k]
        if np.ptp(part) == 0:
            assert found[:2, k - 30].tolist() == [0.007, 0.0]
            assert np.isnan(found[2:, k - 30]).all()
        else:
            expected = [part.mean(), part.std(ddof=1), stats.skew(part), stats.kurtosis(part)]
            np.testing.assert_allclose(found[:, k - 30], expected, rtol=1e-7, atol=1e-9)


def test_a_unit_root_is_refused_for_simulations_and_taken_for_forecasts():
    # Without clusters of volatility the likelihood is highest where it never changes.
    returns = 0.01 * stats.t.rvs(8, size=1_000, random_state=np.random.default_rng(7))
    with pytest.raises(NotConvergedError, match=r"persistence 1\.0000"):
        Garch.fit(returns - returns.mean(), leverage=False)
    model = GarchFilter.fit(returns).model
    assert model.persistence == pytest.approx(1, abs=5e-4)
    row = risk_report(returns, [0.99]).loc[("bar", 0.99, "garch_t")]
    assert row["valid"]
    assert row["var"] == pytest.approx(0.01 * stats.t.ppf(0.99, 8), rel=0.1)

"""Rolling forecasts of VaR and CVaR: causal, and each row what its method makes of the window before it."""

import numpy as np
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.risk.estimators.filtered import GarchFilter, filtered_historical, garch_t
from foreshock.engine.risk.estimators.report import MOMENTS
from foreshock.engine.risk.estimators.tail import ParetoTail
from foreshock.engine.risk.forecasts.forecasts import METHODS, risk_forecast
from tests.studies.var_calibration import right_forecasts

NAN = np.nan
WINDOW, EVERY = 320, 7


def history(n: int = 420, seed: int = 1) -> np.ndarray:
    returns, *_ = right_forecasts(n, 0.99, np.random.default_rng(seed))
    return returns


@pytest.mark.parametrize("method", METHODS)
def test_a_forecast_is_the_same_bit_for_bit_when_later_rows_are_deleted_or_changed(method):
    returns = np.insert(history(), [5, 350, 400], NAN)
    whole = risk_forecast(returns, method, window=WINDOW, refit_every=EVERY)
    for cut in (0, 322, 331, 352, 399):
        part = risk_forecast(returns[:cut], method, window=WINDOW, refit_every=EVERY)
        changed = risk_forecast(
            np.concatenate([returns[:cut], -0.9 * np.ones(len(returns) - cut)]), method, window=WINDOW, refit_every=EVERY
        )
        for level in (0.95, 0.99):
            np.testing.assert_array_equal(part.var[level], whole.var[level][:cut])
            np.testing.assert_array_equal(part.cvar[level], whole.cvar[level][:cut])
            # The forecast of the row at the cut is made before that row.
            np.testing.assert_array_equal(changed.var[level][: cut + 1], whole.var[level][: cut + 1])


@pytest.mark.parametrize("method", METHODS)
def test_the_first_forecast_comes_after_a_window_of_known_returns_and_a_nan_asks_for_the_next(method):
    returns = np.insert(history(), [5, 350], NAN)
    found = risk_forecast(returns, method, window=WINDOW, refit_every=EVERY).var[0.99]
    assert np.isnan(found[: WINDOW + 1]).all()
    assert not np.isnan(found[WINDOW + 1 :]).any()
    # An unknown return is left out: the forecast after it is the one that it had itself.
    # An extreme-value fit is held, and a quantile need not move with one return.
    if method not in ("extreme_value", "historical"):
        assert found[351] != found[350]
    assert found[352] == found[351]
    ahead = risk_forecast(np.append(returns, NAN), method, window=WINDOW, refit_every=EVERY).var[0.99]
    assert len(ahead) == len(returns) + 1
    assert not np.isnan(ahead[-1])


def slow(method: str, returns: np.ndarray, t: int, level: float) -> tuple[float, float]:
    """One row's forecast, from the definition."""
    fitted_at = WINDOW + (t - WINDOW) // EVERY * EVERY
    window, fitted_on = returns[t - WINDOW : t], returns[fitted_at - WINDOW : fitted_at]
    if method in MOMENTS:
        var, cvar = MOMENTS[method]
        return var(window, level), cvar(window, level)
    if method == "extreme_value":
        tail = ParetoTail.fit(-fitted_on)
        return tail.var(level), tail.cvar(level)
    fitted = GarchFilter.fit(fitted_on)
    seen = returns[fitted_at - WINDOW : t]
    if method == "garch_t":
        return garch_t(fitted, seen, level)
    deviation, shocks = fitted.filter(seen)
    losses = -shocks[-WINDOW:]
    var = np.quantile(losses, level, method="inverted_cdf")
    cvar = var + np.maximum(losses - var, 0).sum() / (WINDOW * (1 - level))
    return deviation[-1] * var - fitted.mean, deviation[-1] * cvar - fitted.mean


@pytest.mark.parametrize("method", METHODS)
def test_each_row_is_what_the_method_makes_of_the_window_before_it(method):
    returns = history()
    found = risk_forecast(returns, method, window=WINDOW, refit_every=EVERY)
    for t in (320, 321, 326, 327, 333, 340, 419):
        for level in (0.95, 0.99):
            expected = slow(method, returns, t, level)
            assert (found.var[level][t], found.cvar[level][t]) == pytest.approx(expected, rel=1e-9)
    assert found.n_fits == (0 if method in MOMENTS else 15)
    assert found.n_failed == 0


def test_filtered_historical_simulation_of_the_first_row_is_that_of_the_report():
    returns = history()
    found = risk_forecast(returns, "filtered_historical", window=WINDOW, refit_every=EVERY)
    fitted = GarchFilter.fit(returns[:WINDOW])
    expected = filtered_historical(fitted, returns[:WINDOW], 0.95)
    assert (found.var[0.95][WINDOW], found.cvar[0.95][WINDOW]) == pytest.approx(expected, rel=1e-12)


def test_filters_follow_the_volatility_of_the_process_and_a_window_does_not():
    returns, var, _ = right_forecasts(3_000, 0.99, np.random.default_rng(3))
    near = {}
    for method in METHODS:
        found = risk_forecast(returns, method, [0.99], window=1_000, refit_every=250).var[0.99][1_000:]
        near[method] = np.corrcoef(np.log(found), np.log(var[1_000:]))[0, 1]
    assert min(near["garch_t"], near["filtered_historical"]) > 0.85
    assert max(near["historical"], near["gaussian"], near["cornish_fisher"], near["extreme_value"]) < 0.4


def test_a_fit_that_fails_leaves_the_one_before_in_use_and_is_counted(monkeypatch):
    returns = history()
    good = risk_forecast(returns, "garch_t", [0.99], window=WINDOW, refit_every=50)
    fit, calls = GarchFilter.fit, []

    def failing(known):
        calls.append(len(known))
        if len(calls) == 2:
            raise DataError("no maximum")
        return fit(known)

    monkeypatch.setattr(GarchFilter, "fit", failing)
    found = risk_forecast(returns, "garch_t", [0.99], window=WINDOW, refit_every=50)
    assert (found.n_fits, found.n_failed) == (3, 1)
    np.testing.assert_array_equal(found.var[0.99][:370], good.var[0.99][:370])
    first = fit(returns[:WINDOW])
    # The old parameters go on over the window of the fit that failed.
    assert found.var[0.99][372] == pytest.approx(garch_t(first, returns[50:372], 0.99)[0])
    assert found.var[0.99][372] != good.var[0.99][372]


def test_constant_returns_have_no_filter_and_no_tail_and_a_sure_figure_otherwise():
    flat = np.full(400, 0.007)
    for method in METHODS:
        found = risk_forecast(flat, method, [0.95], window=WINDOW).var[0.95][WINDOW:]
        if method in ("historical", "gaussian"):
            assert (found == -0.007).all()
        else:
            assert np.isnan(found).all()
    assert risk_forecast(flat, "garch_t", window=WINDOW).n_failed == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: risk_forecast(np.zeros(9), "magic"), "no such method: 'magic'; expected one of historical, "),
        (lambda: risk_forecast(np.zeros((9, 2)), "historical"), "one series"),
        (lambda: risk_forecast(np.array([0.1, np.inf]), "historical"), "finite"),
        (lambda: risk_forecast(np.array([0.1, -1.1]), "historical"), "at least -1"),
        (lambda: risk_forecast(np.zeros(9), "historical", [1.0]), "level must be between 0 and 1"),
        (lambda: risk_forecast(np.zeros(9), "historical", []), "levels must be at least one"),
        (lambda: risk_forecast(np.zeros(9), "extreme_value", [0.9]), "above 0.9, where the tail begins"),
        (lambda: risk_forecast(np.zeros(9), "historical", [0.99], window=99), "window must be a whole number of at least 100 for"),
        (lambda: risk_forecast(np.zeros(9), "filtered_historical", [0.999], window=999), "at least 1000 for filtered"),
        (lambda: risk_forecast(np.zeros(9), "garch_t", window=299), "at least 300 for garch_t"),
        (lambda: risk_forecast(np.zeros(9), "gaussian", window=1), "at least 2 for gaussian"),
        (lambda: risk_forecast(np.zeros(9), "gaussian", refit_every=0), "refit_every must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_forecast_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()

"""What the risk functions take besides arrays, and what they refuse at the door."""

import re

import numpy as np
import pandas as pd
import pytest

from foreshock.data.checks import check_levels
from foreshock.data.errors import ConfigError
from foreshock.engine.risk.conditional import conditional_risk
from foreshock.engine.risk.decomposition import risk_contributions
from foreshock.engine.risk.drawdowns import drawdown_risk
from foreshock.engine.risk.estimators.report import risk_report
from foreshock.engine.risk.estimators.value_at_risk import historical_var
from foreshock.engine.risk.exposures import factor_exposures
from foreshock.engine.risk.forecasts.forecasts import risk_forecast
from foreshock.engine.risk.forecasts.var_tests import var_backtest
from foreshock.engine.scores import Signals

HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")
R = 0.01 * np.random.default_rng(0).standard_normal(200)
OTHER = 0.01 * np.random.default_rng(1).standard_normal(200)
FORECAST = risk_forecast(R, "gaussian", window=50)
LATER = pd.RangeIndex(1, 201)


def alerts() -> tuple[pd.DataFrame, Signals]:
    rng = np.random.default_rng(2)
    time = np.datetime64("2024-01-01", "us") + np.arange(200) * HOUR
    active = rng.random((200, 2)) < 0.2
    signals = Signals(time, ("BTC", "ETH"), active, np.zeros((200, 2)), np.ones((200, 2), dtype=bool), HOUR)
    return pd.DataFrame(0.01 * rng.standard_normal((200, 2)), index=time, columns=["BTC", "ETH"]), signals


def test_a_frame_with_the_labels_of_the_signals_is_taken_as_its_values():
    frame, signals = alerts()
    expected = conditional_risk(frame.to_numpy(), signals, n_bootstrap=19)
    aware = frame.set_axis(pd.DatetimeIndex(frame.index).tz_localize("UTC").tz_convert("Asia/Tokyo").as_unit("ns"))
    for given in (frame, aware):
        pd.testing.assert_frame_equal(conditional_risk(given, signals, n_bootstrap=19), expected)
    whole = conditional_risk(frame["BTC"].to_numpy(), signals, n_bootstrap=19)
    pd.testing.assert_frame_equal(conditional_risk(frame["BTC"], signals, n_bootstrap=19), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[["ETH", "BTC"]], "the symbols of the signals, in their order; got ETH, BTC, expected"),
        (lambda f: f.set_axis(["BTC", "SOL"], axis=1), "got BTC, SOL, expected BTC, ETH"),
        (lambda f: f[["BTC"]], "got BTC, expected BTC, ETH"),
        (lambda f: f.iloc[::-1], "row 0 is 2024-01-09 07:00:00, expected 2024-01-01 00:00:00"),
        (lambda f: f.shift(freq="1h"), "index of returns must be the time of the signals; row 0 is 2024-01-01 01:00"),
        (lambda f: f.shift(freq="1h")["BTC"], "row 0 is 2024-01-01 01:00:00, expected 2024-01-01 00:00:00"),
        (lambda f: f.iloc[1:], "it has 199 rows, expected 200"),
        (lambda f: f.reset_index(drop=True), "row 0 is 0, expected 2024-01-01 00:00:00"),
    ],
)
def test_returns_labelled_otherwise_than_the_signals_are_refused(change, message):
    frame, signals = alerts()
    with pytest.raises(ConfigError, match=re.escape(message)):
        conditional_risk(change(frame), signals, n_bootstrap=19)


def test_a_frame_is_a_mapping_of_its_columns():
    frame = pd.DataFrame({"market": OTHER, "size": OTHER**2})
    found = factor_exposures(pd.Series(R), frame)
    expected = factor_exposures(R, {"market": OTHER, "size": OTHER**2})
    pd.testing.assert_frame_equal(found.table, expected.table)
    np.testing.assert_array_equal(found.parts["size"], expected.parts["size"])
    pd.testing.assert_frame_equal(risk_contributions(frame), risk_contributions({name: frame[name] for name in frame}))
    assert risk_contributions(frame).index.tolist() == ["market", "size", "total"]


def test_a_forecast_is_judged_at_the_level_asked_for_with_its_cvar():
    for level in (0.95, 0.99):
        expected = var_backtest(R, FORECAST.var[level], level, FORECAST.cvar[level], 19)
        for var, es in ((FORECAST, None), (FORECAST.var, FORECAST.cvar), (FORECAST.var[level], FORECAST)):
            pd.testing.assert_frame_equal(var_backtest(R, var, level, es, 19), expected)
        assert "acerbi_szekely_z2" in set(expected["test"])
        alone = var_backtest(R, FORECAST.var[level], level, n_simulations=19)
        pd.testing.assert_frame_equal(var_backtest(R, FORECAST.var, level, n_simulations=19), alone)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # Labels and names.
        (lambda: factor_exposures(pd.Series(R), {"m": pd.Series(R, LATER)}), "factor 'm' must be that of returns; row 0 is 1"),
        (lambda: factor_exposures(R, {"m": pd.Series(OTHER), "n": pd.Series(R, LATER)}), "'n' must be that of factor 'm'; row"),
        (lambda: factor_exposures(pd.Series(R, LATER), pd.DataFrame({"m": OTHER})), "row 0 is 0, expected 1"),
        (lambda: risk_contributions({"a": pd.Series(R), "b": pd.Series(R, LATER)}), "index of part 'b' must be that of part 'a'"),
        (lambda: var_backtest(pd.Series(R), pd.Series(R, LATER)), "the index of var must be that of returns"),
        (lambda: factor_exposures(R, {"residual": OTHER}), "no factor may be named 'residual'"),
        (lambda: factor_exposures(R, {"m": OTHER, "alpha": R}), "no factor may be named 'alpha'"),
        (lambda: factor_exposures(R, OTHER), "factors must be a dict or DataFrame, got an array of shape (200,)"),
        (lambda: factor_exposures(R, pd.DataFrame(np.c_[R, OTHER], columns=["m", "m"])), "columns of different names"),
        (lambda: risk_contributions(R), "parts must be a dict or DataFrame, got an array of shape (200,)"),
        (lambda: conditional_risk(R, np.zeros(200)), "signals must be Signals, got ndarray; make them with Scores.signals"),
        # Levels and seeds.
        (lambda: var_backtest(R, FORECAST, 0.9), "var has no forecast of the level 0.9, only of 0.95, 0.99; pass level="),
        (lambda: var_backtest(R, FORECAST.var[0.95], 0.9, FORECAST), "es has no forecast of the level 0.9"),
        (lambda: var_backtest(R, FORECAST, "95"), "level must be between 0 and 1, such as 0.95, got '95'"),
        (lambda: var_backtest(R, FORECAST, seed=-1), "seed must be a whole number of at least 0, got -1"),
        (lambda: var_backtest(R, FORECAST, seed="x"), "seed must be a whole number of at least 0, got 'x'"),
        (lambda: drawdown_risk(R, seed=-1), "seed must be a whole number of at least 0, got -1"),
        (lambda: conditional_risk(*alerts(), seed=-1), "seed must be a whole number of at least 0, got -1"),
        (lambda: historical_var(R, "x"), "level must be between 0 and 1, such as 0.95, got 'x'"),
        # What would take hours.
        (lambda: drawdown_risk(R, horizon=10**10), "n_draws * horizon must be at most 10,000,000,000, got 9990000000000"),
        (lambda: drawdown_risk(R, n_draws=10**9), "n_draws must be at most 1,000,000, got 1000000000"),
        (lambda: conditional_risk(*alerts(), n_bootstrap=10**9), "n_bootstrap must be at most 1,000,000, got 1000000000"),
        (lambda: var_backtest(R, FORECAST, n_simulations=10**9), "n_simulations must be at most 100,000, got 1000000000"),
        (lambda: factor_exposures(R, {"m": OTHER}, lags=51), "lags must be at most 50, got 51; a quarter of the 200 known rows"),
    ],
)
def test_what_would_be_misread_or_never_end_is_refused(call, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        call()


def test_a_quarter_of_the_rows_is_not_too_many_lags():
    assert factor_exposures(R, {"m": OTHER}, lags=50).lags == 50


@pytest.mark.parametrize(
    "call",
    [
        lambda levels: risk_report(R, levels),
        lambda levels: risk_forecast(R, "gaussian", levels),
        lambda levels: risk_contributions({"a": R}, levels),
        lambda levels: conditional_risk(*alerts(), levels=levels, n_bootstrap=19),
        lambda levels: drawdown_risk(R, levels, n_draws=19),
    ],
    ids=["report", "forecast", "contributions", "conditional", "drawdowns"],
)
def test_levels_are_a_list_of_different_numbers_everywhere(call):
    refused = {
        "levels must be a list, such as (0.95, 0.99), got 0.95": 0.95,
        "levels must be a list, such as (0.95, 0.99), got '95'": "95",
        "levels must be a list, such as (0.95, 0.99), got": np.array(0.95),
        "levels must differ, got 0.95, 0.95; pass each once": [0.95, 0.95],
        "level must be between 0 and 1, such as 0.95, got '95'": ["95"],
        "level must be between 0 and 1, such as 0.95, got nan": [np.nan],
    }
    for message, levels in refused.items():
        with pytest.raises(ConfigError, match=re.escape(message)):
            call(levels)


def test_levels_come_back_as_floats_in_their_order():
    assert check_levels(np.array([0.99, 0.5])) == (0.99, 0.5)

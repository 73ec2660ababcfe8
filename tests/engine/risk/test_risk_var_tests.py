"""Tests of VaR and CVaR forecasts: published examples, slow twins, and their own size and power."""

import math

import numpy as np
import pytest
from scipy import stats

from foreshock.data.errors import ConfigError
from foreshock.engine.risk.estimators.student_excess import StudentExcess
from foreshock.engine.risk.forecasts import var_tests
from foreshock.engine.risk.forecasts.hit_tests import dynamic_quantile_nb, independence_nb, kupiec_nb
from foreshock.engine.risk.forecasts.var_tests import monte_carlo_p, var_backtest
from tests.studies.var_calibration import TESTS, rejected, right_forecasts, static_forecasts

NAN = np.nan


def backtest(*arguments, **options):
    return var_backtest(*arguments, **options).set_index("test")


def losses(hits: np.ndarray, n: int) -> np.ndarray:
    """Returns that exceed a VaR of 1.5 % in these rows."""
    returns = np.full(n, 0.01)
    returns[hits] = -0.02
    return returns


# ---- published examples


@pytest.mark.parametrize(
    ("n", "level", "accepted"),
    [
        (255, 0.99, range(1, 7)),
        (510, 0.99, range(2, 11)),
        (1_000, 0.99, range(5, 17)),
        (255, 0.95, range(7, 21)),
        (510, 0.95, range(17, 36)),
        (1_000, 0.95, range(38, 65)),
    ],
)
def test_the_hits_that_kupiec_accepts_are_those_of_his_table(n, level, accepted):
    # Kupiec (1995), table 3: hits that do not reject at 5 %. For 255 days at 99 % it prints "below 7", but LR of none is 5.13.
    found = [x for x in range(n // 4) if stats.chi2.sf(kupiec_nb(x, n, 1 - level), 1) > 0.05]
    assert found == list(accepted)


def jorion_hits() -> np.ndarray:
    """252 days with 20 hits, of which 6 come on the day after a hit, and the transitions of Jorion (2007), table 6-6."""
    singles = 12 * np.arange(7) + 5
    pairs = np.array([100, 101, 120, 121, 140, 141, 160, 161, 180, 181, 200, 201])
    return np.sort(np.concatenate([singles, pairs, [220]]))


def test_jorions_example_of_conditional_coverage_is_reproduced():
    # 20 hits at 95 %: 14 of 232 days after none, 6 of 20 after one. LR_uc 3.91, LR_ind 9.53, LR_cc 13.44.
    hits = jorion_hits()
    assert (len(hits), (np.diff(hits) == 1).sum()) == (20, 6)
    found = backtest(losses(hits, 253), np.full(253, 0.015), 0.95)
    assert found.loc["christoffersen_independence", "statistic"] == pytest.approx(9.53, abs=0.005)
    assert kupiec_nb(20, 252, 0.05) == pytest.approx(3.91, abs=0.005)
    total = kupiec_nb(20, 252, 0.05) + found.loc["christoffersen_independence", "statistic"]
    assert total == pytest.approx(13.44, abs=0.005)
    conditional = found.loc["kupiec", "statistic"] + found.loc["christoffersen_independence", "statistic"]
    assert found.loc["christoffersen_conditional", "statistic"] == pytest.approx(conditional, rel=1e-12)
    assert found.loc["christoffersen_independence", "p_asymptotic"] == pytest.approx(stats.chi2.sf(9.53, 1), rel=0.01)
    assert found.loc["christoffersen_independence", "p"] < 0.03


def test_the_traffic_light_has_the_zones_of_the_basel_committee():
    # 250 days at 99 %: green to 4, yellow from 5, red from 10.
    zone = {
        x: backtest(losses(np.arange(x) * 20, 250), np.full(250, 0.015), n_simulations=19).loc["traffic_light"]
        for x in (0, 4, 5, 9, 10)
    }
    assert [row["note"] for row in zone.values()] == ["green", "green", "yellow", "yellow", "red"]
    # Cumulative probabilities of the Committee's table 2: 89.22 % at 4, 99.97 % at 9.
    assert 1 - zone[5]["p"] == pytest.approx(0.8922, abs=5e-5)
    assert 1 - zone[10]["p"] == pytest.approx(0.9997, abs=5e-5)


# ---- slow twins


def slow_independence(hit: np.ndarray) -> float:
    before, after = hit[:-1], hit[1:]

    def likelihood(k: int, n: int, p: float) -> float:
        return stats.binom.logpmf(k, n, p) - stats.binom.logpmf(k, n, k / n) if n else 0.0

    pooled = after.mean()
    return -2 * sum(likelihood(int(after[before == state].sum()), int((before == state).sum()), pooled) for state in (False, True))


def slow_dynamic_quantile(hit: np.ndarray, rate: float, var: np.ndarray, lags: int) -> tuple[float, int]:
    d = hit - rate
    x = np.column_stack([np.ones(len(d) - lags), *(hit[lags - k : len(d) - k] for k in range(1, lags + 1)), var[lags:]])
    fitted = x @ np.linalg.lstsq(x, d[lags:], rcond=1e-9)[0]
    return float(fitted @ fitted) / (rate * (1 - rate)), int(np.linalg.matrix_rank(x, tol=1e-9))


def test_the_statistics_of_hits_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    for n, rate in ((30, 0.3), (200, 0.05), (1_000, 0.01), (60, 0.02)):
        for _ in range(25):
            hit = rng.random(n) < rate
            var = 0.02 + 0.01 * rng.random(n)
            at = np.flatnonzero(hit)
            assert independence_nb(at, n) == pytest.approx(slow_independence(hit), abs=1e-9)
            found = dynamic_quantile_nb(at, n, rate, var, 4)
            assert found == pytest.approx(slow_dynamic_quantile(hit, rate, var, 4), rel=1e-7, abs=1e-9)


def test_a_var_that_never_changes_is_no_regressor_beside_the_constant():
    hit = np.random.default_rng(1).random(300) < 0.1
    statistic, rank = dynamic_quantile_nb(np.flatnonzero(hit), 300, 0.1, np.full(300, 0.0213), 4)
    assert rank == 5
    assert statistic == pytest.approx(slow_dynamic_quantile(hit, 0.1, np.zeros(300), 4)[0], rel=1e-7)
    # Nor do hits that never came tell anything.
    assert dynamic_quantile_nb(np.empty(0, np.int64), 300, 0.1, np.full(300, 0.0213), 4)[1] == 1


def test_the_statistics_of_acerbi_and_szekely_are_those_of_their_paper():
    returns = np.array([0.01, -0.03, 0.02, -0.01, -0.05, 0.0, 0.01, 0.02, 0.0, 0.01, 0.01, 0.01])
    var, es = np.full(12, 0.02), np.full(12, 0.032)
    found = backtest(returns, var, 0.9, es, n_simulations=19)
    hit = returns + var < 0
    assert found.loc["acerbi_szekely_z1", "statistic"] == pytest.approx((returns * hit / es).sum() / hit.sum() + 1)
    assert found.loc["acerbi_szekely_z2", "statistic"] == pytest.approx((returns * hit / (12 * 0.1 * es)).sum() + 1)


# ---- Monte Carlo


@pytest.mark.parametrize("most", [2_000_000, 500])
def test_simulated_hits_are_independent_and_have_the_rate(monkeypatch, most):
    monkeypatch.setattr(var_tests, "MOST_DRAWN", most)
    n, rate, n_simulations = 200, 0.05, 4_000
    parts = var_tests._independent(n, rate, n_simulations, np.random.default_rng(3))
    hits = [at for at, ends in parts for at in np.split(at, ends)]
    assert len(hits) == n_simulations
    assert all(np.all(np.diff(at) > 0) and (not len(at) or 0 <= at[0] <= at[-1] < n) for at in hits)
    counts = np.array([len(at) for at in hits])
    # Five standard errors of the binomial's mean and variance.
    assert counts.mean() == pytest.approx(n * rate, abs=5 * math.sqrt(n * rate * (1 - rate) / n_simulations))
    assert counts.var() == pytest.approx(n * rate * (1 - rate), rel=5 * math.sqrt(2 / n_simulations))
    by_row = np.bincount(np.concatenate(hits), minlength=n)
    assert np.abs(by_row / n_simulations - rate).max() < 5 * math.sqrt(rate * (1 - rate) / n_simulations)
    pairs = sum(int((np.diff(at) == 1).sum()) for at in hits)
    assert pairs == pytest.approx(n_simulations * (n - 1) * rate**2, rel=0.1)


def test_a_monte_carlo_p_is_the_rank_and_ties_are_broken_evenly():
    rng = np.random.default_rng(0)
    assert monte_carlo_p(3.0, np.array([1.0, 2.0, 4.0]), rng) == 0.5
    tied = [monte_carlo_p(0.0, np.zeros(99), rng) for _ in range(2_000)]
    assert np.mean(tied) == pytest.approx(0.505, abs=0.02)
    assert np.mean(np.array(tied) <= 0.05) == pytest.approx(0.05, abs=0.015)


def test_the_excess_over_var_is_that_of_the_student_t_with_this_var_and_cvar():
    rng = np.random.default_rng(0)
    for level in (0.95, 0.99):
        for nu in (2.5, 5.0, 30.0, 1e6):
            var = stats.t.ppf(level, nu)
            beyond = stats.t.pdf(var, nu) / (1 - level) * (nu + var**2) / (nu - 1)
            drawn = StudentExcess.of(np.full(3, var), np.full(3, beyond), level).draw(np.ones(200_000, dtype=int), rng)
            excess = var + (beyond - var) * drawn
            for p in (0.1, 0.5, 0.9, 0.99):
                assert np.quantile(excess, p) == pytest.approx(stats.t.ppf(level + (1 - level) * p, nu), rel=0.03)
            if nu > 3:
                assert drawn.mean() == pytest.approx(1, rel=0.02)


def test_p_of_a_smooth_statistic_is_that_of_its_exact_distribution():
    # Many hits: the binomial is close to normal, and Monte Carlo and chi-squared agree.
    returns, var, _ = right_forecasts(20_000, 0.95, np.random.default_rng(4))
    found = backtest(returns, var, 0.95, n_simulations=1_999)
    for test in ("kupiec", "christoffersen_independence", "christoffersen_conditional", "dynamic_quantile"):
        assert found.loc[test, "p"] == pytest.approx(found.loc[test, "p_asymptotic"], abs=0.05)


def test_the_same_seed_gives_the_same_table():
    data = right_forecasts(400, 0.99, np.random.default_rng(0))
    first, again = (var_backtest(*data[:2], 0.99, data[2], seed=3) for _ in range(2))
    assert first.equals(again)
    other = var_backtest(*data[:2], 0.99, data[2], seed=4)
    assert first["statistic"].equals(other["statistic"])
    assert not first["p"].equals(other["p"])


# ---- size and power; the full study is tests.studies.var_calibration


def test_right_forecasts_are_rarely_rejected_and_one_figure_nearly_always_after_a_switch():
    # Of 60 runs, 9 or more are rejected once in 500 times by a test of the right size.
    size = rejected(60, 300, 0.99, n_simulations=99)
    assert (size["p"] < 0.15).all(), size
    power = rejected(15, 1_000, 0.99, "alternating", n_simulations=99)
    assert (power["p"].drop("christoffersen_independence") >= 0.7).all(), power


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_right_forecasts_are_rejected_in_three_to_seven_percent_of_500_runs(level):
    found = rejected(500, 1_000, level)
    assert found["p"].between(0.03, 0.07).all(), found


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_one_figure_for_all_bars_is_rejected_in_eighty_percent_of_the_runs_after_a_switch_of_regime(level):
    for regime in ("alternating", "higher"):
        found = rejected(200, 1_000, level, regime)["p"]
        # Hits that are too many are none of the independence test's business, nor how many they are of Z1's, which looks at
        # the size of their losses alone.
        every = found.drop(["christoffersen_independence", "acerbi_szekely_z1"])
        assert (every >= 0.8).all(), found
        assert found["acerbi_szekely_z1"] >= 0.5, found


def test_too_small_a_cvar_is_found_by_the_tests_of_cvar_alone():
    rng = np.random.default_rng(1)
    returns, var, es = right_forecasts(3_000, 0.95, rng)
    honest, short = backtest(returns, var, 0.95, es), backtest(returns, var, 0.95, var + 0.5 * (es - var))
    assert short.loc["acerbi_szekely_z1", "p"] < 0.01 < honest.loc["acerbi_szekely_z1", "p"]
    assert short.loc[list(TESTS[:4]), "statistic"].equals(honest.loc[list(TESTS[:4]), "statistic"])


def test_the_tests_of_cvar_look_for_losses_larger_than_forecast_only():
    returns, var, es = right_forecasts(3_000, 0.95, np.random.default_rng(1))
    assert backtest(returns, var, 0.95, 2 * es).loc["acerbi_szekely_z1", "p"] > 0.95


# ---- what cannot be judged


def test_rows_that_are_unknown_are_left_out_and_counted():
    returns, var, es = right_forecasts(400, 0.95, np.random.default_rng(0))
    whole = backtest(returns, var, 0.95, es)
    at = [0, 100, 250]
    holes = [np.insert(x, at, fill) for x, fill in ((returns, [NAN, 0.1, -0.9]), (var, [0.1, NAN, 0.1]), (es, [0.1, 0.1, NAN]))]
    found = backtest(holes[0], holes[1], 0.95, holes[2])
    assert found["n"].unique().tolist() == [400]
    assert found["n_missing"].unique().tolist() == [3]
    assert found.drop(columns="n_missing").equals(whole.drop(columns="n_missing"))


def test_without_a_hit_independence_and_z1_are_unknown_and_say_so():
    found = backtest(np.full(300, 0.01), np.full(300, 0.02), 0.99, np.full(300, 0.03))
    assert found.loc["kupiec", "n_hits"] == 0
    assert found.loc["kupiec", "statistic"] == pytest.approx(-2 * 300 * math.log(0.99))
    for test in ("christoffersen_independence", "acerbi_szekely_z1"):
        assert math.isnan(found.loc[test, "p"])
        assert found.loc[test, "note"] == "no hits"
    assert found.loc["acerbi_szekely_z2", "statistic"] == 1
    nothing_but = backtest(np.full(300, -0.03), np.full(300, 0.02), 0.99)
    assert nothing_but.loc["christoffersen_independence", "note"] == "hits only"
    assert nothing_but.loc["traffic_light", "note"] == "red"


def test_forecasts_that_are_no_tail_of_losses_have_z_but_no_p():
    returns, var, es = right_forecasts(300, 0.95, np.random.default_rng(0))
    for wrong in (var, np.where(np.arange(300) == 5, 0.9 * var, es)):
        found = backtest(returns, var, 0.95, wrong)
        assert np.isnan(found.loc[["acerbi_szekely_z1", "acerbi_szekely_z2"], "p"]).all()
        assert found.loc["acerbi_szekely_z2", "note"] == "needs a level above 0.5, and 0 < VaR < CVaR in every row"
        assert found.loc["kupiec", "p"] > 0


def test_a_loss_as_large_as_var_is_no_hit():
    assert backtest(np.full(50, -0.02), np.full(50, 0.02), 0.9).loc["kupiec", "n_hits"] == 0


def test_static_forecasts_of_the_study_are_right_before_the_switch():
    rng = np.random.default_rng(0)
    assert np.mean([static_forecasts(10, 0.99, "higher", rng)[1][0] for _ in range(200)]) == pytest.approx(0.026, rel=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: var_backtest(np.zeros(50), np.zeros(49)), r"one forecast per return, got the shapes \(49,\) and \(50,\)"),
        (lambda: var_backtest(np.zeros(50), 0.02), "repeat a constant with np.full"),
        (lambda: var_backtest(np.zeros(50), np.full(50, np.inf)), "var must be finite"),
        (lambda: var_backtest(np.zeros(50), np.zeros(50), 0.99, np.full(50, np.inf)), "es must be finite"),
        (lambda: var_backtest(np.full(50, -1.5), np.zeros(50)), "at least -1"),
        (lambda: var_backtest(np.full(50, np.inf), np.zeros(50)), "finite"),
        (lambda: var_backtest(np.zeros((50, 2)), np.zeros((50, 2))), "one series"),
        (lambda: var_backtest(np.zeros(50), np.zeros(50), 99), "level must be between 0 and 1"),
        (lambda: var_backtest(np.zeros(9), np.zeros(9)), "at least 10 rows with a return and a forecast, got 9"),
        (lambda: var_backtest(np.zeros(50), np.full(50, NAN)), "at least 10 rows with a return and a forecast, got 0"),
        (lambda: var_backtest(np.zeros(50), np.zeros(50), n_simulations=18), "n_simulations must be a whole number of at least 19"),
    ],
)
def test_forecasts_that_cannot_be_judged_are_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_a_forecast_of_no_loss_at_all_has_no_ratio():
    returns, zero = np.array([0.01, -0.02, 0.0, -0.01] * 30), np.zeros(120)
    found = backtest(returns, zero, 0.95, zero)
    assert np.isnan(found.loc[["acerbi_szekely_z1", "acerbi_szekely_z2"], "statistic"]).all()
    assert "0 < VaR < CVaR" in found.loc["acerbi_szekely_z1", "note"]

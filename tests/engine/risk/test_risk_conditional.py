"""VaR and CVaR after alerts, drawdowns by bootstrap and the Sharpe ratio of a year: worked examples, slow twins and coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from foreshock.data.errors import ConfigError
from foreshock.engine.risk.annual_sharpe import annual_sharpe
from foreshock.engine.risk.conditional import conditional_risk, moves_of
from foreshock.engine.risk.drawdowns import drawdown_risk
from foreshock.engine.risk.estimators.value_at_risk import historical_cvar, historical_var, loss_tail
from foreshock.engine.risk.performance import drawdown, performance
from foreshock.engine.risk.resampling import dependence_block, loss_tail_draws_nb, max_drawdowns_nb
from foreshock.engine.scores import Signals
from foreshock.engine.validation.selection.sharpe import sharpe_estimate

NAN = np.nan
HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")


def signals(active: np.ndarray, decided: np.ndarray | None = None) -> Signals:
    time = np.datetime64("2024-01-01", "us") + np.arange(len(active)) * HOUR
    decided = np.ones(active.shape, dtype=bool) if decided is None else decided
    names = tuple(f"S{i}" for i in range(active.shape[1]))
    return Signals(time, names, active, np.zeros(active.shape), decided, HOUR)


def market(n: int = 4_000, factor: float = 3.0, seed: int = 0) -> tuple[np.ndarray, Signals]:
    """Two symbols whose next return after an alert is ``factor`` times as large."""
    rng = np.random.default_rng(seed)
    active = rng.random((n, 2)) < 0.1
    returns = 0.01 * rng.standard_normal((n, 2))
    returns[1:][active[:-1]] *= factor
    return returns, signals(active)


# ---- after an alert


def test_the_figures_are_those_of_the_moves_after_alerts_and_after_other_rows():
    returns, found = market()
    decided = np.random.default_rng(1).random(returns.shape) < 0.9
    known = signals(found.active & decided, decided)
    returns[7] = NAN
    table = conditional_risk(returns, known, ["1h", "3h"], n_bootstrap=20)
    for h, name in ((1, "1h"), (3, "3h")):
        groups = {"alert": [], "other": []}
        for i in range(2):
            for t in range(len(returns) - h):
                move = np.prod(1 + returns[t + 1 : t + 1 + h, i]) - 1
                if decided[t, i] and not np.isnan(move):
                    groups["alert" if known.active[t, i] else "other"].append(move)
        for group, moves in groups.items():
            for level in (0.95, 0.99):
                row = table.loc[(name, level, group)]
                assert row["n"] == len(moves)
                assert (row["var"], row["cvar"]) == pytest.approx((historical_var(moves, level), historical_cvar(moves, level)))
        alert, other, ratio = (table.loc[(name, 0.95, group)] for group in ("alert", "other", "ratio"))
        assert (ratio["var"], ratio["cvar"]) == pytest.approx((alert["var"] / other["var"], alert["cvar"] / other["cvar"]))


def test_a_planted_factor_is_found_and_its_interval_covers_it_in_most_histories():
    covered, apart = 0, 0
    for seed in range(60):
        returns, found = market(1_500, 2.0, seed)
        row = conditional_risk(returns, found, levels=[0.95], n_bootstrap=199, seed=seed).loc[("1h", 0.95, "ratio")]
        covered += row["var_low"] <= 2.0 <= row["var_high"]
        apart += row["var_low"] > 1
    assert covered >= 51
    assert apart == 60


def test_without_a_link_the_ratio_is_one_within_its_interval():
    covered = 0
    for seed in range(60):
        returns, found = market(1_500, 1.0, seed)
        row = conditional_risk(returns, found, ["6h"], [0.95], n_bootstrap=199, seed=seed).loc[("6h", 0.95, "ratio")]
        covered += row["cvar_low"] <= 1.0 <= row["cvar_high"]
    assert covered >= 51


def test_one_series_follows_an_alert_of_any_symbol_and_is_quiet_where_none_alerts():
    active = np.zeros((300, 2), dtype=bool)
    active[::10, 0] = active[5::10, 1] = True
    returns = 0.001 * np.arange(300) / 300
    returns[1::5] = -0.02
    table = conditional_risk(returns, signals(active), levels=[0.9], n_bootstrap=20)
    assert table["n"].tolist() == [60, 239, 60]
    assert table.loc[("1h", 0.9, "alert"), "var"] == pytest.approx(0.02)
    assert table.loc[("1h", 0.9, "other"), "var"] < 0


def test_an_alert_is_not_blamed_for_its_own_bar():
    active = np.zeros((100, 1), dtype=bool)
    active[50] = True
    returns = np.full((100, 1), 0.001)
    returns[50], returns[51] = -0.5, -0.1
    table = conditional_risk(returns, signals(active), levels=[0.5], n_bootstrap=10)
    assert table.loc[("1h", 0.5, "alert"), "var"] == pytest.approx(0.1)
    later = conditional_risk(returns, signals(active), levels=[0.5], delay=2, n_bootstrap=10)
    assert later.loc[("1h", 0.5, "alert"), "var"] == pytest.approx(-0.001)


def test_no_alert_has_no_figures_and_a_short_tail_is_marked():
    returns, found = market(300)
    none = conditional_risk(returns, signals(np.zeros((300, 2), dtype=bool)), n_bootstrap=10)
    alert = none.xs("alert", level="group")
    assert np.isnan(alert[["var", "cvar", "var_low", "cvar_high"]].to_numpy()).all()
    assert alert["n"].tolist() == [0, 0]
    assert not alert["valid"].any()
    assert none.xs("other", level="group")["valid"].all()
    table = conditional_risk(returns, found, n_bootstrap=10)
    assert not table.loc[("1h", 0.99, "alert"), "valid"]
    assert table.loc[("1h", 0.95, "alert"), "valid"]


def test_a_table_follows_from_its_seed_and_rows_after_the_last_move_do_not_count():
    returns, found = market(500)
    first, again, other = (conditional_risk(returns, found, ["3h"], n_bootstrap=50, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    assert first[["var", "cvar", "n"]].equals(other[["var", "cvar", "n"]])


def test_effective_moves_lie_a_horizon_apart():
    active = np.zeros((200, 1), dtype=bool)
    active[10:20] = active[100] = True
    table = conditional_risk(np.full((200, 1), -0.001), signals(active), ["5h"], [0.9], n_bootstrap=10)
    # Ten alerts in a row are two moves of five hours.
    assert table.loc[("5h", 0.9, "alert"), ["n", "n_effective"]].tolist() == [11, 3]


def test_weighted_tails_of_the_bootstrap_are_those_of_the_drawn_losses():
    rng = np.random.default_rng(0)
    n_rows = 60
    rows = np.sort(rng.integers(0, n_rows, 150))
    losses = np.round(rng.standard_normal(150), 1)
    order = np.argsort(-losses, kind="stable")
    levels = np.array([0.5, 0.9, 0.95])
    arguments = losses[order], rows[order], np.array([0, 150]), n_rows, 1e9, levels, 40
    found = loss_tail_draws_nb(*arguments, np.random.default_rng(5))
    # A block that never ends takes every row once: the draw is the data.
    for k, level in enumerate(levels):
        np.testing.assert_allclose(found[:, 0, k], np.tile(loss_tail(losses, level), (40, 1)), rtol=1e-12)
    # Blocks of one row: the rows drawn, replayed from the same generator.
    single = loss_tail_draws_nb(*arguments[:4], 1.0, levels, 3, np.random.default_rng(5))
    replay = np.random.default_rng(5)
    for draw in single:
        count = np.zeros(n_rows, dtype=int)
        at = replay.integers(0, n_rows)
        for _ in range(n_rows):
            count[at] += 1
            replay.random()
            at = replay.integers(0, n_rows)
        for k, level in enumerate(levels):
            assert draw[0, k] == pytest.approx(loss_tail(np.repeat(losses, count[rows]), level), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"returns": np.zeros((9, 2))}, r"shape \(300, 2\) of the signals, or one series of as many rows, got \(9, 2\)"),
        ({"returns": np.zeros(9)}, "one series of as many rows"),
        ({"returns": np.full((300, 2), -2.0)}, "at least -1"),
        ({"returns": np.full((300, 2), np.inf)}, "finite"),
        ({"levels": [1.5]}, "level must be between 0 and 1"),
        ({"levels": []}, "levels must be at least one"),
        ({"horizons": []}, "horizons must differ and be at least one"),
        ({"horizons": ["90m"]}, "whole number of 1h bars"),
        ({"delay": 0}, "delay must be a whole number of at least 1 bar"),
        ({"n_bootstrap": 0}, "n_bootstrap must be a whole number of at least 1"),
    ],
)
def test_what_cannot_follow_an_alert_is_refused(change, message):
    returns, found = market(300)
    with pytest.raises(ConfigError, match=message):
        conditional_risk(**{"returns": returns, "signals": found, "n_bootstrap": 10, **change})


def test_a_move_with_an_unknown_bar_or_beyond_the_data_is_unknown():
    returns = np.array([[0.1], [0.2], [NAN], [0.1], [0.1]])
    np.testing.assert_allclose(moves_of(returns, 2)[:, 0], [NAN, NAN, 0.21, NAN, NAN])
    assert np.isnan(moves_of(returns, 9)).all()


# ---- drawdowns


def test_drawn_drawdowns_are_those_of_the_resampled_paths():
    returns = 0.1 * np.random.default_rng(0).standard_normal(50)
    for block in (1.0, 4.0):
        found = max_drawdowns_nb(returns, 80, block, 5, np.random.default_rng(2))
        replay = np.random.default_rng(2)
        for depth in found:
            path, at = [], replay.integers(0, 50)
            for _ in range(80):
                path.append(returns[at])
                at = (at + 1) % 50
                if replay.random() * block < 1:
                    at = replay.integers(0, 50)
            assert depth == pytest.approx(drawdown(np.cumprod([1.0, *(1 + np.array(path))])).max(), rel=1e-9)


def test_two_days_have_the_drawdowns_of_a_coin():
    # Each day loses or gains 10 % with equal chance: a path of two falls by 0, 10 % or 19 % with chances 1/4, 1/2, 1/4.
    found = drawdown_risk(np.array([0.1, -0.1]), (0.2, 0.5, 0.9), (0.05, 0.15), horizon=2, block=1, n_draws=20_000)
    assert found.beyond[0.05] == pytest.approx(0.75, abs=0.015)
    assert found.beyond[0.15] == pytest.approx(0.25, abs=0.015)
    assert found.quantiles == pytest.approx({0.2: 0.0, 0.5: 0.1, 0.9: 0.19}, abs=1e-12)


def test_the_drawdowns_of_new_histories_follow_the_distribution_drawn_from_one():
    rng = np.random.default_rng(0)
    truth = np.array([drawdown(np.cumprod(1 + rng.normal(0.0005, 0.01, 1_000))).max() for _ in range(500)])
    levels = []
    for seed in range(20):
        returns = np.random.default_rng(100 + seed).normal(0.0005, 0.01, 1_000)
        found = drawdown_risk(returns, [0.5], n_draws=199, seed=seed)
        levels.append(np.mean(truth <= found.quantiles[0.5]))
    assert np.mean(levels) == pytest.approx(0.5, abs=0.12)


def test_blocks_keep_clusters_of_losses_together():
    # Losses come in runs of 20: broken up, they are made good in between.
    returns = np.tile(np.repeat([0.011, -0.01], 20), 10)
    whole, broken = (drawdown_risk(returns, [0.5], block=block, n_draws=400).quantiles[0.5] for block in (60.0, 1.0))
    assert whole > 1.5 * broken
    assert dependence_block(returns) > 5


def test_drawdowns_leave_out_what_is_unknown_and_total_loss_is_the_end():
    returns = 0.01 * np.random.default_rng(0).standard_normal(200)
    holes = drawdown_risk(np.insert(returns, [0, 50], NAN), n_draws=50)
    whole = drawdown_risk(returns, n_draws=50)
    np.testing.assert_array_equal(holes.drawn, whole.drawn)
    assert (holes.n, holes.n_missing) == (200, 2)
    assert holes.observed == performance(returns, "1h").max_drawdown
    assert drawdown_risk(np.array([0.1, -1.0]), horizon=50, block=1).beyond[0.5] == 1.0
    assert drawdown_risk(np.full(30, 0.007), [0.99], n_draws=20).quantiles[0.99] == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"returns": np.array([0.1, -2.0])}, "at least -1"),
        ({"returns": np.array([0.1, NAN])}, "at least 2 known returns to draw from, got 1"),
        ({"levels": [0]}, "level must be between 0 and 1"),
        ({"depths": [20]}, r"depths must be between 0 and 1, such as 0.2, got \[20\]"),
        ({"horizon": 0}, "horizon must be a whole number of at least 1"),
        ({"block": 0.5}, "block must be a mean length of at least 1 row"),
        ({"n_draws": 0}, "n_draws must be a whole number"),
    ],
)
def test_drawdowns_that_cannot_be_drawn_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        drawdown_risk(**{"returns": np.zeros(9), **change})


# ---- Sharpe ratio of a year


def autoregressive(n: int, phi: float, mean: float, rng: np.random.Generator) -> np.ndarray:
    x = np.empty(n)
    state = 0.0
    for t, shock in enumerate(rng.standard_normal(n)):
        state = phi * state + math.sqrt(1 - phi**2) * shock
        x[t] = state
    return mean + 0.01 * x


def test_without_lags_the_annual_ratio_and_interval_are_those_of_performance():
    returns = 0.01 * np.random.default_rng(0).standard_t(5, 400)
    found, plain = annual_sharpe(returns, "1d", lags=0), performance(returns, "1d")
    assert (found.ratio, found.iid_ratio) == pytest.approx((plain.sharpe, plain.sharpe))
    assert found.ci == pytest.approx(plain.sharpe_ci)
    assert found.iid_ci == pytest.approx(plain.sharpe_ci)


def test_the_annual_ratio_is_los_formula_with_bartlett_weights():
    returns = autoregressive(500, 0.3, 0.001, np.random.default_rng(0))
    centred, q, lags = returns - returns.mean(), 365, 5
    rho = [centred[k:] @ centred[:-k] / (centred @ centred) for k in range(1, lags + 1)]
    factor = q / math.sqrt(q + 2 * sum((q - k) * (1 - k / (lags + 1)) * rho[k - 1] for k in range(1, lags + 1)))
    found, bar = annual_sharpe(returns, "1d", lags=lags), sharpe_estimate(returns, lags)
    assert (found.ratio, found.error) == pytest.approx((factor * bar.ratio, factor * bar.error), rel=1e-12)


def test_of_an_autoregression_it_finds_the_ratio_of_a_year_and_the_root_of_time_does_not():
    phi, mean = 0.4, 0.001
    # The variance of a long sum is (1 + phi) / (1 - phi) times that of independent bars.
    truth = mean / 0.01 * math.sqrt(365) / math.sqrt((1 + phi) / (1 - phi))
    found = [annual_sharpe(autoregressive(2_000, phi, mean, np.random.default_rng(seed)), "1d", 20) for seed in range(200)]
    assert np.mean([f.ratio for f in found]) == pytest.approx(truth, rel=0.12)
    assert np.mean([f.iid_ratio for f in found]) > 1.4 * truth
    covered = np.mean([f.ci[0] <= truth <= f.ci[1] for f in found])
    # Four standard errors of a share of .95 in 200 are .06.
    assert covered > 0.88
    wide = np.mean([f.iid_ci[0] <= truth * math.sqrt((1 + phi) / (1 - phi)) <= f.iid_ci[1] for f in found])
    assert wide < 0.86


def test_the_year_has_no_ratio_where_returns_do_not_vary():
    for returns in (np.full(50, 0.007), np.full(3, NAN), np.array([0.1])):
        found = annual_sharpe(returns, "1h")
        assert math.isnan(found.ratio)
        assert math.isnan(found.ci[0])
    with pytest.raises(ConfigError, match="lags must be a whole number of at least 0"):
        annual_sharpe(np.zeros(9), "1h", lags=-1)
    with pytest.raises(ConfigError, match="at least -1"):
        annual_sharpe(np.array([0.1, -3.0]), "1h")
    assert annual_sharpe(0.01 * stats.norm.rvs(size=43_800, random_state=np.random.default_rng(0)), "1h").lags == 15

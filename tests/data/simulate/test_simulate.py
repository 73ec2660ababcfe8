import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, kurtosis

from foreshock.data.errors import ConfigError
from foreshock.data.simulate.events import AFTERMATH, CLEARANCE
from foreshock.data.simulate.market import simulate_market
from foreshock.data.simulate.paths import LISTED, ar1_nb, gjr_garch_nb, weekly_season
from tests.market import NO_EVENTS

HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")


@pytest.fixture(scope="module")
def market():
    return simulate_market(seed=7)


@pytest.fixture(scope="module")
def null():
    return simulate_market(seed=7, **NO_EVENTS)


@pytest.fixture(scope="module")
def crowded():
    return simulate_market(seed=11, n_flash_crashes=0, n_pumps=0, n_foreshocks=300, n_decoys=300)


@pytest.fixture(scope="module")
def crowded_null():
    return simulate_market(seed=11, **NO_EVENTS)


def events_of(market, kind):
    """Each event of a kind with the column of its symbol."""
    return [(event, market.bars.symbols.index(event.symbol)) for event in market.events.itertuples() if event.kind == kind]


def log_close(market):
    return np.log(market.bars.close)


def correlation(x, y):
    return np.corrcoef(x, y)[0, 1]


def mean_correlation(x, y):
    """Correlation of each column of x with that of y, mean over the columns."""
    return np.mean([correlation(x[:, col], y[:, col]) for col in range(x.shape[1])])


# The null market


def test_each_symbol_has_its_planted_volatility(null):
    returns = null.bars.returns()[1:]
    planted = 0.8 * np.array([relative for _, _, relative, _ in LISTED])
    realised = returns.std(axis=0) * np.sqrt(24 * 365)
    assert realised == pytest.approx(planted, rel=0.12)
    # Given the bars before, the scale is known exactly, so that the tolerance is that of 17,519 draws.
    assert (returns / null.volatility[1:]).std(axis=0) == pytest.approx(np.ones(8), rel=0.03)


def test_annual_volatility_means_the_same_at_every_interval():
    for interval, per_year in (("5m", 12 * 24 * 365), ("1d", 365)):
        market = simulate_market(n_bars=20_000, n_symbols=1, interval=interval, annual_volatility=0.5, **NO_EVENTS)
        realised = market.bars.returns()[1:].std() * np.sqrt(per_year)
        assert realised == pytest.approx(0.5 * LISTED[0][2], rel=0.1)


def test_true_volatility_does_not_see_its_own_bar(null):
    shorter = simulate_market(seed=7, n_bars=500, **NO_EVENTS)
    assert np.array_equal(shorter.volatility, null.volatility[:500])
    standardised = (null.bars.returns() / null.volatility)[1:]
    # A volatility that knew its own bar would make large standardised moves impossible.
    assert kurtosis(standardised).min() > 0.5
    assert abs(correlation(np.abs(standardised[:, 0]), null.volatility[1:, 0])) < 0.03


def test_returns_are_heavy_tailed(null):
    assert (kurtosis(null.bars.returns()[1:]) + 3).min() > 4


def test_absolute_returns_cluster_and_the_clustering_decays(null):
    moves = np.abs(null.bars.returns()[1:])

    def mean_acf(lags):
        # Lags of whole days, over which the hour-of-day season cancels.
        return np.mean([mean_correlation(moves[:-k], moves[k:]) for k in lags])

    near, middle, far = mean_acf(range(1, 25)), mean_acf(range(73, 97)), mean_acf(range(313, 337))
    assert near > 0.06
    assert near > 1.8 * middle > 1.8 * far
    assert abs(far) < 0.04


def test_volatility_rises_more_after_a_fall_than_after_a_rise_of_the_same_size(null):
    z = null.bars.returns()[1:-1] / null.volatility[1:-1]
    growth = null.volatility[2:] / null.volatility[1:-1]
    falls, rises = (z > -2.5) & (z < -1.5), (z > 1.5) & (z < 2.5)
    assert growth[falls].mean() > 1.02 * growth[rises].mean()


def test_symbols_correlate_as_asked():
    for asked in (0.0, 0.6):
        markets = (simulate_market(seed=seed, correlation=asked, **NO_EVENTS) for seed in range(4))
        pairs = np.array([np.corrcoef(market.bars.returns()[1:].T)[np.triu_indices(8, 1)] for market in markets])
        assert pairs.mean() == pytest.approx(asked, abs=0.03)
        assert np.ptp(pairs.mean(axis=0)) < 0.08


def test_variance_and_volume_follow_the_planted_week(null):
    bars = null.bars
    stamp = pd.DatetimeIndex(bars.time)
    hour_of_week = (stamp.day_of_week * 24 + stamp.hour).to_numpy()[1:]
    returns = bars.returns()[1:]
    found = np.array([(returns[hour_of_week == h] ** 2 / (returns**2).mean(axis=0)).mean() for h in range(168)])
    by_hour = found.reshape(7, 24).mean(axis=0)
    planted = np.exp(0.5 * np.cos(2 * np.pi * (np.arange(24) - 15) / 24))
    assert by_hour / by_hour.mean() == pytest.approx(planted / planted.mean(), abs=0.35)
    assert correlation(by_hour, planted) > 0.9
    assert found[120:].mean() / found[:120].mean() == pytest.approx(0.6, rel=0.15)

    log_volume = np.log(bars.volume[1:]).mean(axis=1)
    volume_hours = np.array([log_volume[hour_of_week % 24 == h].mean() for h in range(24)])
    assert volume_hours - volume_hours.mean() == pytest.approx(0.4 * np.cos(2 * np.pi * (np.arange(24) - 15) / 24), abs=0.06)
    weekend = hour_of_week >= 120
    assert log_volume[weekend].mean() - log_volume[~weekend].mean() == pytest.approx(np.log(0.65), abs=0.1)


def test_season_averages_to_one_over_a_week_at_any_interval():
    for minutes in (1, 5, 60, 90, 240, 1440):
        step = np.timedelta64(minutes, "m").astype("timedelta64[us]")
        n_bars = (7 if minutes != 90 else 21) * 1440 // minutes
        time = np.datetime64("2024-02-28T07:13", "us") + step * np.arange(n_bars)
        assert weekly_season(time, step, 0.5, 0.6).mean() == pytest.approx(1, rel=1e-9)


def test_season_of_a_long_bar_is_the_mean_of_its_hours():
    hours = np.datetime64("2024-03-01", "us") + HOUR * np.arange(24 * 7)
    days = hours[::24]
    by_hour = weekly_season(hours, HOUR, 0.5, 0.6).reshape(7, 24)
    assert weekly_season(days, 24 * HOUR, 0.5, 0.6) == pytest.approx(by_hour.mean(axis=1), rel=1e-9)
    # 2024-03-02 was a Saturday.
    assert by_hour[:, 0] / by_hour[0, 0] == pytest.approx([1, 0.6, 0.6, 1, 1, 1, 1], rel=1e-9)
    assert by_hour[0].argmax() == 15


def test_volume_rises_with_the_move_and_with_volatility(null):
    moves, volume = null.bars.returns()[1:], np.log(null.bars.volume[1:])
    assert 0.35 < mean_correlation(np.abs(moves), volume) < 0.75
    assert mean_correlation(null.volatility[:-1], volume) > 0.2


def test_parkinson_volatility_agrees_with_close_to_close_volatility(null):
    parkinson = np.sqrt((np.log(null.bars.high / null.bars.low) ** 2).mean(axis=0) / (4 * np.log(2)))
    assert parkinson / null.bars.returns()[1:].std(axis=0) == pytest.approx(np.full(8, 1.015), abs=0.02)


def test_share_of_the_body_in_the_range_is_that_of_a_brownian_motion(null):
    bars = null.bars
    share = np.abs(np.log(bars.close / bars.open)) / np.log(bars.high / bars.low)
    rng = np.random.default_rng(0)
    body, tails = rng.standard_normal(200_000), rng.standard_exponential((2, 200_000))
    reach = np.sqrt(body**2 + 2 * tails)
    expected = np.abs(body) / (reach.sum(axis=0) / 2)
    # The share has no scale, so that heavy tails leave it alone: unless high and low miss the bar's own variance.
    levels = [0.1, 0.5, 0.9, 0.99]
    assert np.quantile(share, levels) == pytest.approx(np.quantile(expected, levels), abs=0.006)


def test_buying_and_holding_has_no_drift_in_the_null_market():
    markets = (simulate_market(seed=seed, n_bars=4_000, correlation=0.0, annual_volatility=3.0, **NO_EVENTS) for seed in range(4))
    simple = np.concatenate([market.bars.returns(log=False)[1:] for market in markets])
    # Without the -volatility**2 / 2 the t statistic is about 6 higher.
    assert abs(simple.mean() / simple.std() * np.sqrt(simple.size)) < 2


def test_bars_are_ordered_inside_and_open_at_the_previous_close(market, null):
    for bars, volatility in ((market.bars, market.volatility), (null.bars, null.volatility)):
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (np.abs(np.log(bars.open[1:] / bars.close[:-1])) < 0.1 * volatility[1:]).all()
        vwap = bars.extras["quote_volume"] / bars.volume
        assert ((bars.low * (1 - 1e-12) <= vwap) & (vwap <= bars.high * (1 + 1e-12))).all()


def test_first_prices_span_orders_of_magnitude_and_names_go_on_after_the_listed_ones(null):
    assert null.bars.open[0] == pytest.approx([price for _, price, _, _ in LISTED], rel=0.01)
    names = simulate_market(n_symbols=10, n_bars=2).bars.symbols
    assert names[:2] == ("BTC/USDT", "ETH/USDT")
    assert names[8:] == ("COIN9/USDT", "COIN10/USDT")


# Streams


def test_the_same_seed_gives_the_same_market_and_another_seed_another(market):
    again, other = simulate_market(seed=7), simulate_market(seed=8)
    assert again.bars.fingerprint() == market.bars.fingerprint()
    pd.testing.assert_frame_equal(again.events, market.events)
    assert abs(correlation(other.bars.returns()[1:, 0], market.bars.returns()[1:, 0])) < 0.05


def test_a_further_symbol_leaves_the_others_as_they_were():
    few, many = (simulate_market(n_symbols=n, n_bars=600, **NO_EVENTS).bars for n in (3, 9))
    assert many.select(few.symbols).fingerprint() == few.fingerprint()


def test_further_bars_leave_the_earlier_ones_as_they_were(null):
    shorter = simulate_market(seed=7, n_bars=700, **NO_EVENTS)
    assert null.bars.head(700).fingerprint() == shorter.bars.fingerprint()


def test_bars_before_the_first_event_are_those_of_the_null_market(market, null):
    first = market.events.groupby("symbol")["signature_row"].min()
    assert set(first.index) == set(market.bars.symbols)
    for symbol, row in first.items():
        assert market.bars.select(symbol).head(row).fingerprint() == null.bars.select(symbol).head(row).fingerprint()


def test_returns_and_volumes_away_from_events_are_those_of_the_null_market(market, null):
    outside = np.ones(market.bars.shape, dtype=bool)
    for event in market.events.itertuples():
        outside[event.signature_row : event.stop_row, market.bars.symbols.index(event.symbol)] = False
    outside[0] = False
    assert 0.9 < outside.mean() < 0.99
    # pytest.approx takes a second for arrays of this size.
    np.testing.assert_allclose(market.bars.returns()[outside], null.bars.returns()[outside], rtol=0, atol=1e-12)
    assert np.array_equal(market.bars.volume[outside], null.bars.volume[outside])
    spans = [np.log(bars.high / bars.low)[outside] for bars in (market.bars, null.bars)]
    np.testing.assert_allclose(*spans, rtol=0, atol=1e-12)


def test_the_count_of_one_kind_does_not_change_the_sizes_of_another():
    few, many = (simulate_market(n_foreshocks=n, n_symbols=3).events.query("kind == 'pump'") for n in (0, 40))
    assert sorted(few["size"]) == sorted(many["size"])
    assert len(few) == 6


# The truth table


def test_counts_are_those_asked_for_and_scale_by_default(market):
    counts = market.events.groupby("kind")["event"].nunique().to_dict()
    assert counts == {"flash_crash": 12, "pump": 16, "foreshock": 60, "decoy": 20}
    half = simulate_market(n_bars=8_760).events.groupby("kind")["event"].nunique().to_dict()
    assert half == {"flash_crash": 6, "pump": 8, "foreshock": 30, "decoy": 10}
    asked = simulate_market(n_bars=3_000, n_flash_crashes=1, n_pumps=2, n_foreshocks=4, n_decoys=3).events
    assert asked.groupby("kind")["event"].nunique().to_dict() == {"flash_crash": 1, "pump": 2, "foreshock": 4, "decoy": 3}
    assert len(simulate_market(n_bars=50).events) == 0


def test_a_third_of_the_crashes_take_every_symbol_at_the_same_bar(market):
    crashes = market.events.query("kind == 'flash_crash'").groupby("event")
    whole = [crash for _, crash in crashes if (crash["form"] == "market").all()]
    assert len(whole) == 4
    for crash in whole:
        assert sorted(crash["symbol"]) == sorted(market.bars.symbols)
        assert crash["row"].nunique() == 1
        assert crash["size"].nunique() > 4


def test_events_of_a_symbol_are_a_clear_distance_apart(crowded, market):
    for simulated in (market, crowded):
        for _, events in simulated.events.groupby("symbol"):
            spans = events.sort_values("signature_row")
            gaps = spans["signature_row"].to_numpy()[1:] - spans["stop_row"].to_numpy()[:-1]
            assert gaps.min() >= CLEARANCE
            assert spans["signature_row"].min() >= CLEARANCE
            assert spans["stop_row"].max() <= simulated.bars.n_bars - CLEARANCE


def test_times_in_the_truth_table_are_those_of_its_rows(market):
    events, time = market.events, market.bars.time
    for when, row in (("time", "row"), ("stop", "stop_row"), ("signature_time", "signature_row")):
        assert np.array_equal(events[when].to_numpy(), time[events[row]])
    assert (events["signature_row"] == events["row"] - events["lead_bars"]).all()
    assert (events["lead_bars"] > 0).equals(events["kind"] == "foreshock")
    assert set(events.query("kind == 'foreshock'")["lead_bars"]) == {1, 2, 3, 4, 5, 6}
    assert events["row"].is_monotonic_increasing


def test_the_log_move_of_each_event_is_that_of_the_bars_less_that_of_the_null_market(market, null):
    extra = log_close(market) - log_close(null)
    for event in market.events.itertuples():
        col = market.bars.symbols.index(event.symbol)
        found = extra[event.peak_row, col] - extra[event.row - 1, col]
        assert found == pytest.approx(event.log_move, abs=1e-11)
        assert np.sign(found.round(11)) == event.direction
        # Nothing before the onset, nothing after the stop.
        assert extra[event.row - 24 : event.row, col] == pytest.approx(np.full(24, extra[event.row - 1, col]), abs=1e-11)
        assert extra[event.stop_row, col] == pytest.approx(extra[event.stop_row - 1, col], abs=1e-11)
        if event.kind != "decoy":
            assert extra[event.row, col] != pytest.approx(extra[event.row - 1, col], abs=1e-6)


def test_crashes_fall_and_pumps_rise_by_their_size_and_come_back(market, null):
    extra = log_close(market) - log_close(null)
    for kind, direction, smallest, largest, back in (
        ("flash_crash", -1, -np.log1p(-0.08), -np.log1p(-0.25), (0.15, 0.85)),
        ("pump", 1, np.log1p(0.1), np.log1p(0.6), (0.4, 1.3)),
    ):
        for event, col in events_of(market, kind):
            before = extra[event.row - 1, col]
            assert extra[event.peak_row, col] - before == pytest.approx(direction * event.size, abs=1e-11)
            assert smallest - 1e-9 <= event.size <= largest + 1e-9
            assert event.peak_row - event.row in ((0, 1) if kind == "flash_crash" else (0, 1, 2))
            assert event.stop_row == event.peak_row + 1 + AFTERMATH
            # The returns of the aftermath are also larger, which moves the sum either way.
            retraced = 1 - (extra[event.stop_row, col] - before) / (direction * event.size)
            assert back[0] - 0.5 < retraced < back[1] + 0.5
        retraced = np.mean(
            [1 - (extra[e.stop_row, c] - extra[e.row - 1, c]) / (direction * e.size) for e, c in events_of(market, kind)]
        )
        assert back[0] < retraced < back[1]


def test_crashes_and_pumps_come_with_a_wick_and_a_burst_of_volume_that_dies_down(market, null):
    burst = market.bars.volume / null.bars.volume
    bars = market.bars
    for kind, smallest, largest in (("flash_crash", 8, 25), ("pump", 10, 50)):
        for event, col in events_of(market, kind):
            onset = burst[event.row : event.peak_row + 1, col]
            assert smallest <= onset.min() * (1 + 1e-9)
            assert onset.max() <= largest * (1 + 1e-9)
            after = burst[event.peak_row : event.stop_row, col]
            assert (np.diff(after) < 0).all()
            assert after[-1] < 1.1
            top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
            if kind == "pump":
                wick = np.log(bars.high / top)[event.peak_row, col]
            else:
                wick = np.log(bottom / bars.low)[event.peak_row, col]
            assert wick > (0.1 if kind == "pump" else 0.2) * event.size * (1 - 1e-9)


# Foreshocks and decoys


def test_the_signature_is_a_burst_of_volume_and_a_long_wick_about_an_unmoved_close(crowded, crowded_null):
    bars = crowded.bars
    burst = bars.volume / crowded_null.bars.volume
    returns = [market.bars.returns() for market in (crowded, crowded_null)]
    spans, bodies = np.log(bars.high / bars.low), np.abs(np.log(bars.close / bars.open))
    for kind in ("foreshock", "decoy"):
        for event, col in events_of(crowded, kind):
            row = event.signature_row
            assert 8 * (1 - 1e-9) <= burst[row, col] <= 20 * (1 + 1e-9)
            assert np.array_equal(burst[row - CLEARANCE : row, col], np.ones(CLEARANCE))
            before = slice(row - CLEARANCE, event.row)
            if kind == "decoy":
                before = slice(row - CLEARANCE, row + CLEARANCE)
            assert returns[0][before, col] == pytest.approx(returns[1][before, col], abs=1e-12)
            assert spans[row, col] * (1 + 1e-9) >= 3 * crowded.volatility[row, col]
            assert bodies[row, col] <= spans[row, col] / 4 * (1 + 1e-9)


def test_foreshocks_and_decoys_look_alike_at_the_signature(crowded):
    bars = crowded.bars
    shapes = {}
    for kind in ("foreshock", "decoy"):
        rows, cols = np.array([(event.signature_row, col) for event, col in events_of(crowded, kind)]).T
        volatility = crowded.volatility[rows, cols]
        shapes[kind] = (
            np.log(bars.volume[rows, cols] / bars.volume[rows - 1, cols]),
            np.log(bars.high / bars.low)[rows, cols] / volatility,
            volatility,
        )
    for fore, decoy in zip(shapes["foreshock"], shapes["decoy"], strict=True):
        assert ks_2samp(fore, decoy).pvalue > 0.01


def forward_ratio(planted, null, kind, horizon=24):
    """Mean absolute move from the close of the signature bar, over that of the same bars in the null market."""
    rows, cols = np.array([(event.signature_row, col) for event, col in events_of(planted, kind)]).T
    moves = [np.abs(log_close(m)[rows + horizon, cols] - log_close(m)[rows, cols]).mean() for m in (planted, null)]
    return moves[0] / moves[1]


def test_moves_after_a_foreshock_are_larger_than_on_the_same_bars_of_the_null_market(market, null, crowded, crowded_null):
    assert forward_ratio(market, null, "foreshock") > 1.5
    assert forward_ratio(crowded, crowded_null, "foreshock") > 1.8
    for form in ("swell", "jump"):
        kept = dataclasses.replace(crowded, events=crowded.events[crowded.events["form"] == form])
        assert forward_ratio(kept, crowded_null, "foreshock") > 1.5


def test_moves_after_a_decoy_are_the_ordinary_ones(crowded, crowded_null):
    assert forward_ratio(crowded, crowded_null, "decoy") == pytest.approx(1, rel=1e-9)


def test_moves_after_a_signature_match_the_true_volatility_but_for_a_foreshock(crowded, crowded_null):
    # Against all bars of the null market: the places of the events are not chosen by what volatility does next.
    horizon = 24
    moves = np.abs(log_close(crowded_null)[horizon:] - log_close(crowded_null)[:-horizon])
    ordinary = (moves / crowded.volatility[:-horizon]).mean()
    found = {}
    for kind in ("foreshock", "decoy"):
        rows, cols = np.array([(event.signature_row, col) for event, col in events_of(crowded, kind)]).T
        forward = np.abs(log_close(crowded)[rows + horizon, cols] - log_close(crowded)[rows, cols])
        found[kind] = (forward / crowded.volatility[rows, cols]).mean() / ordinary
    assert found["decoy"] == pytest.approx(1, abs=0.15)
    assert found["foreshock"] > 1.7


def test_the_move_over_a_foreshock_is_its_size_times_the_ordinary_one():
    size = 3.0
    counts = NO_EVENTS | {"n_foreshocks": 600}
    planted = simulate_market(seed=5, n_bars=20_000, foreshock_size=(size, size), correlation=0.0, **counts)
    null = simulate_market(seed=5, n_bars=20_000, correlation=0.0, **NO_EVENTS)
    for form in ("swell", "jump"):
        kept = dataclasses.replace(planted, events=planted.events[planted.events["form"] == form])
        squares = []
        for simulated in (planted, null):
            close = log_close(simulated)
            moves = [close[e.stop_row - 1, c] - close[e.row - 1, c] for e, c in events_of(kept, "foreshock")]
            squares.append(np.mean(np.square(moves)))
        assert np.sqrt(squares[0] / squares[1]) == pytest.approx(size, rel=0.12)


def test_a_foreshock_of_size_one_moves_nothing():
    counts = NO_EVENTS | {"n_foreshocks": 20}
    planted = simulate_market(n_bars=3_000, foreshock_size=(1.0, 1.0), foreshock_lead=(2, 2), **counts)
    null = simulate_market(n_bars=3_000, **NO_EVENTS)
    assert np.array_equal(planted.bars.close, null.bars.close)
    assert (planted.events["lead_bars"] == 2).all()
    assert (planted.events["direction"] == 0).all()


# Kernels


def test_garch_kernel_equals_the_textbook_recursion():
    shock = np.random.default_rng(0).standard_t(5, (300, 2))
    persistence, arch, leverage = 0.97, 0.04, 0.06
    omega, beta = 1 - persistence, persistence - arch - leverage / 2
    for col in range(2):
        variance, expected = 1.0, []
        for z in shock[:, col]:
            expected.append(variance)
            residual = z * variance**0.5
            variance = omega + arch * residual**2 + (leverage * residual**2 if residual < 0 else 0) + beta * variance
        assert gjr_garch_nb(shock, persistence, arch, leverage)[:, col] == pytest.approx(expected, rel=1e-12)


def test_ar1_kernel_equals_the_sum_over_its_past_and_has_unit_variance():
    noise = np.random.default_rng(0).standard_normal((40, 3))
    values = ar1_nb(noise, 0.9)
    weights = np.append(np.sqrt(1 - 0.9**2) * 0.9 ** np.arange(39), 0.9**39)
    assert values[39] == pytest.approx(weights @ noise[::-1], rel=1e-12)
    assert (weights**2).sum() == pytest.approx(1, rel=1e-12)


# Bad input


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_symbols": 0}, "n_symbols must be a whole number of at least 1, got 0"),
        ({"n_bars": 1}, "n_bars must be a whole number of at least 2, got 1"),
        ({"n_bars": 100.5}, "n_bars must be a whole number of at least 2, got 100.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"n_pumps": -1}, "n_pumps must be a whole number of at least 0, got -1"),
        ({"n_decoys": float("nan")}, "n_decoys must be a whole number of at least 0, got nan"),
        ({"annual_volatility": float("nan")}, "annual_volatility must be a number from 0.01 to 5, got nan"),
        ({"annual_volatility": float("inf")}, "annual_volatility must be a number from 0.01 to 5, got inf"),
        ({"correlation": 1.0}, "correlation must be a number from 0 to 0.99, got 1.0"),
        ({"persistence": 1.0}, "persistence must be a number from 0.07 to 0.999, got 1.0"),
        ({"degrees_of_freedom": 2}, "degrees_of_freedom must be a number from 2.1"),
        ({"degrees_of_freedom": "6"}, "degrees_of_freedom must be a number from 2.1"),
        ({"foreshock_lead": (0, 3)}, "foreshock_lead must be a number from 1 to 1000, got 0"),
        ({"foreshock_lead": (1.5, 3)}, "foreshock_lead must be a whole number of at least 1, got 1.5"),
        ({"foreshock_lead": 3}, "foreshock_lead must be a pair"),
        ({"foreshock_size": (4.0, 2.5)}, "foreshock_size must be a pair .*swap the two"),
        ({"foreshock_size": (2.0, float("nan"))}, "foreshock_size must be a number from 1 to 20, got nan"),
        ({"start": "yesterday?"}, "start must be a date or time in UTC, got 'yesterday\\?'"),
        ({"interval": "1M"}, "interval must be a number and one of the units"),
        ({"n_bars": 60, "n_decoys": 1}, "n_bars must leave 72 bars .* got 60 bars of 8 symbols, which hold 0 of the 1 events"),
        ({"n_bars": 1_000, "n_symbols": 1, "n_pumps": 50}, "n_bars must leave 72 bars between the events .* fewer events"),
    ],
)
def test_bad_input_is_refused_with_what_was_got_and_expected(parameters, words):
    with pytest.raises(ConfigError, match=words):
        simulate_market(**parameters)


def test_a_start_with_a_zone_is_turned_into_utc():
    market = simulate_market(n_bars=2, start="2024-03-01T02:00+02:00")
    assert list(market.bars.time) == [np.datetime64("2024-03-01T00:00"), np.datetime64("2024-03-01T01:00")]

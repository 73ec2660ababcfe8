"""Lead and lag: held to slow loops, to planted leads, and to coincident and random alerts.

``python -m pytest tests/engine/validation/test_lead_lag.py -m slow -s`` prints the recovery of leads over 50 seeds.
"""

import numpy as np
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.simulate.market import SimulatedMarket, simulate_market
from foreshock.engine.validation.evidence.inference import hac_variance
from foreshock.engine.validation.moves.bands import covariance_root, sup_t_band
from foreshock.engine.validation.moves.lead_lag import (
    CAP,
    EDGE_BARS,
    EDGE_DECAY,
    lead_lag,
    lead_lag_curve,
    onset,
    row_profiles,
    surprises,
)
from foreshock.engine.validation.moves.moves import expected_log_path, moves_after
from tests.market import make_bars, quiet_bars, signals_of


def planted(market: SimulatedMarket, column: str, kinds: tuple[str, ...]) -> np.ndarray:
    """Events of some kinds at their ``row`` or ``signature_row``."""
    table = market.events[market.events["kind"].isin(kinds)]
    active = np.zeros(market.bars.shape, dtype=bool)
    active[table[column], [market.bars.symbols.index(symbol) for symbol in table["symbol"]]] = True
    return active


def foreshocks(seed: int, lead: int, n_bars: int = 8_760) -> SimulatedMarket:
    return simulate_market(seed=seed, n_symbols=4, n_bars=n_bars, n_foreshocks=30, foreshock_lead=(lead, lead))


# Bands


@pytest.mark.parametrize("lags", [0, 5, 400])
def test_the_covariance_is_that_of_newey_and_west(lags):
    x = np.random.default_rng(0).standard_normal((90, 3)).cumsum(axis=0)
    x -= x.mean(axis=0)
    root = covariance_root(x, lags)
    covariance = root.T @ root
    for i in range(3):
        for j in range(3):
            twice = hac_variance(x[:, i] + x[:, j], lags) - hac_variance(x[:, i] - x[:, j], lags)
            assert covariance[i, j] == pytest.approx(twice / 4, rel=1e-6, abs=1e-9 * covariance.max())


def test_bands_hold_the_whole_curve_in_95_percent_of_samples_where_single_intervals_do_not():
    """Means of 12 dependent columns over 1,500 rows with a memory of 5."""
    rng = np.random.default_rng(1)
    held = np.zeros(2)
    for seed in range(400):
        noise = rng.standard_normal((1_504, 13))
        x = sum(noise[j : 1_500 + j] for j in range(5))
        x = x[:, 1:] + 0.5 * x[:, :-1]
        mean = x.mean(axis=0)
        band = sup_t_band(mean, (x - mean) / 1_500, 40, 38, 499, seed)
        t = np.abs(mean) / band.error
        held += [(t <= band.critical).all(), (t <= 1.96).all()]
        assert (band.p < 0.05) == (t.max() > band.critical) or abs(band.p - 0.05) < 0.01
    assert 0.91 < held[0] / 400 < 0.985
    assert held[1] / 400 < 0.8


# The curve


def test_surprises_are_moves_over_what_was_expected_a_bar_before():
    bars = make_bars(400, 2)
    moves = moves_after(bars, 1)
    expected = np.exp(expected_log_path(bars, moves))
    found = surprises(bars)
    row = 250
    np.testing.assert_allclose(found[row], np.abs(np.log(bars.close[row] / bars.open[row])) / expected[row - 1], rtol=1e-9)
    assert np.nanmean(found) == pytest.approx(1, abs=1e-6)


def test_profiles_equal_a_loop_over_events():
    rng = np.random.default_rng(2)
    values, events = rng.random((40, 3)), rng.random((40, 3)) < 0.2
    values[rng.random(values.shape) < 0.1] = np.nan
    offsets = np.arange(-5, 6)
    sums, counts = row_profiles(values, events, offsets)
    for j, row in enumerate(np.flatnonzero(events.any(axis=1))):
        for k, offset in enumerate(offsets):
            seen = [
                values[row + offset, i]
                for i in range(3)
                if events[row, i] and 0 <= row + offset < 40 and not np.isnan(values[row + offset, i])
            ]
            assert sums[j, k] == pytest.approx(sum(seen))
            assert counts[j, k] == len(seen)


def test_the_curve_is_the_mean_of_capped_surprises_with_the_usual_at_one():
    rng = np.random.default_rng(3)
    surprise, events = rng.exponential(1, (900, 2)), rng.random((900, 2)) < 0.05
    surprise[100] = 50.0
    found = lead_lag_curve(surprise, events, 4)
    capped = np.minimum(surprise, CAP)
    capped /= capped.mean(axis=0)
    rows, cols = np.nonzero(events)
    for k, offset in enumerate(found.offsets):
        inside = (rows + offset >= 0) & (rows + offset < 900)
        values = capped[rows[inside] + offset, cols[inside]]
        assert found.activity[k] == pytest.approx(values.mean())
        assert found.n[k] == inside.sum()


def test_the_edge_is_where_bars_ahead_exceed_bars_behind_by_most():
    rng = np.random.default_rng(4)
    curve = rng.random(30)
    padded = np.pad(curve, EDGE_BARS, constant_values=float(np.median(curve)))
    weight = EDGE_DECAY ** np.arange(EDGE_BARS)
    slow = [
        sum(weight[j] * (padded[EDGE_BARS + k + j] - padded[EDGE_BARS + k - 1 - j]) for j in range(EDGE_BARS)) for k in range(30)
    ]
    assert onset(curve) == int(np.argmax(slow))


@pytest.mark.parametrize("shape", ["spike", "step", "decay", "hump"])
def test_the_edge_of_simple_shapes_is_their_first_bar(shape):
    ahead = np.arange(97) - 60
    curve = {
        "spike": ahead == 0,
        "step": ahead >= 0,
        "decay": np.where(ahead >= 0, 0.8 ** np.maximum(ahead, 0), 0),
        "hump": (ahead >= 0) & (ahead < 12),
    }[shape]
    assert onset(1 + curve) == 60


# The lead


@pytest.mark.parametrize("lead", [1, 2, 5, 12, 24])
def test_planted_leads_are_recovered_within_a_bar(lead):
    market = foreshocks(7, lead, 6_000)
    found = lead_lag(market.bars, signals_of(market.bars, planted(market, "signature_row", ("foreshock", "decoy"))))
    assert abs(found.lead - lead) <= 1
    assert found.lead_ci[0] <= lead <= found.lead_ci[1]
    assert found.p < 0.05


def test_a_coincident_detector_has_lead_0():
    market = foreshocks(8, 5)
    found = lead_lag(market.bars, signals_of(market.bars, planted(market, "row", ("foreshock", "flash_crash", "pump"))))
    assert found.lead == 0


def test_alerts_on_large_moves_of_a_market_without_events_have_lead_0_and_late_ones_lag():
    bars = quiet_bars(9, 6_000, 3)
    size = np.abs(np.nan_to_num(bars.returns()))
    active = size > np.quantile(size, 0.98, axis=0)
    assert lead_lag(bars, signals_of(bars, active), cooldown="24h").lead == 0
    assert lead_lag(bars, signals_of(bars, np.roll(active, 4, axis=0))).lead == -4


def test_random_alerts_have_no_lead():
    bars = quiet_bars(10, 6_000, 3)
    known = surprises(bars)
    rng = np.random.default_rng(5)
    for n in (10, 40, 400):
        found = [lead_lag_curve(known, rng.random(bars.shape) < n / bars.close.size, n_draws=199, seed=k) for k in range(20)]
        assert sum(not np.isnan(one.lead) for one in found) <= 2
        assert sum(one.p < 0.05 for one in found) <= 4
        assert {one.reason for one in found if np.isnan(one.lead)} == {"no offset stands out above 1"}


def test_a_cool_down_and_the_table_of_offsets():
    bars = quiet_bars(11, 3_000, 2)
    active = np.zeros(bars.shape, dtype=bool)
    active[200:2_800:100] = active[201:2_800:100] = True
    found = lead_lag(bars, signals_of(bars, active), "6h", cooldown="2h")
    assert found.n_events == 52
    assert list(found.table.index) == list(range(-6, 7))
    assert (found.table["n"] == 52).all()


# Bad input


@pytest.mark.parametrize("kind", ["none", "one", "flat"])
def test_nothing_to_average_gives_nan_with_a_reason(kind):
    bars = make_bars(600, 2)
    active = np.zeros(bars.shape, dtype=bool)
    if kind != "none":
        active[300] = True
    surprise = np.full(bars.shape, np.nan) if kind == "flat" else None
    found = lead_lag(bars, signals_of(bars, active), "6h", surprise=surprise)
    assert np.isnan([found.lead, found.p, *found.lead_ci]).all()
    assert found.reason == "fewer than 2 groups of events with known bars"
    assert (found.n == (0 if kind != "one" else 2)).all()


def test_alerts_in_every_bar_stand_out_nowhere():
    bars = quiet_bars(12, 2_000, 2)
    found = lead_lag(bars, signals_of(bars, np.ones(bars.shape, dtype=bool)), "12h")
    assert np.isnan(found.lead)
    np.testing.assert_allclose(found.activity, 1, atol=0.02)


def test_what_does_not_fit_is_refused():
    bars = make_bars(100, 1)
    signals = signals_of(bars, np.zeros(bars.shape, dtype=bool))
    for reach in ("1h", "100h"):
        with pytest.raises(ConfigError, match="reach must be at least 2 bars and shorter than the data"):
            lead_lag(bars, signals, reach)
    with pytest.raises(DataError, match="rows and symbols of the bars"):
        lead_lag(bars.head(50), signals)


@pytest.mark.slow
def test_leads_from_0_to_24_are_recovered_on_50_seeds():
    """Share within one bar, and share of the 95 % intervals that hold the lead; a lead of 0 is an alert at the onset."""
    within, held = [], []
    for lead in (0, 1, 2, 3, 4, 6, 8, 12, 16, 20, 24):
        hits, kept = [], []
        for seed in range(50):
            market = foreshocks(seed, max(lead, 1))
            kinds = ("foreshock", "decoy") if lead else ("foreshock",)
            active = planted(market, "signature_row" if lead else "row", kinds)
            found = lead_lag(market.bars, signals_of(market.bars, active), seed=seed)
            hits.append(abs(found.lead - lead) <= 1)
            kept.append(found.lead_ci[0] <= lead <= found.lead_ci[1])
        print(f"lead {lead:2d}: within one bar {np.mean(hits):.2f}, interval holds it {np.mean(kept):.2f}")
        within += hits
        held += kept
    assert np.mean(within) > 0.95
    assert np.mean(held) > 0.93

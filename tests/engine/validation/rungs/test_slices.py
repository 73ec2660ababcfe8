"""The deciding test in slices: it is the test of the alerts there, against the level of activity there."""

from copy import copy

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.scores import Signals, thin
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.effects import EventEffects, SymbolLines, in_cooldown
from foreshock.engine.validation.rungs.result import LEAST_EVENTS, RUNGS
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.engine.validation.rungs.slices import sliced_effects

SETTING = Judging(("1h", "12h"), "12h", first=500)


@pytest.fixture(scope="module")
def table() -> RungTable:
    return RungTable(fs.simulate_market(seed=5, n_symbols=3, n_bars=3_000).bars, SETTING, RollingQuantile(0.98, "15D"))


@pytest.fixture(scope="module")
def alerts(table) -> Signals:
    bars, rng = table.measured.bars, np.random.default_rng(0)
    active, decided = rng.random(bars.shape) < 0.03, rng.random(bars.shape) < 0.95
    return Signals(bars.time, bars.symbols, active & decided, np.ones(bars.shape), decided, bars.interval)


@pytest.fixture(scope="module")
def masks(table) -> list[np.ndarray]:
    rows, rng = np.arange(table.measured.bars.n_bars)[:, None], np.random.default_rng(1)
    early = rows < 1_400
    asset = np.array([[False, True, False]])
    return [early, ~early, asset, early & asset, rng.random(table.measured.bars.shape) < 0.4]


def alone(test: EventEffects, alerts: Signals, mask: np.ndarray):
    """The effect of the events inside the mask by the test itself, with a dummy of the mask among its controls."""
    events = thin(alerts.active & alerts.decided, test.cooldown)
    inside = np.broadcast_to(mask, events.shape)
    others = (alerts.active | in_cooldown(events, test.cooldown)) & ~(events & inside)
    own = copy(test)
    middle = (test.first + test.n_rows) // 2
    own.symbols = [
        SymbolLines(one.rows, np.column_stack([one.x, inside[one.rows, i]]), one.y, one.known, middle) if one else None
        for i, one in enumerate(test.symbols)
    ]
    return own.of(events & inside, alerts.decided & ~others)[0]


@pytest.mark.parametrize("horizon", [0, 1])
def test_slices_at_once_are_the_test_of_each_alone(table, alerts, masks, horizon):
    test = table.measured.regression(RUNGS[0])
    for mask, found in zip(masks, sliced_effects(test, alerts, masks, horizon), strict=True):
        direct = alone(test, alerts, mask)
        assert found.n_events == direct.n_events > LEAST_EVENTS
        for name in ("effect", "error", "z"):
            assert getattr(found, name)[0] == pytest.approx(getattr(direct, name)[horizon], rel=1e-5), name


def test_a_slice_of_everything_is_the_whole(table, alerts):
    everything = np.ones((1, 1), bool)
    test = table.measured.regression(RUNGS[0])
    (found,), whole = sliced_effects(test, alerts, [everything], 1), test.of(alerts.active, alerts.decided)[0]
    assert found.state[0] == pytest.approx(whole.state[1], rel=1e-6)
    assert found.profile == pytest.approx(whole.profile, rel=1e-6)
    (slice_,), judged = table.in_slices(alerts, "12h", [everything]), table.test({"d": alerts}).found["d"][RUNGS[0]]["12h"]
    assert slice_.n_events == judged.n_events
    assert (slice_.ratio, *slice_.ci, slice_.z, slice_.p) == pytest.approx((judged.ratio, *judged.ci, judged.z, judged.p), rel=1e-6)


def test_the_parts_of_a_history_hold_all_of_its_events(table, alerts, masks):
    early, late, *_ = table.in_slices(alerts, "1h", masks)
    assert early.n_events + late.n_events == table.test({"d": alerts}).found["d"][RUNGS[0]]["1h"].n_events


def test_few_events_have_a_count_and_no_ratio(table, alerts):
    events = thin(alerts.active & alerts.decided, table.measured.cooldown)
    rows = np.flatnonzero(events[:, 0] & (np.arange(len(events)) > 800))
    few, enough = (np.arange(len(events))[:, None] < rows[n] for n in (LEAST_EVENTS - 1, LEAST_EVENTS))
    after, first = np.arange(len(events))[:, None] > 800, np.array([[True, False, False]])
    found = table.in_slices(alerts, "1h", [few & after & first, enough & after & first])
    assert [one.n_events for one in found] == [LEAST_EVENTS - 1, LEAST_EVENTS]
    assert np.isnan([found[0].ratio, *found[0].ci, found[0].z, found[0].p]).all()
    assert not np.isnan([found[1].ratio, *found[1].ci, found[1].z, found[1].p]).any()


def test_a_forecast_that_errs_in_a_slice_is_no_effect_of_the_alerts_there(table, alerts, masks):
    test, (early, *_) = table.measured.regression(RUNGS[0]), masks
    louder = copy(test)
    middle = (test.first + test.n_rows) // 2
    louder.symbols = [
        SymbolLines(one.rows, one.x, one.y + 0.5 * early[one.rows], one.known, middle) if one else None for one in test.symbols
    ]
    (before,), (after,) = (sliced_effects(one, alerts, [early], 1) for one in (test, louder))
    assert after.effect[0] == pytest.approx(before.effect[0], abs=1e-6)
    # Against the bars of all years it would be told to be one.
    assert louder.of(alerts.active & early, alerts.decided)[0].effect[1] > before.effect[0] + 0.2

"""Circumstances of alerts: each belongs to the regime that it came out of."""

import numpy as np

from foreshock.detectors.clusters.regimes import Regimes
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Signals
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.study import sections
from tests.market import make_bars


def test_an_alert_belongs_to_the_regime_of_the_bar_before(monkeypatch):
    bars = make_bars(400, 1, seed=2)
    active = np.zeros(bars.shape, bool)
    active[np.arange(100, 380, 20)] = True
    # The bar of every alert is loud, the bar before it calm.
    labels = np.where(active, 1, 0).astype(np.int8)
    found = Regimes(bars.time, bars.symbols, labels, ("calm", "loud"))
    monkeypatch.setattr(sections, "walk_forward_regimes", lambda *_: found)
    signals = Signals(bars.time, bars.symbols, active, np.full(bars.shape, 0.5), np.ones(bars.shape, bool), bars.interval)
    setting = Judging(("6h",), "6h", n_bootstrap=99)
    around = sections.circumstances(MoveTable(bars, ["6h"]), {"d": signals}, WalkForward("5D", "2D"), setting, lambda _: None)
    events = {row["slice"]: row["n_events"] for row in around.slices if row["by"] == "regime"}
    assert events == {"calm": 14, "loud": 0}

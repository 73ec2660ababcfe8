"""Measured size of every test: alerts that know nothing, or nothing beyond volatility, on histories without events.

``pytest tests/engine/validation/test_evidence_size.py -m slow -s`` prints the share of histories in which each test rejects at 5 %.
"""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import Bars
from foreshock.engine.validation.evidence.ladder import EvidenceTable, horizon_evidence
from foreshock.engine.validation.moves.event_study import event_study
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.engine.validation.moves.lead_lag import lead_lag_curve
from tests.market import quiet_bars, signals_of

N_PATHS = int(os.environ.get("FORESHOCK_PATHS", "200"))


def noise_alerts(bars: Bars, seed: int) -> np.ndarray:
    """One bar in fifty, at random."""
    return np.random.default_rng(seed).random(bars.shape) < 0.02


def clustered_alerts(bars: Bars, seed: int) -> np.ndarray:
    """Random alerts in runs of six."""
    starts = np.random.default_rng(seed).random(bars.shape) < 0.004
    return sum(np.roll(starts, j, axis=0) for j in range(6)) > 0


def echoes(bars: Bars, seed: int) -> np.ndarray:
    """A z-score detector that forgets slowly: returns of over 2 standard deviations of the last 720 bars."""
    returns = bars.returns()
    spread = pd.DataFrame(returns).rolling(720, min_periods=96).std().to_numpy()
    return np.abs(returns) > 2 * spread


def loud_times(bars: Bars, seed: int) -> np.ndarray:
    """Volatility of the last 24 bars above 1.3 times that of the last 720."""
    returns = pd.DataFrame(bars.returns())
    return (returns.rolling(24).std() > 1.3 * returns.rolling(720, min_periods=96).std()).to_numpy()


ALERTS = {"random": noise_alerts, "random in runs": clustered_alerts, "z-score": echoes, "volatility": loud_times}


@pytest.mark.slow
@pytest.mark.parametrize(("n_bars", "n_symbols"), [(2_500, 1), (8_000, 4)])
def test_rejections_at_5_percent_of_alerts_that_add_nothing(n_bars, n_symbols):
    """GJR-GARCH-t with seasons, horizon 24 bars, delay 1, cool-down 24 bars.

    The lead-lag curve of the z-score detector rejects by right: the bar of the alert is larger than expected.
    """
    rejected: dict[str, dict[str, list[float]]] = {kind: {} for kind in ALERTS}
    for seed in range(N_PATHS):
        bars = quiet_bars(seed, n_bars, n_symbols)
        table = EvidenceTable(MoveTable(bars, ["24h"]))
        for kind, alerts in ALERTS.items():
            signals = signals_of(bars, alerts(bars, seed))
            found = horizon_evidence(table, signals, "24h", "24h", 199, 199, seed).p_values
            curve = lead_lag_curve(table.surprise, signals.active, 24, 199, seed)
            study = event_study(bars, signals, "24h", "24h", 199, seed)
            found |= {"p_lead_lag": curve.p, "p_study_activity": study.p_activity, "p_study_signed": study.p_signed}
            for name, p in found.items():
                rejected[kind].setdefault(name, []).append(p)
    print(f"\n{N_PATHS} paths, {n_bars} bars x {n_symbols} symbols")
    print(f"{'':22s}" + "".join(f"{kind:>18s}" for kind in ALERTS))
    share = {
        kind: {name: np.mean(np.array(p)[~np.isnan(p)] < 0.05) for name, p in tests.items()} for kind, tests in rejected.items()
    }
    for name in share["random"]:
        print(f"{name:22s}" + "".join(f"{share[kind][name]:18.3f}" for kind in ALERTS))
    # A share of 5 % in 200 paths has a standard error of 1.5 %.
    for name in ("p_shift", "p_matched_shift", "p_bootstrap", "p_direction_hodrick"):
        assert share["random"][name] < 0.10, name
    for kind in ("z-score", "volatility"):
        assert share[kind]["p_naive"] > 2 * share[kind]["p_matched_shift"], kind

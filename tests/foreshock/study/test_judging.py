"""The settings of a verdict, and the moves that they and the bars define."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from foreshock.data.errors import ConfigError
from foreshock.data.simulate.market import simulate_market
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.forward import MoveTable, check_moves_fit, forward_moves


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizons": "6h"}, "horizons must be a list, got '6h'; put it in brackets"),
        ({"horizons": []}, "horizons must differ and be at least one"),
        ({"delay": 0}, "delay must be a whole number of at least 1 bar"),
        ({"first": -1}, "first must be a whole number of at least 0"),
        ({"n_bootstrap": 0}, "n_bootstrap must be a whole number of at least 1"),
        ({"n_surrogates": 18}, "n_surrogates must be 0 or at least 19, got 18"),
        ({"seed": 0.5}, "seed must be a whole number of at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_once_and_at_the_start(change, message):
    with pytest.raises(ConfigError, match=message):
        Judging(**{"horizons": ["6h"], "cooldown": "6h", **change})


def test_settings_cannot_be_changed_on_their_way():
    given = ["6h", "24h"]
    setting = Judging(given, "24h")
    given.append("1h")
    assert setting.horizons == ("6h", "24h")
    with pytest.raises(FrozenInstanceError):
        setting.seed = 1  # type: ignore[misc]


def test_a_table_of_moves_answers_as_forward_moves_does():
    bars = simulate_market(seed=3, n_symbols=2, n_bars=1_500).bars
    features = ohlcv_features(bars)
    signals = make_detector("zscore").fit(features).score(features).signals(RollingQuantile(0.95, "10D"))
    table = MoveTable(bars, ["6h", "24h", "1h"], 2)
    expected = forward_moves(bars, signals, ["6h", "24h", "1h"], 2, "12h", 99, 5)
    found = table.after(signals, "12h", 99, 5)
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert found.delay == 2
    assert np.isfinite(found["24h"].matched_ratio)
    assert table.longest == "24h"


def test_moves_that_do_not_fit_are_refused_without_being_computed():
    bars = simulate_market(seed=3, n_symbols=1, n_bars=30).bars
    check_moves_fit(bars, ["29h"], 1)
    for horizons, delay, message in (
        (["30h"], 1, "horizon must be shorter"),
        (["29h"], 2, "horizon"),
        (["1h"], 30, "delay must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_moves_fit(bars, horizons, delay)

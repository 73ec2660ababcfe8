"""Scores do not hang on the order or the names of symbols, nor on the units of prices and volumes."""

from dataclasses import replace

import numpy as np
import pytest

from foreshock.data.bars import Bars
from foreshock.detectors.registry import detectors, neural_detectors
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, ohlcv_features
from tests.market import make_bars
from tests.small import quick

N_TRAIN, ORDER = 500, [2, 0, 1]
MARKET_FEATURES = ("market_correlation_24", "market_beta_24", "return_rank_24")
# Sums of BLAS in another order.
ROUNDING = 1e-9


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Bars of three symbols, one of which moves once in 100 bars, so that the quartiles of its features meet."""
    made = make_bars(n_bars=800, n_symbols=3, seed=4)
    still = np.arange(800) % 100 != 37
    close = made.close.copy()
    moves = np.diff(np.log(close[:, 2]), prepend=np.log(close[0, 2]))
    close[:, 2] = np.round(100 * np.exp(np.cumsum(np.where(still, 0.0, moves))), 2)
    first = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(first, close) * 1.001, np.minimum(first, close) * 0.999
    high[:, 2], low[:, 2] = np.maximum(first, close)[:, 2], np.minimum(first, close)[:, 2]
    return replace(made, open=first, high=high, low=low, close=close, extras={})


def scaled(bars: Bars, price: float = 1.0, volume: float = 1.0) -> Bars:
    fields = {name: getattr(bars, name) * price for name in ("open", "high", "low", "close")}
    return replace(bars, **fields, volume=bars.volume * volume)


def permuted(bars: Bars) -> Bars:
    fields = {name: getattr(bars, name)[:, ORDER] for name in ("open", "high", "low", "close", "volume")}
    return replace(bars, **fields, symbols=tuple(bars.symbols[i] for i in ORDER))


def renamed(bars: Bars) -> Bars:
    return replace(bars, symbols=("ZZZ/USDT", "AAA/USDT", "MMM/USDT"))


def scores(name: str, features: Features) -> np.ndarray:
    return quick(name).fit(features.rows(slice(0, N_TRAIN))).score(features).values


@pytest.fixture(scope="module", params=detectors())
def scored(request, bars) -> tuple[str, np.ndarray]:
    return request.param, scores(request.param, ohlcv_features(bars))


def test_the_order_of_symbols_changes_no_score(scored, bars):
    name, expected = scored
    found = scores(name, ohlcv_features(permuted(bars)))
    np.testing.assert_allclose(found, expected[:, ORDER], rtol=ROUNDING, atol=1e-12)


def test_the_names_of_symbols_change_no_score(scored, bars):
    name, expected = scored
    np.testing.assert_array_equal(scores(name, ohlcv_features(renamed(bars))), expected)


@pytest.mark.parametrize("units", [{"price": 1e-6}, {"price": 1e6}, {"volume": 1e-6}, {"volume": 1e6}], ids=str)
def test_the_units_of_prices_and_volumes_change_no_score(units, scored, bars):
    name, expected = scored
    found = scores(name, ohlcv_features(scaled(bars, **units)))
    # Ranks move by whole steps where rounding swaps two nearly equal scores.
    away = 2e-3 if name == "ensemble" else 1e-9
    np.testing.assert_allclose(found, expected, rtol=1e-6 if name in neural_detectors() else ROUNDING, atol=away)


def test_the_order_of_symbols_changes_no_feature(bars):
    names = [*OHLCV_FEATURES, *MARKET_FEATURES]
    found, expected = ohlcv_features(permuted(bars), names), ohlcv_features(bars, names)
    np.testing.assert_array_equal(found.values, expected.values[:, ORDER])

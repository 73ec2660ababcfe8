"""Roles of features: defaults of detectors find the column that stands nearest to the one that they mean."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError
from foreshock.engine.features.book import BOOK_FEATURES
from foreshock.engine.features.ohlcv import OHLCV_FEATURES
from foreshock.engine.features.roles import default_column, default_columns, role_of
from foreshock.engine.sources.windows import COMPARABLE_FEATURES, SINGLE_FEATURES

HOUR = np.timedelta64(3_600_000_000, "us")


def features(names: tuple[str, ...], n_rows: int = 4, n_symbols: int = 1, comparable: bool = False) -> fs.Features:
    time = np.datetime64("2024-01-01", "us") + np.arange(n_rows) * HOUR
    values = np.random.default_rng(0).normal(size=(n_rows, n_symbols, len(names)))
    return fs.Features(time, tuple("ABCDE"[:n_symbols]), names, values, HOUR, comparable)


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (OHLCV_FEATURES, "volatility_20", "volatility_20"),
        (BOOK_FEATURES, "log_return", "midpoint_return"),
        (BOOK_FEATURES, "volume_ratio_20", "depth_ratio_20"),
        (BOOK_FEATURES, "range", "volatility_20"),
        (SINGLE_FEATURES, "return_24", "log_return"),
        (COMPARABLE_FEATURES, "volume_ratio_20", "volume_ratio_20"),
        (("trade_count", "log_return"), "volume_ratio_20", "trade_count"),
        (("volatility_99", "volatility_5", "moon"), "volatility_20", "volatility_99"),
    ],
)
def test_a_default_column_is_the_nearest_in_role(names, wanted, found):
    assert default_column(features(names), wanted) == found


def test_what_nothing_stands_in_for_is_refused_or_left_out():
    seen = features(("log_return", "moon"))
    with pytest.raises(ConfigError, match="no such feature: 'volume_ratio_20'"):
        default_column(seen, "volume_ratio_20")
    assert default_columns(seen, ("log_return", "volume_ratio_20")) == ["log_return"]
    with pytest.raises(ConfigError, match="no such feature: 'range'"):
        default_columns(features(("moon",)), ("range", "volume_ratio_20"))
    assert role_of("moon_20") is None


def test_a_column_that_a_user_names_is_never_replaced():
    with pytest.raises(ConfigError, match="no such feature: 'volatility_50'"):
        fs.make_detector("zscore", columns=("volatility_50",)).fit(features(BOOK_FEATURES))
    with pytest.raises(ConfigError, match="no such feature: 'volatility_50'"):
        fs.make_detector("kmeans_regime", volatility="volatility_50").fit(features(OHLCV_FEATURES, 200))


@pytest.mark.parametrize(
    "name", ["isolation_forest", "pca", "joint_tail", "kmeans_regime", "half_space_trees", "ensemble", "random"]
)
def test_a_symbol_that_was_not_trained_on_is_scored_where_symbols_are_comparable(name):
    params = {"members": ("isolation_forest", "pca")} if name == "ensemble" else {}
    seen = {comparable: features(OHLCV_FEATURES, 400, 3, comparable) for comparable in (False, True)}
    scored = {}
    for comparable, whole in seen.items():
        trained = fs.Features(whole.time, whole.symbols[:2], whole.names, whole.values[:, :2].copy(), HOUR, comparable)
        scored[comparable] = fs.make_detector(name, **params).fit(trained).score(whole).values
    assert np.isnan(scored[False][:, 2]).all()
    # A streaming detector scores no row before it has seen enough of them.
    assert np.isfinite(scored[True][260:, 2]).all()
    # What is known of the other symbols is not changed by it.
    np.testing.assert_array_equal(scored[True][:, :2], scored[False][:, :2])


def test_range_only_is_the_mean_of_the_range_or_of_absolute_returns():
    seen = features(("log_return", "range"), 60)
    found = fs.make_detector("range_only", window=5).fit(seen).score(seen).values
    np.testing.assert_allclose(found[10, 0], np.abs(seen.column("range")[6:11, 0]).mean(), rtol=1e-12)
    plain = features(("log_return", "moon"), 60)
    found = fs.make_detector("range_only", window=5).fit(plain).score(plain).values
    np.testing.assert_allclose(found[10, 0], np.abs(plain.column("log_return")[6:11, 0]).mean(), rtol=1e-12)
    assert fs.make_detector("range_only").role == "baseline"

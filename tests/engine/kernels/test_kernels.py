"""Rolling kernels against exact arithmetic, pandas, and their own truncations."""

from decimal import Decimal, localcontext

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from foreshock.engine.kernels.logarithm import log_ratio_nb
from foreshock.engine.kernels.robust import rolling_mad_nb, rolling_quantiles_nb, rolling_rank_nb
from foreshock.engine.kernels.rolling import rolling_covariance_nb, rolling_max_nb, rolling_mean_nb, rolling_moments_nb
from foreshock.engine.kernels.tail import rolling_upper_quantile_nb
from tests import reference

WINDOW = 60


def price_path(level: float, noise: float, n_rows: int = 700, seed: int = 1) -> np.ndarray:
    return level + noise * np.random.default_rng(seed).standard_normal((n_rows, 2))


@pytest.mark.parametrize(("level", "noise"), [(6e4, 0.01), (1e-6, 1e-9), (1.0, 1.0), (0.0, 1e-12), (1e12, 1.0)])
def test_moments_are_exact_to_twelve_digits_at_every_price_scale(level, noise):
    x = price_path(level, noise)
    mean, (deviation, std, skew) = rolling_mean_nb(x, WINDOW), rolling_moments_nb(x, WINDOW, 3)
    for col in range(x.shape[1]):
        exact = reference.rolling(x[:, col], WINDOW, reference.exact_moments)[WINDOW - 1 :]
        found = np.column_stack([values[WINDOW - 1 :, col] for values in (mean, deviation, std, skew)])
        scale = exact[:, 2]
        assert np.max(np.abs(found[:, 0] - exact[:, 0]) / np.maximum(np.abs(exact[:, 0]), scale)) < 1e-12
        assert np.max(np.abs(found[:, 1] - exact[:, 1]) / scale) < 1e-12
        assert np.max(np.abs(found[:, 2] / exact[:, 2] - 1)) < 1e-12
        assert np.max(np.abs(found[:, 3] - exact[:, 3])) < 1e-12


def test_a_price_spike_leaves_no_trace_in_later_windows():
    x = price_path(6e4, 0.01)
    spiked = x.copy()
    spiked[200] = 1e12
    clean, hit = rolling_moments_nb(x, WINDOW, 3), rolling_moments_nb(spiked, WINDOW, 3)
    for a, b in zip(clean, hit, strict=True):
        # Block sums about another anchor may round otherwise where the spike was the anchor, but not by more than a digit.
        np.testing.assert_allclose(b[200 + WINDOW :], a[200 + WINDOW :], rtol=1e-12, atol=1e-12)
        assert np.array_equal(a[:200], b[:200], equal_nan=True)


def test_flat_windows_are_exactly_flat():
    x = price_path(6e4, 0.01)
    x[100:300] = 61_837.63
    mean, (deviation, std, skew) = rolling_mean_nb(x, WINDOW), rolling_moments_nb(x, WINDOW, 3)
    flat = slice(100 + WINDOW - 1, 300)
    assert (mean[flat] == 61_837.63).all()
    assert (deviation[flat] == 0).all()
    assert (std[flat] == 0).all()
    assert np.isnan(skew[flat]).all()
    assert (rolling_mean_nb(x, WINDOW)[flat] == 61_837.63).all()


@pytest.mark.parametrize("row", [0, 59, 60, 61, 119, 120, 333])
def test_nan_stays_in_the_windows_that_hold_it(row):
    x = price_path(100.0, 1.0)
    x[row, 0] = np.nan
    for kernel in (
        lambda v: rolling_moments_nb(v, WINDOW, 3)[1],
        lambda v: rolling_moments_nb(v, WINDOW, 3)[2],
        lambda v: rolling_mean_nb(v, WINDOW),
        lambda v: rolling_max_nb(v, WINDOW),
        lambda v: rolling_rank_nb(v, WINDOW),
        lambda v: rolling_covariance_nb(v, v[:, 1:], WINDOW)[:, :, 0],
    ):
        unknown = np.isnan(kernel(x))
        expected = np.zeros_like(unknown)
        expected[: WINDOW - 1] = True
        expected[row : row + WINDOW, 0] = True
        assert np.array_equal(unknown, expected)


@pytest.mark.parametrize("window", [2, 3, 7, 60, 168, 700])
def test_moments_equal_pandas(window):
    x = price_path(10.0, 1.0)
    mean, (deviation, std, skew) = rolling_mean_nb(x, window), rolling_moments_nb(x, window, 3)
    r = pd.DataFrame(x).rolling(window)
    np.testing.assert_allclose(mean, r.mean(), rtol=1e-10)
    np.testing.assert_allclose(deviation, x - r.mean(), atol=1e-10)
    np.testing.assert_allclose(std, r.std(), rtol=1e-9)
    if window > 2:
        np.testing.assert_allclose(skew, r.skew(), atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    x=arrays(np.float64, (40, 2), elements=st.floats(-1e6, 1e6) | st.just(np.nan) | st.sampled_from([0.0, 1.0])),
    window=st.integers(2, 45),
)
def test_extremes_and_order_statistics_equal_one_window_at_a_time(x, window):
    top = rolling_max_nb(x, window)
    quantiles = rolling_quantiles_nb(x, window, np.array([0.1, 0.5, 0.9]), window)
    median, mad = rolling_mad_nb(x, window, 1)
    frame = pd.DataFrame(x)
    for col in range(2):
        np.testing.assert_array_equal(top[:, col], reference.rolling(x[:, col], window, reference.max_with_nan)[:, 0])
        known = frame[col].rolling(window, min_periods=1)
        np.testing.assert_allclose(median[:, col], known.median(), rtol=1e-12)
        np.testing.assert_allclose(mad[:, col], known.apply(reference.mad, raw=True), rtol=1e-12, atol=1e-9)
    for i, q in enumerate((0.1, 0.5, 0.9)):
        np.testing.assert_allclose(quantiles[i], frame.rolling(window).quantile(q), rtol=1e-12, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    x=arrays(np.float64, (90, 2), elements=st.floats(-5, 5) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0])),
    falling=st.booleans(),
    window=st.integers(1, 95),
    q=st.sampled_from([0.5, 0.9, 0.97]),
    min_known=st.integers(0, 20),
)
def test_the_upper_quantile_is_that_of_the_whole_window(x, falling, window, q, min_known):
    # Of falling values every one that leaves was among the largest.
    x = x - np.arange(90.0)[:, None] if falling else x
    found = rolling_upper_quantile_nb(x, window, q, min_known)
    np.testing.assert_array_equal(found, rolling_quantiles_nb(x, window, np.array([q]), min_known)[0])


def test_quantiles_wait_for_the_fewest_known_values():
    x = np.array([[1.0], [np.nan], [3.0], [np.nan], [5.0], [np.nan]])
    found = rolling_quantiles_nb(x, 3, np.array([0.5]), 2)[0, :, 0]
    np.testing.assert_array_equal(found, [np.nan, np.nan, 2.0, np.nan, 4.0, np.nan])


RATIOS = {
    "prices": st.floats(5.9e4, 6.1e4),
    "any positive": st.floats(1e-300, 1e300),
    "special": st.sampled_from([0.0, -0.0, -1.0, -1e200, 1.0, np.inf, -np.inf, np.nan, 5e-324, 1e-310, 1.7e308]),
}


@pytest.mark.parametrize("kind", RATIOS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_log_of_a_ratio_is_right_to_three_units_in_the_last_place(kind, data):
    x, y = (data.draw(arrays(np.float64, 9, elements=RATIOS[kind])) for _ in range(2))
    found = log_ratio_nb(x, y, np.empty(9))
    # A batch works on several numbers at once, a stream on one.
    alone = [log_ratio_nb(x[k : k + 1], y[k : k + 1], np.empty(1))[0] for k in range(9)]
    np.testing.assert_array_equal(found, alone)
    if kind == "special":
        with np.errstate(all="ignore"):
            wide = np.log(x.astype(np.longdouble) / y.astype(np.longdouble)).astype(float)
        np.testing.assert_allclose(found, wide, rtol=1e-15)
        return
    with localcontext(prec=80):
        for a, b, got in zip(x, y, found, strict=True):
            exact = (Decimal(float(a)) / Decimal(float(b))).ln()
            assert abs(Decimal(float(got)) - exact) <= 3 * Decimal(float(np.spacing(abs(float(exact)))))


@pytest.mark.parametrize("window", [2, 13, 60])
def test_deleting_later_rows_changes_no_bit(window):
    x = price_path(6e4, 5.0)
    x[400:420, 1] = np.nan
    kernels = {
        "moments": lambda v: rolling_moments_nb(v, window, 3),
        "covariance": lambda v: np.moveaxis(rolling_covariance_nb(v, v[:, :1], window), 0, 1),
        "rank": lambda v: rolling_rank_nb(v, window)[None],
        "mean": lambda v: rolling_mean_nb(v, window)[None],
        "max": lambda v: rolling_max_nb(v, window)[None],
        "quantiles": lambda v: rolling_quantiles_nb(v, window, np.array([0.2, 0.99]), 1),
        "upper quantile": lambda v: rolling_upper_quantile_nb(v, window, 0.99, 1)[None],
        "mad": lambda v: np.stack(rolling_mad_nb(v, window, 1)),
    }
    for name, kernel in kernels.items():
        full = kernel(x)
        for cut in (1, window - 1, window, window + 1, 359, 360, 361, 699):
            assert np.array_equal(kernel(x[:cut]), full[:, :cut], equal_nan=True), (name, cut)

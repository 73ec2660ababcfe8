"""With the phase of its first row, a history that is cut on the left has the bits of the whole in every full window."""

import numpy as np
import pytest

from foreshock.engine.kernels.rolling import (
    CovarianceStream,
    MaxStream,
    MeanStream,
    MomentsStream,
    rolling_covariance_nb,
    rolling_max_nb,
    rolling_mean_nb,
    rolling_moments_nb,
)
from foreshock.engine.kernels.windows import SumStream, rolling_sum_nb

N_SYMBOLS = 5
# Batch kernel and stream, by name; results have their rows first.
TWINS = {
    "moments": (
        lambda x, w, phase: np.moveaxis(rolling_moments_nb(x, w, 3, phase), 1, 0),
        lambda w, phase: MomentsStream(w, N_SYMBOLS, 3, phase),
    ),
    "deviation": (
        lambda x, w, phase: np.moveaxis(rolling_moments_nb(x, w, 2, phase), 1, 0),
        lambda w, phase: MomentsStream(w, N_SYMBOLS, 2, phase),
    ),
    "mean": (rolling_mean_nb, lambda w, phase: MeanStream(w, N_SYMBOLS, phase)),
    "max": (rolling_max_nb, lambda w, phase: MaxStream(w, N_SYMBOLS, phase)),
    "sum": (rolling_sum_nb, lambda w, phase: SumStream(w, N_SYMBOLS, phase)),
    "covariance": (
        lambda x, w, phase: rolling_covariance_nb(x, x[:, :2], w, phase),
        lambda w, phase: CovarianceStream(w, N_SYMBOLS, 2, phase),
    ),
}


def rows_with_gaps() -> np.ndarray:
    x = 6e4 + np.random.default_rng(0).standard_normal((900, N_SYMBOLS)).cumsum(axis=0)
    x[:, 3:] = np.diff(np.log(x[:, 3:]), axis=0, prepend=np.log(6e4))
    x[500:530, 1] = np.nan
    x[600] = np.nan
    x[650:700, 2] = 61_000.0
    return x


@pytest.mark.parametrize("window", [3, 20, 168])
@pytest.mark.parametrize("name", TWINS)
def test_a_history_cut_on_the_left_has_the_bits_of_the_whole(name, window):
    batch, make = TWINS[name]
    x = rows_with_gaps()
    whole = batch(x, window, 0)
    for cut in (1, 7, 100, 331, 880):
        expected = whole[cut:].copy()
        expected[: window - 1] = np.nan
        phase = cut % window
        assert np.array_equal(batch(x[cut:], window, phase), expected, equal_nan=True), cut
        stream = make(window, phase)
        found = np.stack([stream.update(row, row[:2]) if name == "covariance" else stream.update(row) for row in x[cut:]])
        assert np.array_equal(found, expected, equal_nan=True), cut


@pytest.mark.parametrize("name", ["moments", "mean", "covariance"])
def test_without_the_phase_bits_differ(name):
    batch, _ = TWINS[name]
    x = rows_with_gaps()
    assert not np.array_equal(batch(x[7:], 20, 0)[19:], batch(x, 20, 0)[26:], equal_nan=True)

"""The realism card: real halves pass, controls fail, and every measure sees what it is for."""

import numpy as np
import pytest
from scipy import stats

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.realism import gaussian_paths, phase_shuffled_paths, realism
from foreshock.engine.realism import measures as m
from tests.market import quiet_bars


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    """Days of the simulated market without events: GARCH, a common factor, heavy tails."""
    returns = quiet_bars(3, 24 * 400 + 1, 4).returns()[1:]
    return returns.reshape(400, 24, 4)


@pytest.fixture(scope="module")
def halves(real) -> tuple[np.ndarray, np.ndarray]:
    odd = (np.arange(400) // 10) % 2 == 1
    return real[~odd], real[odd]


def test_a_real_half_passes_against_the_other_and_the_controls_fail(halves):
    a, b = halves
    card = realism(a, b, n_splits=20)
    assert card.failed == ()
    assert card.n_passed == 8
    assert card.mmd_p > 0.01
    for control in (gaussian_paths(a, 400, seed=1), phase_shuffled_paths(a, 400, seed=1)):
        failed = set(realism(a, control, n_splits=20).failed)
        assert {"kurtosis", "tail_index", "acf_absolute", "discriminative"} <= failed


@pytest.mark.parametrize(
    ("damage", "fails"),
    [
        (lambda x: x * 1.6, "frechet"),
        (lambda x: x[:, ::-1] * np.where(np.arange(24) < 12, 0.3, 1.4)[:, None], "mmd"),
        (lambda x: np.stack([np.roll(x[:, :, i], 37 * i, axis=0) for i in range(4)], axis=2), "correlation"),
        (lambda x: np.sign(x) * np.abs(x) ** 0.5, "tail_index"),
        (lambda x: np.clip(x, -0.015, 0.015), "kurtosis"),
        (lambda x: np.random.default_rng(0).permuted(x.reshape(-1, 4), axis=0).reshape(x.shape), "acf_absolute"),
        (lambda x: np.sign(x) * np.abs(np.roll(x, 1, axis=1)) * np.where(np.roll(x, 1, axis=1) < 0, 2.5, 0.4), "leverage"),
        (lambda x: x - x.mean(axis=1, keepdims=True), "discriminative"),
    ],
)
def test_each_measure_sees_what_it_is_for(halves, damage, fails):
    a, b = halves
    assert fails in realism(a, damage(b), n_splits=20, n_permutations=9).failed


def test_equal_seeds_give_equal_cards(halves):
    a, b = (half[:100] for half in halves)
    first, again, other = (realism(a, b, n_splits=20, n_permutations=19, seed=seed) for seed in (1, 1, 2))
    assert first.table.equals(again.table)
    assert not first.table.equals(other.table)


def test_frechet_distance_of_gaussians_is_the_closed_form():
    # Independent coordinates: the sum of squared differences of means and of standard deviations.
    rng = np.random.default_rng(0)
    x = rng.normal([0, 1], [1, 2], (200_000, 2))
    y = rng.normal([3, 1], [1, 5], (200_000, 2))
    assert m.frechet_distance(x, y) == pytest.approx(9 + 9, rel=0.02)


def test_mmd_is_the_double_sum():
    rng = np.random.default_rng(0)
    paths = rng.normal(size=(9, 8, 2))
    kernel = m.rbf_kernel(paths, 9)
    flat = paths.reshape(9, -1)
    apart = np.array([[np.linalg.norm(p - q) for q in flat] for p in flat])
    square = np.median(apart[np.triu_indices(9, 1)] ** 2)
    np.testing.assert_allclose(kernel, np.exp(-(apart**2) / (2 * square)), rtol=1e-10)
    xx = np.mean([kernel[i, j] for i in range(4) for j in range(4) if i != j])
    yy = np.mean([kernel[i, j] for i in range(4, 9) for j in range(4, 9) if i != j])
    xy = np.mean([kernel[i, j] for i in range(4) for j in range(4, 9)])
    assert m.mmd(kernel, np.arange(4), np.arange(4, 9)) == pytest.approx(xx + yy - 2 * xy)


def test_mmd_permutation_p_is_uniform_for_equal_laws_and_small_for_others():
    rng = np.random.default_rng(0)
    ps = []
    for _ in range(60):
        paths = rng.normal(size=(60, 8, 1))
        ps.append(m.mmd_permutation_p(m.rbf_kernel(paths, 30), 30, 99, rng))
    assert stats.kstest(ps, "uniform").pvalue > 0.01
    shifted = np.concatenate([rng.normal(size=(40, 8, 1)), rng.normal(0.8, 1, size=(40, 8, 1))])
    assert m.mmd_permutation_p(m.rbf_kernel(shifted, 40), 40, 99, rng) == 0.01


def test_tail_index_is_that_of_a_pareto_law():
    rng = np.random.default_rng(0)
    paths = (1 + rng.pareto(3, (4_000, 24, 1))) * rng.choice([-1, 1], (4_000, 24, 1))
    assert m.tail_index(paths) == pytest.approx(3, rel=0.05)


def test_lagged_correlations_are_the_plain_ones():
    rng = np.random.default_rng(0)
    paths = rng.standard_t(5, (50, 10, 2))
    size, lag = np.abs(paths), 3
    centred = size - size.mean(axis=(0, 1))
    plain = np.mean([(centred[:, :-lag, i] * centred[:, lag:, i]).mean() / centred[:, :, i].var() for i in range(2)])
    assert m.absolute_autocorrelation(paths)[lag - 1] == pytest.approx(plain)
    signed = paths - paths.mean(axis=(0, 1))
    plain = np.mean(
        [(signed[:, :-lag, i] * centred[:, lag:, i]).mean() / (paths[:, :, i].std() * size[:, :, i].std()) for i in range(2)]
    )
    assert m.leverage(paths)[lag - 1] == pytest.approx(plain)


def test_surrogates_keep_the_covariance_and_lose_the_clustering(real):
    for control in (gaussian_paths(real, 400, seed=2), phase_shuffled_paths(real, 400, seed=2)):
        assert control.shape == real.shape
        np.testing.assert_allclose(m.correlations(control), m.correlations(real), atol=0.05)
        assert m.absolute_autocorrelation(control).mean() < 0.03 < m.absolute_autocorrelation(real).mean()
    # Phases alone are changed: the power of every frequency is that of the history.
    shuffled = phase_shuffled_paths(real, 400, seed=2)
    power = [np.abs(np.fft.rfft(x.reshape(-1, 4), axis=0)) for x in (real, shuffled)]
    np.testing.assert_allclose(power[0], power[1], rtol=1e-8, atol=1e-9)


def test_one_asset_has_no_correlation(real):
    card = realism(real[:, :, :1], real[::-1, :, :1], n_splits=20, n_permutations=9)
    assert "correlation" not in card.table.index
    assert len(card.table) == 7


def test_paths_that_cannot_be_compared_are_refused(real):
    with pytest.raises(ConfigError, match=r"equal steps and assets, got \(400, 24, 4\) and \(400, 12, 4\)"):
        realism(real, real[:, :12])
    with pytest.raises(ConfigError, match="at least 96 real paths of 8 steps, got 50 of 24"):
        realism(real[:50], real)
    with pytest.raises(ConfigError, match="at least half as many generated as real paths, got 199 for 400"):
        realism(real, real[:199])
    holed = real.copy()
    holed[3, 4, 1] = np.nan
    with pytest.raises(DataError, match="real paths must be known and finite, got 1 others"):
        realism(holed, real)
    still = real.copy()
    still[:, :, 2] = 0
    with pytest.raises(DataError, match="asset 2 never moves"):
        realism(still, real)

"""The AnoGAN: what its networks see, what it minimises, what it scores, and when it refuses to go on."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from foreshock.data.errors import ConfigError, DataError
from foreshock.detectors.neural.base import BATCH
from foreshock.detectors.neural.generative.anogan import AnoGAN, searched, terms
from foreshock.detectors.neural.generative.anogan_networks import CODE_BOUND, AnoganNet, Grid
from foreshock.detectors.neural.generative.gan_training import GanSettings, critic_loss, train_gan
from foreshock.detectors.neural.trainer import one_thread
from foreshock.detectors.registry import load_detector, make_detector
from foreshock.engine.features.features import Features

pytestmark = pytest.mark.long
HOUR = np.timedelta64(1, "h")
SMALL = {"width": 32, "steps": 150, "epochs": 15, "batch_size": 128, "device": "cpu", "learning_rate": 2e-3}
N_TRAIN = 1_200


def features_of(values: np.ndarray, names: tuple[str, ...] | None = None) -> Features:
    values = values if values.ndim == 3 else values[:, None, :]
    names = names or tuple("abcdefghijklmnop"[: values.shape[2]])
    symbols = tuple(f"S{i}" for i in range(values.shape[1]))
    return Features(np.datetime64("2024-01-01", "us") + np.arange(len(values)) * HOUR, symbols, names, values, HOUR)


def factor_rows(n: int = 1_800, seed: int = 3) -> np.ndarray:
    """Six features that two factors drive."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(n, 6))


@pytest.fixture(scope="module")
def rows() -> Features:
    return features_of(factor_rows())


@pytest.fixture(scope="module")
def fitted(rows) -> AnoGAN:
    return AnoGAN(window=1, latent=3, **SMALL).fit(rows.rows(slice(0, N_TRAIN)))


def test_levels_become_the_length_and_other_features_repeat_along_it():
    names = ("spread", "bids_2", "bids_0", "bids_1", "bids_3", "asks_0", "asks_1", "asks_2", "asks_3", "volatility_20")
    grid = Grid(names, 1, "auto")
    x = torch.arange(20.0).reshape(2, 1, 10)
    assert grid(x)[0].tolist() == [[2, 3, 1, 4], [5, 6, 7, 8], [0, 0, 0, 0], [9, 9, 9, 9]]
    assert torch.equal(grid.windows(grid(x)), x)
    two = Grid(names, 2, "levels")
    assert (two.channels, two.length) == (8, 4)
    assert torch.equal(two.windows(two(x.reshape(1, 2, 10))), x.reshape(1, 2, 10))


def test_over_time_features_are_channels():
    grid = Grid(("bids_0", "bids_1", "bids_2", "bids_3"), 3, "time")
    x = torch.arange(12.0).reshape(1, 3, 4)
    assert grid(x)[0, 1].tolist() == [1, 5, 9]
    assert torch.equal(grid.windows(grid(x)), x)


@pytest.mark.parametrize(("window", "layout"), [(1, "time"), (5, "time"), (24, "time"), (1, "levels"), (3, "levels")])
def test_networks_take_and_make_windows_of_any_length(window, layout):
    names = tuple(f"{side}_{i}" for side in ("bids", "asks") for i in range(15))
    net = AnoganNet(names, window, layout, 4, 32)
    x = torch.randn(7, window, 30)
    assert net.encode(x).shape == (7, 4)
    assert net.decode(net.encode(x)).shape == x.shape
    assert net.encode(1e6 * x).abs().max() <= CODE_BOUND


def test_the_gradient_penalty_is_zero_where_the_slope_is_one_and_counts_ten_times_its_square_elsewhere():
    class Linear:
        def __init__(self, slope: float) -> None:
            self.slope = slope

        def judge(self, x):
            return self.slope * x[:, 0, 0]

    real, fake, mix = torch.ones(4, 2, 3), torch.zeros(4, 2, 3), torch.rand(4, 1, 1)
    assert float(critic_loss(Linear(1.0), real, fake, mix)) == pytest.approx(-1.0, abs=1e-5)
    assert float(critic_loss(Linear(3.0), real, fake, mix)) == pytest.approx(-3.0 + 10 * 4.0, abs=1e-4)
    expected = np.log1p(np.exp(-3.0)) + np.log(2.0)
    assert float(critic_loss(Linear(3.0), real, fake, None)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("loss", "steps"), [("wgan_gp", 400), pytest.param("original", 1_500, marks=pytest.mark.slow)])
def test_the_generator_learns_the_spread_and_correlation_of_its_windows(loss, steps):
    torch.manual_seed(0)
    x = torch.randn(2_000, 1, 1) * torch.tensor([1.0, -1.0, 0.5]) + 0.1 * torch.randn(2_000, 1, 3)
    net = AnoganNet(("a", "b", "c"), 1, "time", 2, 32)
    with one_thread():
        train_gan(net, x, GanSettings(loss, steps, 2e-3), seed=1)
    with torch.no_grad():
        made = net.decode(torch.randn(4_000, 2, generator=torch.Generator().manual_seed(2)))[:, 0].numpy()
    correlation = np.corrcoef(made.T)
    assert correlation[0, 1] < -0.8
    assert correlation[0, 2] > 0.6
    np.testing.assert_allclose(made.std(axis=0)[:2], 1.0, rtol=0.4)


def test_rows_that_break_the_pattern_score_higher(rows, fitted):
    rng = np.random.default_rng(9)
    usual = rows.values[N_TRAIN:, 0]
    shuffled = np.column_stack([rng.permutation(column) for column in usual.T])
    low, high = (fitted.score(features_of(part)).values[:, 0] for part in (usual, shuffled))
    # Share of pairs in which the shuffled row scores higher: 0.5 by chance.
    assert (high[:, None] > low).mean() > 0.75


def test_the_score_is_the_weighted_sum_of_its_two_terms(rows, fitted):
    part = rows.rows(slice(N_TRAIN, N_TRAIN + 50))
    model = fitted.models_[0]
    net = fitted._restored(6, 0, model).double()
    z = torch.tensor((part.values[:, 0] - fitted.center_) / fitted.scale_)[:, None, :]
    with torch.no_grad():
        rebuilt = net.decode(net.encode(z.clamp(-10, 10)))
        residual = ((z - rebuilt)[:, 0] ** 2).mean(dim=1).numpy()
        matching = ((net.features(z.clamp(-10, 10)) - net.features(rebuilt)) ** 2).mean(dim=1).numpy()
    expected = 0.9 * residual / model["residual_unit"] + 0.1 * matching / model["feature_unit"]
    np.testing.assert_allclose(fitted.score(part).values[:, 0], expected, rtol=1e-9)
    alone = AnoGAN(**fitted.get_params() | {"lambda_": 1.0}).restore(fitted.state())
    np.testing.assert_allclose(alone.score(part).values[:, 0], matching / model["feature_unit"], rtol=1e-9)


def test_the_latent_search_lowers_its_error_and_agrees_with_the_encoder(rows, fitted):
    by_search = AnoGAN(**fitted.get_params() | {"search": "latent"}).restore(fitted.state())
    part = rows.rows(slice(N_TRAIN, None))
    a, b = fitted.score(part).values[:, 0], by_search.score(part).values[:, 0]
    assert spearmanr(a, b).statistic > 0.4
    net = fitted._restored(6, 0, fitted.models_[0]).double()
    x = torch.tensor(((part.values - fitted.center_) / fitted.scale_).clip(-10, 10))
    few, many = (searched(net, x, steps, 0.1) for steps in (1, 200))
    with torch.no_grad():
        errors = [((x - net.decode(code)) ** 2).mean() for code in (few, many)]
    assert errors[1] < 0.5 * errors[0]
    assert many.abs().max() <= CODE_BOUND


def test_the_latent_search_of_a_row_does_not_depend_on_its_neighbours(rows, fitted):
    by_search = AnoGAN(**fitted.get_params() | {"search": "latent", "search_steps": 20}).restore(fitted.state())
    whole = by_search.score(rows).values[:, 0]
    for start in (1, BATCH - 7, 1_300):
        part = by_search.score(rows.rows(slice(start, start + 40))).values[:, 0]
        np.testing.assert_allclose(part, whole[start : start + 40], rtol=1e-9)


def test_over_levels_a_shape_that_no_book_has_scores_high():
    rng = np.random.default_rng(4)
    level = np.linspace(0, 1, 15)
    names = tuple(f"log_{side}_notional_{i}" for side in ("bids", "asks") for i in range(15))
    depth, slope = rng.normal(size=(900, 2, 1)), 1 + 0.3 * rng.normal(size=(900, 2, 1))
    values = (depth + slope * level + 0.1 * rng.normal(size=(900, 2, 15))).reshape(900, 1, 30)
    detector = AnoGAN(window=1, latent=4, **SMALL).fit(features_of(values[:700], names))
    planted = values[700:].copy()
    planted[:, 0, 5] += 3.0
    usual, strange = (detector.score(features_of(part, names)).values[:, 0] for part in (values[700:], planted))
    assert (strange[:, None] > usual).mean() > 0.9


def test_the_same_seed_gives_the_same_scores_and_another_does_not(rows, fitted):
    train = rows.rows(slice(0, N_TRAIN))
    again = AnoGAN(**fitted.get_params()).fit(train).score(rows).values
    np.testing.assert_allclose(again, fitted.score(rows).values, rtol=1e-6)
    other = AnoGAN(**fitted.get_params() | {"seed": 1, "steps": 40}).fit(train).score(rows).values
    assert np.abs(other / again - 1).max() > 0.01


def test_a_saved_anogan_scores_the_same_bits(rows, fitted, tmp_path):
    fitted.save(tmp_path / "a.safetensors")
    loaded = load_detector(tmp_path / "a.safetensors")
    assert np.array_equal(loaded.score(rows).values, fitted.score(rows).values)


def test_a_saved_anogan_whose_unit_is_zero_is_refused(fitted):
    state = fitted.state()
    state["models_"] = ({**state["models_"][0], "residual_unit": 0.0},)
    with pytest.raises(DataError, match="does not fit together"):
        AnoGAN(**fitted.get_params()).restore(state)


def test_training_that_diverges_is_refused_with_a_remedy(rows):
    detector = AnoGAN(window=1, latent=3, **{**SMALL, "learning_rate": 1e12})
    with pytest.raises(ConfigError, match=r"anogan: .*diverged; lower learning_rate"):
        detector.fit(rows)


def test_a_constant_generator_is_refused_with_a_remedy(rows):
    # At this rate the generator stays where it began: nearly the same window for every code.
    detector = AnoGAN(window=1, latent=3, **{**SMALL, "learning_rate": 1e-9, "steps": 2})
    with pytest.raises(ConfigError, match=r"the generator has collapsed: .*raise steps"):
        detector.fit(rows)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layout": "levels"}, "layout='levels' needs features such as"),
        ({"layout": "depth"}, "layout of anogan must be one of auto, time, levels, got 'depth'"),
        ({"loss": "hinge"}, "loss of anogan must be one of wgan_gp, original, got 'hinge'"),
        ({"search": "grid"}, "search of anogan must be one of encoder, latent, got 'grid'"),
        ({"lambda_": 1.5}, "between 0 and 1, got 1.5"),
        ({"steps": 0}, "steps of anogan must be at least 1, got 0"),
        ({"latent": 6, "window": 1}, "between 1 and 5 for 6 features"),
    ],
)
def test_a_parameter_that_cannot_work_is_refused(params, message, rows):
    with pytest.raises(ConfigError, match=message):
        make_detector("anogan", **params).fit(rows)


def test_terms_of_a_window_that_is_rebuilt_exactly_are_zero():
    net = AnoganNet(tuple("abc"), 2, "time", 2, 16)
    x = torch.randn(5, 2, 3)
    with torch.no_grad():
        residual, matching = terms(net, x[:, -1], x, net.features(x))
    assert residual.abs().max() == matching.abs().max() == 0

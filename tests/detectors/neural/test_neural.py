"""Networks: windows, trainer, folds together, scores by hand, bad input."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from foreshock.data.errors import ConfigError, DataError
from foreshock.detectors.neural.base import BATCH
from foreshock.detectors.neural.reconstruction.conditional import median_over_symbols
from foreshock.detectors.neural.stackable import normalise
from foreshock.detectors.neural.trainer import Noise, Settings, TrainingData, seeded, train
from foreshock.detectors.neural.windows import Windows
from foreshock.detectors.registry import detector_class, make_detector
from foreshock.detectors.scaling import CLIP
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from tests.small import small_detector, train_rows, with_values

pytestmark = pytest.mark.long
NAMES = (
    "autoencoder",
    "sparse_autoencoder",
    "denoising_autoencoder",
    "conv_autoencoder",
    "vae",
    "beta_vae",
    "conditional_autoencoder",
    "seq2seq_autoencoder",
)
DENSE = [name for name in NAMES if detector_class(name).stackable]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(scope="module")
def fitted(features) -> Callable[[str], Any]:
    """A small detector by its name, fitted once on the training rows; whoever changes it takes a copy."""
    return cache(lambda name: small_detector(name).fit(train_rows(features)))


def copied(detector: Any, **params: Any) -> Any:
    return small_detector(detector.name, **params).restore(detector.state())


def standardised(detector, features: Features) -> np.ndarray:
    return detector.scaler.transform(features)


# Windows


def test_a_window_is_the_last_rows_of_one_symbol_and_none_holds_a_gap():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 2, 3))
    values[20, 1, 2] = np.nan
    windows = Windows.of(values, 5)
    x, context = windows.gather()
    assert context.shape == (len(windows), 0)
    for window, row, col in zip(x, windows.rows, windows.cols, strict=True):
        np.testing.assert_array_equal(window, values[row - 4 : row + 1, col])
    scored = set(zip(windows.rows.tolist(), windows.cols.tolist(), strict=True))
    expected = {(row, col) for row in range(4, 60) for col in range(2) if not (col == 1 and 20 <= row < 25)}
    assert scored == expected


def test_the_later_windows_share_no_row_with_the_earlier_ones():
    windows = Windows.of(np.random.default_rng(0).normal(size=(500, 2, 1)), 24)
    earlier, later = windows.split(0.15)
    assert later.rows.min() - 23 > earlier.rows.max()
    assert 0.05 < len(later) / len(windows) <= 0.15
    assert len(earlier) / len(windows) == pytest.approx(0.85, abs=0.01)


def test_windows_are_drawn_evenly_over_the_training_rows():
    windows = Windows.of(np.zeros((10_000, 1, 1)), 1).evenly(100)
    assert len(windows) == 100
    assert np.ptp(np.diff(windows.rows)) <= 1
    assert (windows.rows[0], windows.rows[-1]) == (0, 9_999)


# Trainer


class Line(torch.nn.Module):
    n_uniform = n_normal = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)


def line_data(n: int, later_slope: float = 3.0) -> TrainingData:
    x = torch.randn((n, 1, 3), generator=torch.Generator().manual_seed(1))
    x[:, 0, 2] = 3.0 * x[:, 0, 0] - 1.0 * x[:, 0, 1] + 0.5
    later = x[: n // 4].clone()
    later[:, 0, 2] += (later_slope - 3.0) * later[:, 0, 0]
    return TrainingData(x, torch.empty(n, 0), later, torch.empty(len(later), 0))


def line_loss(net, x, context, uniform, normal):
    return (net.linear(x[:, 0, :2])[:, 0] - x[:, 0, 2]).square().mean()


def test_the_trainer_finds_a_planted_line_whatever_the_global_seed_and_leaves_it_alone():
    found = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        net = seeded(Line, 3)
        train(net, line_loss, line_data(2_000), Settings(epochs=25, batch_size=100, learning_rate=0.05), seed=3)
        assert torch.equal(before, torch.get_rng_state())
        found.append(torch.cat([net.linear.weight.detach().ravel(), net.linear.bias.detach()]))
    assert torch.equal(*found)
    torch.testing.assert_close(found[0], torch.tensor([3.0, -1.0, 0.5]), rtol=1e-2, atol=1e-2)


def test_training_stops_early_and_keeps_the_weights_that_were_best_on_later_windows():
    """Later windows have another slope: on its way to the slope of the training windows the network passes it."""
    net = seeded(Line, 3)
    with torch.no_grad():
        net.linear.weight.copy_(torch.tensor([[-1.0, -1.0]]))
        net.linear.bias.fill_(0.5)
    seen = []
    data = line_data(2_000, later_slope=1.0)
    settings = Settings(epochs=60, batch_size=100, learning_rate=0.003)
    trained = train(net, line_loss, data, settings, 0, lambda *epoch: seen.append(epoch))
    losses = [held for _, _, held in seen]
    assert trained.epochs == len(seen) < 60
    assert trained.validation_loss == min(losses) < losses[-1]
    assert net.linear.weight[0, 0].item() == pytest.approx(1.0, abs=0.3)


def test_a_loss_that_is_not_finite_fails_the_fit_with_a_remedy(features, monkeypatch):
    cls = detector_class("conv_autoencoder")
    monkeypatch.setattr(cls, "_loss", lambda self, net, x, *rest: net.decode(net.encode(x)).mean() * float("nan"))
    with pytest.raises(ConfigError, match=r"conv_autoencoder: the loss is not finite after epoch 1: .* lower learning_rate"):
        small_detector("conv_autoencoder").fit(train_rows(features))


def test_noise_bytes_are_uniform():
    class Wants:
        n_uniform, n_normal = 20, 0

    bytes_, _ = Noise(Wants(), 0).draw(20_000)
    counts = torch.bincount(bytes_.flatten().long(), minlength=256)
    expected = bytes_.numel() / 256
    assert float(((counts - expected) ** 2 / expected).sum()) < 255 + 6 * np.sqrt(2 * 255)


# Folds together


@pytest.mark.parametrize("n_rows", [2, 31])
def test_normalised_columns_and_their_gradients_are_those_of_batch_norm(n_rows):
    rng = torch.Generator().manual_seed(0)
    shapes = ((n_rows, 5), (5,), (5,), (n_rows, 5))
    x, weight, bias, weighting = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes)
    found = []

    def theirs_of(x, weight, bias):
        return functional.batch_norm(x, None, None, weight, bias, True, 0.1, 1e-5)

    for of in (lambda *args: normalise(*args)[0], theirs_of):
        inputs = [value.clone().requires_grad_() for value in (x, weight, bias)]
        out = of(*inputs)
        (out * weighting).sum().backward()
        found.append([out.detach(), *(value.grad for value in inputs)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    _, mean, var = normalise(x, weight, bias)
    torch.testing.assert_close(torch.stack([mean, var]), torch.stack([x.mean(0), x.var(0, correction=0)]))


@pytest.mark.parametrize("name", DENSE)
def test_folds_fitted_together_equal_folds_fitted_one_by_one(name, features):
    detector = small_detector(name)
    parts = [features.rows(slice(start, start + 300)) for start in (0, 300, 600)]
    together = detector.fit_folds(parts)
    assert together is not None
    for one, part in zip(together, parts, strict=True):
        alone = small_detector(name).fit(part)
        np.testing.assert_allclose(one.score(features).values, alone.score(features).values, rtol=1e-5)
        assert one.models_[0]["epochs"] == alone.models_[0]["epochs"]
    assert not hasattr(detector, "models_")


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_a_gradient_step_of_a_stack_is_that_of_each_network(name, features):
    """One epoch of one batch: afterwards rounding is all that may differ from the plain trainer."""
    from foreshock.detectors.neural.folds import train_together

    detector = small_detector(name, epochs=1)
    parts = [features.rows(slice(start, start + 300)) for start in (100, 500)]
    data = [TrainingData.of(group) for part in parts for group in detector._training_windows(part)]
    settings = Settings(1, 64, 1e-3)
    plain, stacked = ([seeded(lambda: detector._network(len(features.names), 0), 0) for _ in data] for _ in range(2))
    for net, part in zip(plain, data, strict=True):
        train(net, detector._loss, part, settings, 0)
    train_together(stacked, detector._loss, data, settings, [0, 0])
    for one, other in zip(plain, stacked, strict=True):
        for key, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-3, atol=2e-4)


def test_a_network_that_stops_early_leaves_the_others_as_they_were(features):
    from foreshock.detectors.neural.folds import train_together

    detector = small_detector("autoencoder")
    parts = [features.rows(slice(start, start + 300)) for start in (0, 300, 600)]
    data = [TrainingData.of(group) for part in parts for group in detector._training_windows(part)]
    # The first begins near its later windows and learns to leave them: it stops when its patience ends.
    data[0] = replace(data[0], later_x=torch.zeros_like(data[0].later_x))
    settings = Settings(6, 64, 1e-2, patience=2)
    plain, stacked = ([seeded(lambda: detector._network(len(features.names), 0), 0) for _ in data] for _ in range(2))
    alone = [train(net, detector._loss, part, settings, 0) for net, part in zip(plain, data, strict=True)]
    together = train_together(stacked, detector._loss, data, settings, [0] * len(data))
    assert together == alone
    assert len({one.epochs for one in alone}) > 1
    for one, other in zip(plain, stacked, strict=True):
        for key, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("name", ["autoencoder", "conv_autoencoder"])
def test_walk_forward_scores_do_not_change_when_later_folds_are_deleted(name, warm_start, features):
    detector = small_detector(name, warm_start=warm_start)
    splits = WalkForward("20D", "10D", embargo=None)
    full = walk_forward(detector, features.rows(slice(0, 1_000)), splits).values
    part = walk_forward(detector, features.rows(slice(0, 760)), splits).values
    assert np.isfinite(part[720:]).any()
    assert np.array_equal(part, full[:760], equal_nan=True)


def test_a_warm_start_begins_at_what_was_learned_before(features):
    first = small_detector("conv_autoencoder", epochs=8).fit(train_rows(features))
    losses = []
    for initial in (first, None):
        begun = small_detector("conv_autoencoder", epochs=1)
        begun.fit(features.rows(slice(100, 900)), initial=initial, on_epoch=lambda _, loss, __: losses.append(loss))
    warm, cold = losses
    assert warm < 0.9 * cold
    with pytest.raises(ConfigError, match="same window, latent, pool and features"):
        small_detector("conv_autoencoder", latent=3).fit(train_rows(features), initial=first)


# Scores, codes and rebuilt rows


@pytest.mark.parametrize("name", ["autoencoder", "sparse_autoencoder", "denoising_autoencoder", "conv_autoencoder"])
def test_the_score_is_the_squared_error_of_the_rebuilt_row(name, features, fitted):
    detector = fitted(name)
    rebuilt = (detector.reconstruct(features) - detector.center_) / detector.scale_
    expected = ((standardised(detector, features) - rebuilt) ** 2).mean(axis=2)
    scores = detector.score(features).values
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-9)
    codes = detector.encode(features)
    assert codes.shape == (*scores.shape, detector.latent)
    assert np.array_equal(np.isnan(codes).any(axis=2), np.isnan(scores))
    known = ~np.isnan(scores)
    decoded = detector.decode(codes[known])[:, -1]
    np.testing.assert_allclose(decoded, rebuilt[known], rtol=1e-6, atol=1e-6)


def test_the_score_of_a_vae_is_minus_the_log_probability_of_the_row(features, fitted):
    detector = copied(fitted("vae"), draws=3)
    net = detector._restored(len(features.names), 0, detector.models_[0]).double()
    z = standardised(detector, features)[1_000, 1]
    x = torch.from_numpy(np.clip(z, -CLIP, CLIP))[None, None]
    none = torch.empty(1, 0, dtype=torch.float64)
    total = 0.0
    with torch.no_grad():
        mean, log_var = net.posterior(x, none)
        for noise in detector._score_noise():
            code = mean + (0.5 * log_var).exp() * torch.from_numpy(noise)
            middle, spread = (part[0, 0].numpy() for part in net.likelihood(code, none))
            total += np.mean(0.5 * np.log(2 * np.pi) + 0.5 * spread + (z - middle) ** 2 / (2 * np.exp(spread)))
    assert detector.score(features).values[1_000, 1] == pytest.approx(total / 3, rel=1e-9)


def test_the_score_of_the_recurrent_network_is_the_mahalanobis_size_of_its_error(features):
    for cell in ("lstm", "gru"):
        # The formula holds however little was learned.
        detector = small_detector("seq2seq_autoencoder", cell=cell, epochs=1).fit(train_rows(features))
        windows = detector._training_windows(train_rows(features))[0]
        later = windows.split(0.15)[1]
        fitted_error = np.clip(later.gather()[0][:, -1], -CLIP, CLIP)
        rebuilt = (detector.reconstruct(features) - detector.center_) / detector.scale_
        fitted_error = fitted_error - rebuilt[later.rows, later.cols]
        covariance = np.cov(fitted_error.T, bias=True)
        covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        e = standardised(detector, features)[1_100, 0] - rebuilt[1_100, 0] - fitted_error.mean(axis=0)
        expected = e @ np.linalg.solve(covariance, e) / len(e)
        assert detector.score(features).values[1_100, 0] == pytest.approx(expected, rel=1e-6)


def test_only_the_input_of_a_denoising_network_is_corrupted(features):
    detector = small_detector("denoising_autoencoder", noise=0.5, masking=0.25)
    x = torch.full((4_000, 1, 6), 2.0)
    uniform = torch.randint(0, 256, (4_000, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    normal = torch.randn((4_000, 6), generator=torch.Generator().manual_seed(1))
    found = detector.corrupt(x, uniform, normal)
    assert float((found == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    left = found[found != 0]
    assert float(left.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(left.std()) == pytest.approx(0.5, abs=0.02)


def test_a_heavier_penalty_leaves_fewer_units_active(features):
    def activity(weight: float) -> float:
        detector = small_detector("sparse_autoencoder", penalty="l1", weight=weight, epochs=6)
        return float(np.nanmean(detector.fit(train_rows(features)).encode(features)))

    assert activity(0.5) < 0.7 * activity(0.0)


def test_a_heavier_penalty_holds_units_at_their_rate(features):
    def farthest(weight: float) -> float:
        detector = small_detector("sparse_autoencoder", weight=weight, rate=0.3, epochs=4).fit(train_rows(features))
        return float(np.abs(detector.models_[0]["activation"] - 0.3).max())

    assert farthest(0.5) < 0.5 * farthest(0.0)


def test_the_market_state_is_the_mean_of_earlier_medians(features):
    detector = small_detector("conditional_autoencoder", state_window=5).fit(train_rows(features))
    z = standardised(detector, features)
    state = detector._context(z, 0)
    np.testing.assert_allclose(state[900], np.median(z[895:900], axis=1).mean(axis=0), rtol=1e-12)
    values = features.values.copy()
    values[900:] *= 3.0
    assert np.array_equal(detector._context(standardised(detector, with_values(features, values)), 0)[900], state[900])
    some = np.array([[[4.0], [np.nan], [1.0], [2.0]]])
    assert median_over_symbols(some) == np.nanmedian(some)


def test_neighbours_in_a_pass_do_not_change_a_score(features, fitted):
    for name in ("autoencoder", "conv_autoencoder", "seq2seq_autoencoder"):
        detector = fitted(name)
        full = detector.score(features).values
        assert full.size > 3 * BATCH
        part = detector.score(features.rows(slice(777, 777 + 40 + detector.lookback))).values[-40:]
        np.testing.assert_allclose(part, full[777 + detector.lookback :][:40], rtol=1e-9)


# Bad input


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("autoencoder", {"latent": 13}, "latent of autoencoder must lie between 1 and 12 for 13 features and window 1, got 13"),
        ("autoencoder", {"window": 0}, "window of autoencoder must be at least 1, got 0"),
        ("autoencoder", {"learning_rate": 0.0}, "learning_rate of autoencoder must be above 0 and finite"),
        ("vae", {"device": "tpu"}, "device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ("sparse_autoencoder", {"penalty": "l2"}, "penalty must be 'kl' or 'l1', got 'l2'"),
        ("denoising_autoencoder", {"masking": 1.0}, "masking from 0 to below 1"),
        ("conv_autoencoder", {"window": 3}, "window of conv_autoencoder must be at least 4 rows, got 3"),
        ("seq2seq_autoencoder", {"cell": "rnn"}, "cell must be 'lstm' or 'gru', got 'rnn'"),
        ("conditional_autoencoder", {"state_window": 0}, "state_window must be at least 1 row, got 0"),
        ("beta_vae", {"beta": -1.0}, "beta must be at least 0"),
    ],
)
def test_a_parameter_that_cannot_work_is_refused(name, params, message, features):
    few = features.select(features.names[:13])
    with pytest.raises(ConfigError, match=message):
        small_detector(name, **params).fit(train_rows(few))


def test_a_gpu_that_is_not_there_is_refused(features, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no GPU here; use device='auto' or 'cpu'"):
        make_detector("autoencoder", device="cuda").fit(train_rows(features))


def test_fewer_rows_than_windows_need_is_a_data_error(features):
    with pytest.raises(DataError, match="needs 100 training windows of 700 rows without a gap"):
        small_detector("conv_autoencoder", window=700).fit(train_rows(features))


def test_a_code_that_carries_nothing_fails_the_fit_of_a_vae(features):
    with pytest.raises(ConfigError, match=r"beta_vae has collapsed: none of its 4 latent units is active.*lower beta"):
        small_detector("beta_vae", beta=1e4).fit(train_rows(features))


def test_a_network_that_rebuilds_every_window_alike_fails_the_fit(features, monkeypatch):
    cls = detector_class("conv_autoencoder")
    monkeypatch.setattr(cls, "_rebuilt", lambda self, net, x, context: torch.zeros_like(x))
    with pytest.raises(ConfigError, match="conv_autoencoder has collapsed: it rebuilds every window alike"):
        small_detector("conv_autoencoder").fit(train_rows(features))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_whose_weights_do_not_fit_the_network_is_refused(name, fitted, tmp_path):
    from foreshock.detectors.registry import load_detector

    detector = copied(fitted(name))
    weights = dict(detector.models_[0]["weights"])
    first = next(iter(weights))
    for spoiled in (weights[first][:-1], weights[first].astype(np.float64), np.full_like(weights[first], np.nan)):
        detector.models_ = ({**detector.models_[0], "weights": {**weights, first: spoiled}},)
        detector.save(tmp_path / "m")
        with pytest.raises(DataError, match="does not fit together"):
            load_detector(tmp_path / "m")


def test_naming_networks_does_not_import_torch():
    code = (
        "import sys, foreshock.detectors.registry, foreshock as fs; assert 'vae' in fs.detectors(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

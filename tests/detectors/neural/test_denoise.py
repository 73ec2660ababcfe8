"""Order books without the depth that a model does not expect: what is changed, what is not, and what is gained."""

from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from examples.denoise_book import CONVOLUTIONAL, DEPTH, PrincipalRows, RollingMedian, errors
from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.denoise import denoise_book
from foreshock.engine.features.features import Features


class Constant:
    """Expects the same value of each level in every row from ``start`` on."""

    def __init__(self, value: float, names: tuple[str, ...] = DEPTH, start: int = 0) -> None:
        self.value, self.names_, self.start = value, names, start

    def reconstruct(self, features: Features) -> np.ndarray:
        rebuilt = np.full(features.values.shape, self.value)
        rebuilt[: self.start] = np.nan
        return np.log1p(rebuilt) if self.names_[0].startswith("log_") else rebuilt


@pytest.fixture(scope="module")
def small() -> fs.SimulatedBook:
    return fs.simulate_book(seed=5, n_rows=400, n_spoofs=1, n_flickers=1)


@pytest.mark.parametrize("names", [DEPTH, tuple(name.removeprefix("log_") for name in DEPTH)])
def test_a_level_above_the_ratio_becomes_what_is_expected_and_others_stay(small, names):
    shown = small.book.notional
    found = denoise_book(small.book, Constant(20_000.0, names), ratio=3.0).notional
    above = shown > 60_000
    assert above.any()
    np.testing.assert_allclose(found[above], 20_000.0, rtol=1e-9)
    assert np.array_equal(found[~above], shown[~above], equal_nan=True)


def test_without_a_ratio_every_known_level_is_rebuilt_and_nothing_else_changes(small):
    notional = small.book.notional.copy()
    notional[10, 1, 14] = np.nan
    book = replace(small.book, notional=notional)
    found = denoise_book(book, Constant(7.0), ratio=None)
    assert np.isnan(found.notional[10, 1, 14])
    assert np.isnan(found.notional).sum() == np.isnan(notional).sum()
    np.testing.assert_allclose(found.notional[~np.isnan(notional)], 7.0, rtol=1e-9)
    for name in ("time", "midpoint", "spread", "distance", "limit_notional", "cancel_notional", "market_notional"):
        assert np.array_equal(getattr(found, name), getattr(book, name), equal_nan=True)


def test_rows_that_the_model_cannot_rebuild_are_unknown(small):
    found = denoise_book(small.book, Constant(20_000.0, start=30)).notional
    assert np.isnan(found[:30]).all()
    assert np.isfinite(found[30:]).sum() == np.isfinite(small.book.notional[30:]).sum()


def test_only_the_levels_that_the_model_knows_are_changed(small):
    found = denoise_book(small.book, Constant(0.0, ("log_bids_notional_3", "log_spread")), ratio=None).notional
    assert (found[:, 0, 3] == 0).all()
    found[:, 0, 3] = small.book.notional[:, 0, 3]
    assert np.array_equal(found, small.book.notional, equal_nan=True)


def test_a_book_with_a_gap_keeps_its_rows(small):
    keep = np.ones(400, dtype=bool)
    keep[100:105] = False
    found = denoise_book(small.book.rows(keep), Constant(20_000.0), ratio=3.0)
    whole = denoise_book(small.book, Constant(20_000.0), ratio=3.0)
    assert np.array_equal(found.notional, whole.notional[keep], equal_nan=True)


def test_what_cannot_denoise_is_refused(small):
    with pytest.raises(ConfigError, match="ratio must be above 1, or None"):
        denoise_book(small.book, Constant(1.0), ratio=1.0)
    with pytest.raises(ConfigError, match="not fitted"):
        denoise_book(small.book, fs.make_detector("conv_autoencoder"))
    with pytest.raises(ConfigError, match="has no feature that is the notional of a level"):
        denoise_book(small.book, Constant(1.0, ("log_bids_limit_notional_0", "spread")))


def test_a_convolutional_autoencoder_takes_planted_depth_out():
    features = fs.book_features(fs.simulate_book(seed=101, n_rows=6_000).book, DEPTH)
    simulated = fs.simulate_book(seed=103, n_rows=4_000, n_spoofs=6, n_flickers=6)
    model = fs.make_detector("conv_autoencoder", **CONVOLUTIONAL, seed=0).fit(features)
    skip = 60
    raw = errors(simulated.book, simulated, skip)
    found = {
        name: errors(denoise_book(simulated.book, other, None), simulated, skip)[0]
        for name, other in {"ours": model, "median": RollingMedian(21).fit(features), "pca": PrincipalRows(8).fit(features)}.items()
    }
    assert found["ours"] < 0.45 * raw[0]
    assert found["ours"] < 0.7 * min(found["median"], found["pca"])
    # Where unexpected depth alone is taken out, the book as a whole comes nearer to the truth.
    assert errors(denoise_book(simulated.book, model, 12.0), simulated, skip)[2] < 0.95 * raw[2]
    part = denoise_book(simulated.book.head(500), model)
    whole = denoise_book(simulated.book, model)
    np.testing.assert_allclose(part.notional, whole.notional[:500], rtol=1e-9)

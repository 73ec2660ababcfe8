# ruff: noqa: ARG002 - a detector takes the arguments of its base
"""The look-back of detectors that are not foreshock's own is measured, so that a wrong claim loses no score."""

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.engine.out_of_sample.lookback import Lookback, is_ours, lookback_of, measure_lookback, past_of
from tests.market import make_bars

SPLITS = fs.WalkForward("30D", "10D", "1D")


class Volumes(fs.Detector):
    """A z-score of 200 rows, the row before the last among them, that claims to need none."""

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows

    @property
    def lookback(self) -> int:
        return self.rows

    def _score(self, features):
        x = pd.DataFrame(features.column("volume_ratio_20"))
        return ((x - x.rolling(200).mean().shift(1)) / x.rolling(200).std().shift(1)).to_numpy()


class Trained(fs.Detector):
    """As the detector of the case, which overrides fit itself."""

    def fit(self, features):
        return self

    def _score(self, features):
        return pd.DataFrame(features.column("log_return")).rolling(37).std().to_numpy()


class Ever(fs.Detector):
    def _score(self, features):
        x = pd.DataFrame(features.column("log_return")).abs()
        return (x / x.expanding().max()).to_numpy() + np.cumsum(np.ones_like(x), axis=0)


class Decays(fs.Detector):
    """An exponential mean: its weight is below the rounding after some sixty half-lives."""

    def _score(self, features):
        return pd.DataFrame(features.column("log_return")).abs().ewm(halflife=5).mean().to_numpy()


@pytest.fixture(scope="module")
def features() -> fs.Features:
    return fs.ohlcv_features(make_bars(2_000, 2, seed=5))


@pytest.mark.parametrize(
    ("detector", "needed"),
    [(Volumes(), 200), (Volumes(150), 200), (Volumes(300), 300), (Trained(), 36), (Ever(), None)],
)
def test_the_look_back_is_measured(detector, needed, features):
    found = measure_lookback(detector.fit(features.rows(slice(0, 700))), features, slice(760, 1_000))
    assert found == Lookback(detector.lookback, needed)


def test_what_decays_has_the_look_back_at_which_the_rest_is_rounding(features):
    found = measure_lookback(Decays().fit(features), features, slice(760, 1_000))
    assert found.needed is not None
    # 2^(-n / 5) is 1e-9 at n = 150.
    assert 100 < found.needed < 250


def test_a_detector_that_claims_less_than_it_needs_loses_no_score(features):
    claims_none, claims_all = (fs.walk_forward(Volumes(rows), features, SPLITS) for rows in (0, 200))
    np.testing.assert_array_equal(claims_none.values, claims_all.values)
    assert [fold.test for fold in claims_none.folds] == [fold.test for fold in claims_all.folds]
    first = claims_none.folds[0].test.start
    assert np.isfinite(claims_none.values[first:]).all()


def test_scores_of_the_whole_past_see_it(features):
    scores = fs.walk_forward(Ever(), features, SPLITS).values
    np.testing.assert_allclose(scores[-1], Ever().score(features).values[-1])


def test_ours_are_not_measured(features, monkeypatch):
    def refuse(*args):
        raise AssertionError("measured")

    monkeypatch.setattr("foreshock.engine.out_of_sample.lookback.measure_lookback", refuse)
    detector = fs.make_detector("zscore")
    fs.walk_forward(detector, features, SPLITS)
    assert is_ours(detector)
    assert (lookback_of(detector), past_of(detector, 10)) == (168, 10)
    with pytest.raises(AssertionError, match="measured"):
        fs.walk_forward(Volumes(), features, SPLITS)


def test_combinatorial_scores_measure_it_too(features):
    splits = fs.CombinatorialSplits(4, 2)
    claims_none, claims_all = (fs.combinatorial_scores(Volumes(rows), features, splits) for rows in (0, 200))
    for one, other in zip(claims_none, claims_all, strict=True):
        np.testing.assert_array_equal(one.values, other.values)

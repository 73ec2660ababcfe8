"""The AnoGAN that comes with foreshock: it is what its card says, and finds what was planted."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from examples.train_anogan import NO_EVENTS, PARAMS, TRAIN_SEED, auc, event_scores, rows_of
from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.scenarios.load import SHIPPED

MODEL = SHIPPED.parent / "anogan_book.safetensors"
UNSEEN_SEED = 31


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads((SHIPPED.parent / "anogan_book.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def detector() -> fs.Detector:
    return fs.load_detector("pretrained:anogan_book")


def test_the_card_is_of_this_file_which_is_small(card):
    assert MODEL.stat().st_size < 1_000_000
    assert card["model"]["sha256"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert card["data"]["simulate_book"] == {"seed": TRAIN_SEED, "n_rows": 12_000, **NO_EVENTS}
    assert {"torch", "numpy", "foreshock"} <= set(card["versions"])
    assert card["training_seconds"] > 0


def test_its_scores_have_the_quantiles_of_the_card(card, detector):
    told = card["score_quantiles"]
    simulated = fs.simulate_book(**told["data"]["simulate_book"])
    scores = detector.score(fs.book_features(simulated.book, fs.LEVEL_FEATURES)).values
    for share, value in told["quantiles"].items():
        assert np.nanquantile(scores, float(share)) == pytest.approx(value, rel=1e-5), share


def test_planted_events_of_an_unseen_seed_score_above_chance(card, detector):
    assert UNSEEN_SEED not in (TRAIN_SEED, card["score_quantiles"]["data"]["simulate_book"]["seed"])
    groups, usual = event_scores(detector, UNSEEN_SEED)
    of_all = auc([rows for events in groups.values() for rows in events], usual)
    assert of_all["low"] > 0.5
    crashes = auc(groups["flash_crash"], usual)
    assert crashes["low"] > 0.8


def test_a_pretrained_detector_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="no pretrained detector is called 'anogan_bok'; expected pretrained:anogan_book"):
        fs.load_detector("pretrained:anogan_bok")


@pytest.mark.slow
def test_the_training_script_makes_the_same_model(detector):
    """python -m pytest -m slow tests/detectors/neural/test_pretrained.py"""
    _, features = rows_of(TRAIN_SEED, **NO_EVENTS)
    again = fs.make_detector("anogan", **PARAMS).fit(features)
    np.testing.assert_allclose(again.score(features).values, detector.score(features).values, rtol=1e-5)


def test_the_pretrained_model_scores_another_market_in_its_own_units(detector):
    book = fs.simulate_book(seed=5, n_rows=800).book
    # A market whose books are a thousand times as deep, under another name.
    deep = replace(book, symbol="DEEP/USDT", notional=book.notional * 1_000)
    features = [fs.book_features(one, fs.LEVEL_FEATURES) for one in (book, deep)]
    with pytest.raises(ConfigError, match="knows none of"):
        detector.score(features[1])
    known, other = (
        detector.rescaled(seen.rows(slice(0, 400))).score(seen.rows(slice(400, None))).values[:, 0] for seen in features
    )
    assert np.isfinite(other).mean() > 0.9
    both = np.isfinite(known) & np.isfinite(other)
    # The log of a depth is moved by a constant, which standardising takes out, but for depths near 0.
    assert np.corrcoef(known[both], other[both])[0, 1] > 0.95
    with pytest.raises(ConfigError, match="was fitted on the features"):
        detector.rescaled(fs.book_features(book))

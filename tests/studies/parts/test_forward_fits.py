"""The study of forward fits compares like with like."""

import re

import numpy as np
import pytest

from foreshock.data.errors import DataError
from foreshock.engine.scores import Scores
from foreshock.engine.validation.judging import Judging
from tests.studies import forward_fits
from tests.studies.parts.nulls import history
from tests.studies.verdict_power import RULE


@pytest.fixture(scope="module")
def bars():
    return history("long memory", 2_600, 3)


@pytest.fixture(scope="module")
def scores(bars):
    values = np.abs(bars.returns())
    return {"size": Scores(bars.time, bars.symbols, values, bars.interval)}


def test_both_tests_judge_the_same_alerts_and_only_forecasts_differ(bars, scores):
    setting = Judging(("1h", "6h"), "6h", first=1_000)
    across, forward = forward_fits.both_tests(bars, scores, RULE, setting)
    table = forward_fits.effects(across, forward)
    assert len(table) == 4
    for row in table.to_dict("records"):
        other = forward.found["size"][row["rung"]][row["horizon"]]
        assert (row["alerts"], row["z forward"]) == (other.n_events, other.z)
        assert row["z"] != row["z forward"]
    by_rung = forward_fits.controls(across, forward)
    assert (by_rung["n across"] == by_rung["n forward"]).all()
    # A forecast from fewer and earlier rows is no better on a history whose law does not change.
    quality = forward_fits.quality(across, forward)
    assert quality["forward"].mean() < quality["across"].mean()
    assert "4 tests: correlation of z" in forward_fits.summary(table)


def test_a_history_whose_first_rows_are_too_few_for_a_forward_fit_is_refused(bars, scores):
    said = "forward fits have no forecast of .* judged lines at the rung volatility; train longer"
    with pytest.raises(DataError, match=re.compile(said)):
        forward_fits.both_tests(bars, scores, RULE, Judging(("1h",), "6h", first=100))

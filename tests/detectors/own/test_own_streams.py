"""Things of a user's own as streams: models, functions and tables, by the ring of rows that they were measured to need."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

import foreshock as fs
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from tests.market import make_bars

FIRST, N = 400, 430


@pytest.fixture(scope="module")
def features() -> Features:
    found = ohlcv_features(make_bars(500, 3, seed=2), ["log_return", "range", "volume_ratio_20"])
    found.values[410, 1] = np.nan
    return found


def trailing(frame: pd.DataFrame) -> pd.Series:
    return frame["range"] / frame["range"].rolling(7).mean()


def things(features: Features) -> dict[str, object]:
    table = pd.DataFrame(np.abs(features.values[:, :, 0]), pd.DatetimeIndex(features.time), list(features.symbols))
    return {
        "sklearn": IsolationForest(n_estimators=5, random_state=0),
        "function": trailing,
        "table": fs.PrecomputedScores(table.iloc[5:]),
    }


@pytest.mark.parametrize("kind", ["sklearn", "function", "table"])
def test_a_thing_of_the_users_row_by_row_has_the_scores_of_the_batch_also_after_a_restart(kind, features, tmp_path):
    detector = fs.as_detector(things(features)[kind]).fit(features.rows(slice(0, 300)))
    whole = detector.score(features.rows(slice(0, N))).values[FIRST:]
    stream = detector.stream(features.rows(slice(0, FIRST)))
    found = [stream.update(row) for row in features.values[FIRST : FIRST + 15]]
    stream.save(tmp_path / "stream")
    # A detector whose look-back is not measured yet learns it from the rows that it is shown.
    resumed = detector.stream(features.rows(slice(0, FIRST))).load(tmp_path / "stream")
    found += [resumed.update(row) for row in features.values[FIRST + 15 : N]]
    assert np.isfinite(whole).any()
    np.testing.assert_allclose(found, whole, rtol=1e-9)

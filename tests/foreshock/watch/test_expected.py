"""What was to be expected, beside the alerts of a pipeline: equal to forecasts that are fitted and asked over the whole history."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError
from tests.market import make_bars

SPLITS = fs.WalkForward("15D", "10D", "1D")


def study_of(source, splits=SPLITS, horizons=("1h", "12h")) -> fs.Study:
    return fs.Study(source, ["zscore"], splits, fs.RollingQuantile(0.9, splits.test), horizons=horizons)


def asked(study: fs.Study, **changes) -> list[fs.PipelineRow]:
    pipeline = fs.Pipeline(study, ["zscore"], expected=True, **changes)
    return [row for one in study.source.live_rows() for row in pipeline.update(one)]


def reference(study: fs.Study) -> tuple[dict[str, np.ndarray], int]:
    """Each block by a forecast of its own training rows, on the scales of the first, over the whole history; the first row."""
    bars, marks = study.source.bars, study.source.marks or {"volume": study.source.bars.close * study.source.bars.volume}
    plan = study._plan()
    folds = study.splits.folds(bars.n_bars, bars.interval, plan.purge, bars.start_row)
    found, forecast = {}, None
    for fold in folds:
        own = bars.rows(fold.train), {name: values[fold.train] for name, values in marks.items()}
        fresh = fs.ActivityForecast(study.horizons, study.delay)
        forecast = fresh.fit(*own) if forecast is None else forecast.refit(*own)
        for rung, values in forecast.forecast(bars, marks).items():
            found.setdefault(rung, np.full(values.shape, np.nan))[fold.test] = values[fold.test]
    return found, folds[0].test.start


def test_of_bars_it_is_that_of_forecasts_over_the_whole_history(tmp_path):
    study = study_of(make_bars(1_000, 2, seed=5))
    expected, first = reference(study)
    pipeline = fs.Pipeline(study, ["zscore"], expected=True)
    rows, plain = [], fs.Pipeline(study, ["zscore"])
    for k, bar in enumerate(study.source.live_rows()):
        if k in (500, 800):
            pipeline.save(tmp_path / "pipeline")
            pipeline = fs.Pipeline(study, ["zscore"], expected=True).load(tmp_path / "pipeline")
        rows += pipeline.update(bar)
        assert plain.update(bar)[0].expected == {}
    assert all(row.expected == {} for row in rows[:first])
    for rung, values in expected.items():
        found = np.array([row.expected[rung] for row in rows[first:]])
        np.testing.assert_allclose(found, values[first:], rtol=1e-9)
        assert np.isfinite(found).mean() > 0.99
    with pytest.raises(fs.DataError):
        fs.Pipeline(study, ["zscore"]).load(tmp_path / "pipeline")


def test_windows_and_books_have_it_with_their_own_marks():
    market = fs.simulate_market(seed=4, n_symbols=2, n_bars=90).bars
    trades = {symbol: fs.bar_trades(market.select(symbol)) for symbol in market.symbols}
    windows = study_of(fs.WindowSource(trades, "5m"), fs.WalkForward("2D", "1D", "2h"), ("5m", "30m"))
    book = fs.simulate_book(seed=3, n_rows=1_600).book
    books = study_of(fs.BookSource(book), fs.WalkForward("1h", "30m", "5m"), ("5s", "1m"))
    for study in (windows, books):
        rows = asked(study)
        expected, first = reference(study)
        assert set(expected) == {"volatility", "volume"}
        rows = rows[first:]
        assert rows
        for rung, values in expected.items():
            found = np.array([row.expected[rung] if row.expected else np.full(values.shape[1:], np.nan) for row in rows])
            known = np.isfinite(found).all(axis=2)
            assert known.mean() > 0.5
            np.testing.assert_allclose(found[known], values[first:][known], rtol=1e-6)


def test_features_alone_foretell_nothing():
    bars = make_bars(900, 1)
    study = study_of(fs.FeatureSource(fs.ohlcv_features(bars), bars), fs.WalkForward("10D", "5D"))
    with pytest.raises(ConfigError, match="foretold from prices, which features alone have none of"):
        fs.Pipeline(study, ["zscore"], expected=True)

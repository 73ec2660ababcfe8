"""A study one row at a time: the scores, thresholds and alerts of the study, whatever its source, and after any restart."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from foreshock.study.signals.scored import Scored
from tests.engine.sources.test_source_streams import of_bars
from tests.market import make_bars
from tests.paths import ROOT

PLUGIN = f"{ROOT / 'examples' / 'plugins' / 'volume_zscore.py'}:VolumeZScore"
FEATURES = ("log_return", "range", "volume_ratio_20", "volatility_20", "return_24")
SPLITS = fs.WalkForward("8D", "4D", "1D")


DETECTORS = {"mad": fs.make_detector("mad", window=24), "isolation_forest": fs.make_detector("isolation_forest", n_estimators=20)}
FOREST = {"isolation_forest": DETECTORS["isolation_forest"]}


def study_of(**changes) -> fs.Study:
    settings = {
        "bars": make_bars(720, 3, seed=3),
        "detectors": {
            "zscore": fs.make_detector("zscore", window=24),
            "pca": "pca",
            "isolation_forest": fs.make_detector("isolation_forest", n_estimators=20),
            "mine": fs.make_detector(PLUGIN),
        },
        "splits": SPLITS,
        "threshold": fs.RollingQuantile(0.95, "3D"),
        "thresholds": {"pca": fs.TrainQuantile(0.95), "isolation_forest": fs.AdaptiveConformal(0.05, 0.02, "3D")},
        "horizons": ["1h", "12h"],
        "features": FEATURES,
    }
    return fs.Study(**settings | changes)


def batch_of(study: fs.Study) -> Scored:
    """Scores and alerts of ``run``, without what is judged and traded of them."""
    plan = study._plan()
    return plan.scored(plan.detectors, study.splits, lambda _: None)


def assert_equal(rows: list[fs.PipelineRow], study: fs.Study, batch: Scored, labels=None, first: int = 0) -> None:
    assert np.array_equal([row.time for row in rows], batch.features.time[first : first + len(rows)])
    for label in labels or batch.scores:
        scores, signals = batch.every[label], batch.signals[label]
        own = slice(first, first + len(rows))
        found = np.array([row.scores[label] for row in rows])
        if label in ("pca", "ensemble"):
            np.testing.assert_allclose(found, scores.values[own], rtol=1e-9)
        else:
            assert np.array_equal(found, scores.values[own], equal_nan=True), label
            assert np.array_equal([row.thresholds[label] for row in rows], signals.threshold[own], equal_nan=True), label
        assert np.array_equal([row.alerts[label] for row in rows], signals.active[own]), label
        events = scores.signals(batch.rules[label], study.event_cooldown).active
        assert np.array_equal([row.events[label] for row in rows], events[own]), label
        assert signals.active.sum() > events.sum() > 0


def test_a_study_row_by_row_restored_at_random_rows_has_its_scores_thresholds_and_alerts(tmp_path):
    study = study_of()
    batch, rows = batch_of(study), []
    pipeline = fs.Pipeline(study)
    assert pipeline.labels == tuple(batch.scores)
    cuts = np.random.default_rng(2).integers(1, 720, 5)
    for k, bar in enumerate(study.source.live_rows()):
        if k in cuts:
            pipeline.save(tmp_path / "pipeline")
            pipeline = fs.Pipeline(study).load(tmp_path / "pipeline")
        rows += pipeline.update(bar)
    assert len(batch.folds["pca"].folds) >= 4
    assert_equal(rows, study, batch)
    assert not any(row.stale_model or row.failures for row in rows)
    assert np.array_equal(np.array([row.features for row in rows]), batch.features.values, equal_nan=True)
    with pytest.raises(fs.DataError, match="the state is of a Pipeline whose identity is"):
        fs.Pipeline(study_of(seed=5), list(pipeline.labels)).load(tmp_path / "pipeline")
    other = replace(study, bars=study.bars.rows(slice(0, 600)))
    assert fs.Pipeline(other).identity == pipeline.identity


@pytest.mark.parametrize("mode", ["rolling", "expanding"])
def test_a_pipeline_that_begins_later_refits_at_the_same_rows_and_gives_the_same_alerts(mode):
    study = study_of(detectors=DETECTORS, thresholds={}, splits=replace(SPLITS, mode=mode))
    batch, cut = batch_of(study), 37
    pipeline = fs.Pipeline(study, ["mad", "isolation_forest", "random"])
    rows = [row for bar in list(study.source.live_rows())[cut:] for row in pipeline.update(bar)]
    starts = [fold.test.start for fold in batch.folds["mad"].folds if fold.train.start >= cut + 25 or mode == "expanding"]
    # A training window that grows is not the same one in a history that begins later.
    same = ["mad"] if mode == "expanding" else ["mad", "isolation_forest"]
    first = starts[1] + 24 * 4
    for label in same:
        found = np.array([row.scores[label] for row in rows])[first - cut :]
        assert np.isfinite(found).any()
        assert np.array_equal(found, batch.scores[label].values[first:], equal_nan=True)
        assert np.array_equal([row.alerts[label] for row in rows[first - cut :]], batch.signals[label].active[first:])


def windows_study() -> fs.Study:
    bars = fs.simulate_market(seed=4, n_symbols=2, n_bars=30).bars
    trades = {symbol: fs.bar_trades(bars.select(symbol)) for symbol in bars.symbols}
    late = trades[bars.symbols[1]]
    trades[bars.symbols[1]] = late.rows(late.time >= bars.time[0] + np.timedelta64(3, "h"))
    source = fs.WindowSource(trades, "5m")
    return fs.Study(
        source, {"mad": fs.make_detector("mad", window=24), "half_space_trees": fs.make_detector("half_space_trees", window=30)},
        fs.WalkForward("12h", "4h", "1h"), fs.RollingQuantile(0.95, "4h"), horizons=["5m", "30m"],
    )  # fmt: skip


def books_study() -> fs.Study:
    book = fs.simulate_book(seed=5, n_rows=1_000).book
    kept = np.r_[0:800, 812:1_000]
    part = {name: value[kept] for name, value in vars(book).items() if isinstance(value, np.ndarray)}
    return fs.Study(
        fs.BookSource(replace(book, **part)), {"zscore": fs.make_detector("zscore", window=24), "pca": "pca"},
        fs.WalkForward("30m", "10m", "5m"), fs.RollingQuantile(0.95, "10m"), horizons=["30s", "1m"],
    )  # fmt: skip


def features_study() -> fs.Study:
    source = of_bars(["log_return", "range"])
    return fs.Study(
        fs.FeatureSource(source.features, source.bars), {"zscore": fs.make_detector("zscore", window=24)},
        fs.WalkForward("4D", "2D", "1D"), fs.RollingQuantile(0.9, "1D"), horizons=["6h"],
    )  # fmt: skip


@pytest.mark.parametrize("make", [windows_study, books_study, features_study])
def test_studies_of_windows_books_and_features_row_by_row_have_their_scores_and_alerts(make: Callable[[], fs.Study], tmp_path):
    study = make()
    batch, pipeline, rows = batch_of(study), fs.Pipeline(study), []
    live = list(study.source.live_rows())
    cut = int(len(live) * 0.7)
    for row in live[:cut]:
        rows += pipeline.update(row)
    pipeline.save(tmp_path / "pipeline")
    rows += fs.Pipeline(study).load(tmp_path / "pipeline").replay(_Rest(study.source, live[cut:]))
    assert_equal(rows, study, batch)


class _Rest(fs.Source):
    """The later rows of a source."""

    def __init__(self, source: fs.Source, rows: list) -> None:
        self._source, self._later = source, rows

    def stream(self):
        return self._source.stream()

    def live_rows(self):
        return iter(self._later)

    def _head(self, n):
        raise NotImplementedError

    _disturbed = _prices = _features = _head


class Slow(Executor):
    """Fits are done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, Callable]] = []

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def finish(self) -> None:
        for future, work in self.waiting:
            try:
                future.set_result(work())
            except ZeroDivisionError as error:
                future.set_exception(error)
        self.waiting = []


def test_a_late_refit_leaves_the_old_model_in_place_and_its_rows_flagged_until_it_is_there():
    study = study_of(detectors=FOREST, thresholds={"isolation_forest": fs.TrainQuantile(0.95)})
    batch, slow = batch_of(study), Slow()
    pipeline = fs.Pipeline(study, ["isolation_forest"], slow)
    blocks = [fold.test for fold in batch.folds["isolation_forest"].folds]
    late, rows = 30, []
    for k, bar in enumerate(study.source.live_rows()):
        # The fits of the first and third block are done in time, that of the second 30 rows after its block began.
        if k in (blocks[0].start - 1, blocks[1].start + late, blocks[2].start - 1):
            assert slow.waiting
            slow.finish()
        rows += pipeline.update(bar)
        if k == blocks[2].start + 50:
            break
    stale = [k for k, row in enumerate(rows) if row.stale_model]
    assert stale == list(range(blocks[1].start, blocks[1].start + late))
    whole = batch.scores["isolation_forest"].values[: len(rows)]
    found = np.array([row.scores["isolation_forest"] for row in rows])
    fresh = np.setdiff1d(np.arange(len(rows)), stale)
    assert np.array_equal(found[fresh], whole[fresh], equal_nan=True)
    old = batch.folds["isolation_forest"].detectors[0]
    old = getattr(old, "whole", old).score(batch.features).values
    assert np.array_equal(found[stale], old[stale], equal_nan=True)
    assert not np.array_equal(found[stale], whole[stale], equal_nan=True)
    levels = np.array([row.thresholds["isolation_forest"] for row in rows])
    assert np.array_equal(levels[fresh], batch.signals["isolation_forest"].threshold[fresh], equal_nan=True)


class Breaks(fs.Detector):
    """Cannot be fitted when told so."""

    broken = False

    def _fit(self, features):  # noqa: ARG002 - learns nothing
        if Breaks.broken:
            raise ValueError("no\nmemory")

    def _score(self, features):
        return np.abs(features.column("log_return"))


def test_a_refit_that_fails_leaves_the_old_model_in_place_and_says_why(monkeypatch):
    study = study_of(detectors=[Breaks()], thresholds={})
    pipeline, batch = fs.Pipeline(study, ["breaks"]), batch_of(study)
    start = batch.folds["breaks"].folds[1].test.start
    rows = []
    for k, bar in enumerate(study.source.live_rows()):
        monkeypatch.setattr(Breaks, "broken", k == start)
        rows += pipeline.update(bar)
    stop = batch.folds["breaks"].folds[2].test.start
    assert [k for k, row in enumerate(rows) if row.stale_model] == list(range(start, stop))
    assert rows[start].failures == {"breaks": "ConfigError: breaks fit raised ValueError: no memory; fix it"}
    assert_equal(rows, study, batch, ["breaks"])


def test_an_executor_that_is_in_time_gives_the_same_rows():
    study = study_of(detectors=FOREST, thresholds={})
    batch = batch_of(study)

    class AtOnce(Slow):
        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            self.finish()
            return future

    rows = list(fs.Pipeline(study, executor=AtOnce()).replay(study.source))
    assert_equal(rows, study, batch)


def test_what_cannot_be_run_row_by_row_is_refused():
    study = study_of(detectors=["zscore"], thresholds={})
    with pytest.raises(fs.ConfigError, match="study must be Study"):
        fs.Pipeline("study.toml")
    with pytest.raises(fs.ConfigError, match=r"the study has no detector 'zscor'; it has .* did you mean 'zscore'"):
        fs.Pipeline(study, ["zscor"])
    with pytest.raises(fs.ConfigError, match="different labels, at least one, got none"):
        fs.Pipeline(study, [])
    with pytest.raises(fs.ConfigError, match="universe"):
        fs.Pipeline(replace(study, universe=fs.Universe(2, window="5D")))
    with pytest.raises(fs.ConfigError, match="executor must be Executor"):
        fs.Pipeline(study, executor=4)
    fixed = replace(study, threshold=fs.Fixed(3.0))
    assert fs.Pipeline(fixed).labels == ("zscore",)
    with pytest.raises(fs.ConfigError, match="random is a baseline without a threshold of its own"):
        fs.Pipeline(fixed, ["random"])
    pipeline = fs.Pipeline(study)
    with pytest.raises(fs.ConfigError, match="the source must be as that of the study"):
        pipeline.replay(windows_study().source)
    with pytest.raises(fs.DataError, match="a row must be one bar"):
        pipeline.update(study.bars)
    assert pipeline.n_rows == 0
    assert "zscore" in repr(pipeline)

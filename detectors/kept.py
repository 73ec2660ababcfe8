"""Fits, scores and explanations of the folds of a detector, kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone

from foreshock.data.errors import ForeshockError
from foreshock.data.system.cache import Cache, key_of, usual_cache
from foreshock.data.system.disk import unflushed
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import load_detector
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import is_ours
from foreshock.engine.out_of_sample.splits import Fold
from foreshock.engine.scores import FoldScores, Scores

# Source whose change makes what was kept worthless.
CODE = ("foreshock.detectors", "foreshock.engine")
# Packages whose fits may differ from version to version.
PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "torch", "pyod")
FIT, SCORES, ADDED = "fit", "scores", "explanation"
# Arrays of one number of a fold's scores: what is known of its fit.
FACT = "fact "


def keeper_of(
    detector: Detector, features: Features, digests: dict[str, str], train_scores: bool
) -> Callable[[Sequence[Fold]], Keeper] | None:
    """What keeps the folds of a detector; None where scores do not follow from the features, parameters and foreshock's code alone.

    Parameters
    ----------
    detector : Detector
        Not fitted.
    features : Features
        What it sees.
    digests : dict
        Digests of rows of these features that are known already; more are added.
    train_scores : bool
        Whether scores of training rows are wanted too.
    """
    cache = usual_cache()
    facts = facts_of(detector)
    if cache.folder is None or facts is None:
        return None
    return lambda folds: Keeper(cache, detector, features, folds, facts, digests, train_scores)


def fit_kept(detector: Detector, features: Features) -> Detector:
    """The detector, fitted on all rows of the features; or a copy of it that was fitted on them before."""
    keeper = keeper_of(detector, features, {}, False)
    if keeper is None:
        return detector.fit(features)
    rows = slice(0, features.n_rows)
    kept = keeper([Fold(rows, rows)])
    found = kept.fitted(0)
    if found is None:
        began = perf_counter()
        detector.fit(features)
        return kept.keep_fit(0, detector, perf_counter() - began).whole
    return found[0].whole


def facts_of(detector: Detector) -> dict[str, Any] | None:
    """Class and parameters of a detector of foreshock's own, in JSON types; None for any other, and where a parameter is a file."""
    kind = type(detector)
    if not is_ours(detector) or not kind.__module__.startswith("foreshock.detectors."):
        return None
    params = detector.get_params(deep=False)
    try:
        json.dumps(params)
    except TypeError:
        return None
    if any(isinstance(value, str) and len(value) < 4_096 and Path(value).exists() for value in params.values()):
        return None
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "name": detector.name, "params": params, "packages": _versions()}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


@dataclass
class KeptFit:
    """Stands for a fitted detector: it is read, or fitted again, only when it is asked for something that is not kept.

    Parameters
    ----------
    cache : Cache
    key : str
        Key of the fit.
    detector : Detector
        Not fitted.
    train : Features
        Rows to fit it on, should the fit be gone.
    known : Detector or None
        The fitted detector, once there is one.
    """

    cache: Cache
    key: str
    detector: Detector
    train: Features
    known: Detector | None = None

    @property
    def lookback(self) -> int:
        return self.detector.lookback

    @property
    def whole(self) -> Detector:
        """The fitted detector."""
        if self.known is None:
            self.known = self._read() or self.fit(self.train)
        return self.known

    def fit(self, features: Features) -> Detector:
        """A fit of its own on other rows."""
        fresh: Any = clone(self.detector)
        return fresh.fit(features)

    def score(self, features: Features) -> Scores:
        return self.whole.score(features)

    def explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        key = key_of({"fit": self.key}, [rows, symbols, features.time.astype(np.int64), features.values])
        found = self.cache.read(ADDED, key)
        if found is not None:
            return found["added"]
        added = self.whole.explain_rows(features, rows, symbols)
        self.cache.write(ADDED, key, {"added": added})
        return added

    def save(self) -> bytes | None:
        """The fitted detector as the content of a file; None if it cannot be saved without pickle."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / FIT
            try:
                with unflushed():
                    self.whole.save(path)
            except ForeshockError:
                return None
            return path.read_bytes()

    def _read(self) -> Detector | None:
        found = self.cache.read(FIT, self.key)
        if found is None or not len(found["content"]):
            return None
        with TemporaryDirectory() as folder:
            path = Path(folder) / FIT
            path.write_bytes(found["content"].tobytes())
            try:
                return load_detector(path)
            except ForeshockError:
                return None


@dataclass
class Keeper:
    """The folds of one detector in the cache.

    A fit goes by the content of its training rows, the detector, its parameters, and the code; scores also by the rows that they
    are of. So a study with other horizons fits nothing again where its training rows are the same, and one that was interrupted
    goes on.
    """

    cache: Cache
    detector: Detector
    features: Features
    folds: Sequence[Fold]
    facts: dict[str, Any]
    digests: dict[str, str]
    train_scores: bool
    _found: dict[int, tuple[FoldScores, np.ndarray]] = field(default_factory=dict)

    def found(self, fold: int) -> FoldScores | None:
        if fold not in self._found:
            kept = self.cache.read(SCORES, self._scores_key(fold))
            if kept is None:
                return None
            rows, seconds = self.folds[fold], kept["seconds"]
            trained = kept.get("train")
            facts = {name.removeprefix(FACT): float(value[0]) for name, value in kept.items() if name.startswith(FACT)}
            scores = FoldScores(rows.train, rows.test, trained, float(seconds[0]), float(seconds[1]), facts)
            self._found[fold] = scores, kept["values"]
        return self._found[fold][0]

    def values(self, fold: int) -> np.ndarray:
        return self._found[fold][1]

    def fitted(self, fold: int) -> tuple[KeptFit, float] | None:
        scores = self.found(fold)
        kept = self.cache.read(FIT, self._fit_key(fold))
        # The next fold starts from the weights of this one.
        warm = getattr(self.detector, "warm_start", False)
        if kept is not None and (len(kept["content"]) or scores is not None):
            return self._stand_in(fold), float(kept["seconds"][0])
        return (self._stand_in(fold), scores.fit_seconds) if scores is not None and not warm else None

    def keep_fit(self, fold: int, fitted: Any, seconds: float) -> KeptFit:
        kept = self._stand_in(fold, fitted)
        content = kept.save()
        arrays = {"content": np.frombuffer(content or b"", dtype=np.uint8), "seconds": np.array([seconds])}
        self.cache.write(FIT, self._fit_key(fold), arrays)
        return kept

    def keep_scores(self, fold: int, scores: FoldScores, values: np.ndarray) -> None:
        arrays = {"values": values, "seconds": np.array([scores.fit_seconds, scores.score_seconds])}
        if scores.train_values is not None:
            arrays["train"] = scores.train_values
        arrays |= {FACT + name: np.array([value]) for name, value in scores.facts.items()}
        self.cache.write(SCORES, self._scores_key(fold), arrays)

    def _stand_in(self, fold: int, fitted: Detector | None = None) -> KeptFit:
        return KeptFit(self.cache, self._fit_key(fold), self.detector, self.features.rows(self.folds[fold].train), fitted)

    def _fit_key(self, fold: int) -> str:
        # With a warm start, a fit depends on those of all folds before it.
        first = 0 if getattr(self.detector, "warm_start", False) else fold
        trained = [self._digest(self.folds[k].train) for k in range(first, fold + 1)]
        return key_of({**self.facts, "train": trained}, code=CODE)

    def _scores_key(self, fold: int) -> str:
        test = self.folds[fold].test
        seen = slice(max(test.start - self.detector.lookback, 0), test.stop)
        facts = {"fit": self._fit_key(fold), "seen": self._digest(seen), "n": test.stop - test.start}
        return key_of({**facts, "train_scores": self.train_scores})

    def _digest(self, rows: slice) -> str:
        """Digest of everything in some rows of the features."""
        name = f"{rows.start} {rows.stop}"
        if name not in self.digests:
            part = self.features.rows(rows)
            facts = {"symbols": part.symbols, "names": part.names, "interval": str(part.interval), "start": part.start_row}
            self.digests[name] = key_of(facts, [part.time.astype(np.int64), part.values])
        return self.digests[name]

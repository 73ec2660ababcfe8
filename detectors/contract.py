"""The contract of a detector, as a function that raises where it is broken."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError, DataError, ForeshockError
from foreshock.data.plugins.contract import called, first_difference, global_seed
from foreshock.data.show.shown import shown
from foreshock.data.simulate.random_bars import random_bars
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import DETECTORS, restored
from foreshock.detectors.saved import read_saved
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.lookback import lookback_of, measure_lookback, with_lookback
from foreshock.engine.scores import Scores

# BLAS may round the score of a row differently when the history starts at the row's lookback than inside a longer history.
ROUNDING = 1e-9
LARGEST_TOLERANCE = 1e-3


@door(detector=ANYTHING)
def check_detector(detector: Detector, features: Features | None = None) -> None:
    """Raise unless a detector keeps the contract that every detector of foreshock keeps.

    The detector is fitted on the first four sevenths of the rows and scores all of them. Scores must have the shape (n_rows,
    n_symbols), must be finite where known, and must not all be equal. They must stay the same when rows after t are deleted or
    changed, when rows before the lookback are deleted, when the detector is fitted again under another global random state, and
    after ``save`` and ``load_detector`` if it can be saved. They must be NaN where the features are unknown, and may be NaN only
    there and in the lookback after such a row. They must not depend on other symbols, unless the class has ``market_wide =
    True``. The detector must not write into features or change its parameters, and a clone must be unfitted, with equal
    parameters. Its name must not be that of another detector of foreshock. Deleted rows may change scores by the relative
    ``tolerance`` of the class, which is 0 by default.

    Parameters
    ----------
    detector : Detector
        The detector to check. It is not changed; clones of it are fitted.
    features : Features, optional
        The rows to check with: at least 200, and more than the lookback. By default ``ohlcv_features`` of 1,400 random hourly bars
        of three symbols.

    Raises
    ------
    ConfigError
        If a check fails. The message names the check and how to fix the detector.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> fs.check_detector(fs.make_detector("zscore", window=24))
    >>> class Ahead(fs.Detector):
    ...     def _score(self, features):
    ...         moves = abs(features.column("log_return"))
    ...         return moves / np.nanmax(moves, axis=0)
    >>> fs.check_detector(Ahead())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: ahead looks ahead: its score of row 1 differs when the rows from ...
    """
    if isinstance(detector, type) or not isinstance(detector, Detector):
        raise ConfigError(f"detector must be an object of a subclass of fs.Detector, got {shown(detector)}")
    # NumPy's order of summation, and so its rounding, depends on the memory layout; the copy has the same layout every time.
    features = _copied(ohlcv_features(random_bars(1_400, 3, seed=11)) if features is None else features)
    _check_class(detector)
    if getattr(detector, "from_table", False):
        raise ConfigError(f"{detector.name} has scores from a table, which nobody can check; check the detector that made them")
    n_train = features.n_rows * 4 // 7
    fresh = _cloned(detector)
    fitted = _fitted(fresh, features, n_train)
    if getattr(detector, "own", False):
        # An adapter claims no look-back of its own: it is measured.
        fitted = with_lookback(fitted, measure_lookback(fitted, features, slice(n_train, features.n_rows)))
    scores = _scored(fitted, features)
    _check_scores(fitted, scores, n_train)
    _check_again(detector, fitted, features, n_train, scores)
    _check_later_rows(fitted, features, n_train, scores)
    _check_unknown(fitted, features, n_train, scores)
    _check_lookback(fitted, features, scores)
    _check_symbols(fitted, features, scores)
    _check_saved(fitted, features, scores)


def _check_class(detector: Detector) -> None:
    cls = type(detector).__name__
    if not isinstance(detector.name, str) or not detector.name.strip():
        raise ConfigError(f"the name of {cls} must be a text, got {shown(detector.name)}; set name on the class, or leave it out")
    if detector.name in DETECTORS.table and DETECTORS.find(detector.name) is not type(detector):
        raise ConfigError(f"{cls} has the name {shown(detector.name)} of foreshock's own detector; set another name on the class")
    tolerance = detector.tolerance
    if not isinstance(tolerance, Real) or not 0 <= float(tolerance) <= LARGEST_TOLERANCE:
        raise ConfigError(
            f"tolerance of {detector.name} must be a number from 0 to {LARGEST_TOLERANCE}, got {shown(tolerance)}; it is for "
            f"the rounding of BLAS and networks"
        )


def _lookback(fitted: Detector) -> int:
    lookback = called(fitted.name, "lookback", lambda: lookback_of(fitted))
    if not isinstance(lookback, Integral) or isinstance(lookback, bool) or lookback < 0:
        raise ConfigError(f"lookback of {fitted.name} must be a whole number of rows, 0 or more, got {shown(lookback)}")
    return int(lookback)


def _values(fitted: Detector, features: Features) -> np.ndarray:
    """The scores of the rows, whatever the detector's code raises being one sentence."""
    scores = called(fitted.name, "score", lambda: fitted.score(features))
    if not isinstance(scores, Scores):
        raise ConfigError(f"score of {fitted.name} must return Scores, got {shown(scores)}; override _score instead")
    if not np.array_equal(scores.time, features.time) or tuple(scores.symbols) != tuple(features.symbols):
        raise ConfigError(f"score of {fitted.name} must return the rows and symbols of the features; override _score instead")
    return scores.values


def _cloned(detector: Detector) -> Detector:
    params = called(detector.name, "get_params", detector.get_params)
    try:
        # Typed by scikit-learn for collections of estimators too.
        fresh: Any = clone(detector)
        same = repr(fresh.get_params()) == repr(params)
    except (RuntimeError, TypeError) as error:
        same, fresh = False, detector
        if isinstance(error, TypeError):
            raise ConfigError(f"{detector.name} cannot be cloned: {error}; take the parameters in __init__") from error
    if not same:
        raise ConfigError(f"{detector.name} cannot be cloned; keep each parameter of __init__ as it is, under its own name")
    return fresh


def _fitted(fresh: Detector, features: Features, n_train: int) -> Detector:
    given = _copied(features.rows(slice(0, n_train)))
    if fresh.learned:
        try:
            called(fresh.name, "score", lambda: fresh.score(given))
        except ConfigError:
            pass
        else:
            raise ConfigError(f"{fresh.name} scores before it is fitted; set what it learns, {', '.join(fresh.learned)}, in _fit")
    params = repr(fresh.get_params())
    with global_seed(1):
        fitted = called(fresh.name, "fit", lambda: fresh.fit(given))
    if fitted is not fresh:
        raise ConfigError(
            f"fit of {fresh.name} must return the detector itself, got {type(fitted).__name__}; end it with return self"
        )
    if repr(fitted.get_params()) != params:
        raise ConfigError(f"fit of {fresh.name} changes its parameters, {params}; set what it learns under other names")
    unset = [key for key in fresh.learned if not hasattr(fresh, key)]
    if unset:
        raise ConfigError(f"{fresh.name} names {', '.join(unset)} in learned, which fit does not set; set or remove it")
    return fitted


def _scored(fitted: Detector, features: Features) -> np.ndarray:
    given = _copied(features)
    try:
        with global_seed(2):
            scores = _values(fitted, given)
    except DataError as error:
        shape = (features.n_rows, len(features.symbols))
        raise ConfigError(f"{fitted.name} must return scores of the shape (n_rows, n_symbols) = {shape}: {error}") from error
    return scores


def _check_scores(fitted: Detector, scores: np.ndarray, n_train: int) -> None:
    later = scores[n_train:]
    if scores.dtype.kind != "f":
        raise ConfigError(f"scores of {fitted.name} must be floats, got {scores.dtype}; convert them with astype(float)")
    if np.isinf(scores).any():
        row = int(np.flatnonzero(np.isinf(scores).any(axis=1))[0])
        raise ConfigError(f"{fitted.name} gives row {row} an infinite score; return a finite number, or NaN where none is known")
    known = later[~np.isnan(later)]
    if len(known) < later.size / 2:
        raise ConfigError(
            f"{fitted.name} must score most rows after those it was fitted on, got {len(known)} of {later.size}; only rows with "
            f"unknown features may stay NaN"
        )
    if len(np.unique(known)) < 2:
        raise ConfigError(f"{fitted.name} gives every row the same score, {known[0]}; strange rows must score higher")


def _check_again(detector: Detector, fitted: Detector, features: Features, n_train: int, scores: np.ndarray) -> None:
    with global_seed(3):
        same = first_difference(_values(fitted, features), scores) is None
        if same:
            other: Any = clone(detector)
            other.fit(features.rows(slice(0, n_train)))
            same = first_difference(_values(other, features), scores) is None
    if not same:
        raise ConfigError(
            f"{fitted.name} gives other scores when it is fitted and scores again; draw random numbers from "
            f"np.random.default_rng(seed), with seed a parameter, not from the global state"
        )


def _check_later_rows(fitted: Detector, features: Features, n_train: int, scores: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for cut in (n_train + 1, (n_train + features.n_rows) // 2, features.n_rows - 1):
        values = features.values.copy()
        values[cut:] += rng.normal(0, 10, values[cut:].shape) * np.nanstd(values, axis=(0, 1))
        for what, history in (("deleted", features.rows(slice(0, cut))), ("changed", replace(features, values=values))):
            row = first_difference(_values(fitted, history)[:cut], scores[:cut], fitted.tolerance)
            if row is not None:
                raise ConfigError(
                    f"{fitted.name} looks ahead: its score of row {row} differs when the rows from {cut} on are {what}; score "
                    f"a row from itself, rows before it and what fit has learned"
                )


def _check_lookback(fitted: Detector, features: Features, scores: np.ndarray) -> None:
    row = features.n_rows - 1 - features.n_rows // 14
    lookback = _lookback(fitted)
    if row < lookback:
        raise ConfigError(
            f"{fitted.name} has a lookback of {lookback} rows, more than the {features.n_rows} given; pass more features"
        )
    alone = _values(fitted, features.rows(slice(row - lookback, row + 1)))[-1:]
    if first_difference(alone, scores[row : row + 1], max(ROUNDING, fitted.tolerance)) is not None:
        raise ConfigError(
            f"{fitted.name} uses rows before its lookback of {lookback}; make the property lookback return the number of rows "
            f"before t that the score of t depends on"
        )


def _check_unknown(fitted: Detector, features: Features, n_train: int, scores: np.ndarray) -> None:
    row, symbol = (n_train + features.n_rows) // 2, len(features.symbols) // 2
    values = features.values.copy()
    values[row, symbol] = np.nan
    found = _values(fitted, replace(features, values=values))
    if not np.isnan(found[row, symbol]):
        raise ConfigError(
            f"{fitted.name} must leave a row unscored whose features are not known, got {found[row, symbol]:.3g}; return NaN there"
        )
    lost = np.isnan(found) & ~np.isnan(scores)
    lost[row : row + _lookback(fitted) + 1, symbol] = False
    if lost.any():
        where = int(np.flatnonzero(lost.any(axis=1))[0])
        raise ConfigError(
            f"{fitted.name} loses the score of row {where} to unknown features of {features.symbols[symbol]} in row {row}; only "
            f"that symbol may be unscored, in that row and the {_lookback(fitted)} after it"
        )


def _check_symbols(fitted: Detector, features: Features, scores: np.ndarray) -> None:
    if len(features.symbols) < 2 or getattr(fitted, "market_wide", False):
        return
    values = features.values.copy()
    values[:, -1] *= 3.0
    row = first_difference(_values(fitted, replace(features, values=values))[:, :-1], scores[:, :-1], fitted.tolerance)
    if row is not None:
        raise ConfigError(
            f"{fitted.name} lets the features of one symbol change the score of another in row {row}; set market_wide = True on "
            f"the class if that is meant"
        )


def _check_saved(fitted: Detector, features: Features, scores: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector"
        try:
            fitted.save(path)
        except ConfigError:
            # A detector that has learned more than arrays and plain values refuses to be saved, which is allowed.
            return
        _, params, learned, _ = read_saved(path)
    try:
        same = first_difference(restored(type(fitted)(**params), learned, path).score(features).values, scores) is None
    except (ForeshockError, AttributeError, TypeError):
        same = False
    if not same:
        raise ConfigError(f"scores of {fitted.name} change when it is saved and loaded; name in learned all that fit sets")


def _copied(features: Features) -> Features:
    return replace(features, values=features.values.copy())

"""The base of all detectors: scikit-learn conventions, Features in, Scores out, saved without pickle."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.plugins.contract import Found, apart, called
from foreshock.data.show.shown import few
from foreshock.detectors.explanation import check_places, medians, replaced_scores, row_at, symbol_at, typical_of
from foreshock.detectors.parameter_types import check_types
from foreshock.detectors.saved import in_order, owned, write_saved
from foreshock.detectors.shown_parameters import ShownParameters
from foreshock.detectors.stream import DetectorStream, RingStream, no_rows
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import measure_lookback, needs_measuring, past_of, with_lookback
from foreshock.engine.scores import Scores


@door
class Detector(ShownParameters, BaseEstimator):
    """Base of all detectors.

    A subclass takes its parameters in ``__init__``, lists its learned attributes in ``learned``, sets them in ``_fit`` and returns
    scores from ``_score(features)`` as an array of shape (n_rows, n_symbols). Scores have no unit and are higher for stranger
    rows; they are NaN where a row is not scored, and use no later row. If a class has no ``name``, it is derived from the class
    name: ``VolumeZ`` is ``"volume_z"``. ``fs.check_detector`` checks whether a detector keeps this contract.

    Examples
    --------
    >>> import foreshock as fs
    >>> class LastMove(fs.Detector):
    ...     def _score(self, features):
    ...         return abs(features.column("log_return"))
    >>> LastMove().name
    'last_move'
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
    >>> LastMove().fit(features).score(features)
    Scores(BTC/USDT, 300 rows of 1h, 2022-01-01 to 2022-01-13, 99.7% scored)
    """

    name: str
    learned: ClassVar[tuple[str, ...]] = ()
    # Largest relative change of a score when later rows are deleted: 0 unless the detector uses BLAS or a network.
    tolerance: ClassVar[float] = 0.0
    # 0 for a fast fit. A study fits a detector with a larger number in a process of its own, the largest number first.
    slow: ClassVar[int] = 0
    # What a study shows it as: "detector", "baseline", or "oracle" for one that knows what no detector can.
    role: ClassVar[str] = "detector"
    # Whether fit keeps the medians of its rows, for ``explain``: no, if the class knows what is typical, or needs it not.
    keeps_typical: ClassVar[bool] = True
    typical_: dict[str, Any] | None = None
    # Whether a score is made of its row alone, so that the look-back of a user's detector need not be measured.
    by_row: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A subclass must not inherit a name, or its saved file would be loaded as the parent class.
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    @property
    def lookback(self) -> int:
        """Number of rows before t that the score of row t depends on."""
        return 0

    def fit(self, features: Features) -> Self:
        """Learn from the rows of ``features``, all of which are training data, and return the detector itself."""
        check_types(self)
        refuse_infinite(features)
        self._own("fit", lambda: self._fit(self._given(features)))
        # BLAS rounds by the order in which numbers lie in memory: a fit that is read from a file must not differ in a last digit.
        for name in self.learned:
            if hasattr(self, name):
                setattr(self, name, in_order(getattr(self, name)))
        if self.keeps_typical:
            self.typical_ = medians(features)
        return self

    def score(self, features: Features) -> Scores:
        """Scores of every row, shape (n_rows, n_symbols).

        Raises
        ------
        ConfigError
            If the detector is not fitted, or the features have other names than those it was fitted on, or have none of the
            symbols that it was fitted on.
        """
        self._check_fitted()
        refuse_infinite(features)
        learned = getattr(self, "symbols_", None)
        if learned and features.symbols and not features.comparable and set(learned).isdisjoint(features.symbols):
            raise ConfigError(
                f"{self.name} was fitted on {few(learned, 3)} and knows none of {few(features.symbols, 3)}; each has "
                f"its own scale, so fit the detector on these symbols"
            )
        values = self._own("score", lambda: self._score(self._given(features)))
        if np.shape(values) != features.values.shape[:2]:
            raise ConfigError(
                f"{self.name} must return scores of shape (n_rows, n_symbols) = {features.values.shape[:2]}, got "
                f"{np.shape(values)}; return one score for each row and symbol"
            )
        return Scores(features.time, features.symbols, values, features.interval)

    def stream(self, features: Features | None = None, state: Mapping[str, Any] | None = None) -> DetectorStream:
        """Scores one row at a time, with the bits of ``score``; to ``tolerance`` where BLAS or a network sits between.

        Parameters
        ----------
        features : Features, optional
            The rows before the first, of which the last ``lookback`` are taken; fewer, or none, leave scores unknown until there
            are enough. Their symbols, names and interval are those of the rows to come.
        state : dict, optional
            State of a stream of this detector, to go on from; its symbols and names stand in it.

        Raises
        ------
        ConfigError
            If the detector is not fitted, or neither features nor a state is passed.
        DataError
            If the state is of another stream.

        Examples
        --------
        >>> import numpy as np
        >>> import foreshock as fs
        >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
        >>> detector = fs.make_detector("zscore", window=24).fit(features)
        >>> stream = detector.stream(features.rows(slice(0, 200)))
        >>> scores = np.array([stream.update(row) for row in features.values[200:]])
        >>> np.array_equal(scores, detector.score(features).values[200:], equal_nan=True)
        True
        """
        self._check_fitted()
        if features is None and state is None:
            raise ConfigError(f"a stream of {self.name} needs features or a state, got none; pass the rows before the first")
        if state is not None:
            check_type("state", state, Mapping, "pass what state() of such a stream returned")
            return self._stream(no_rows(state) if features is None else features.rows(slice(0, 0))).restore(state)
        check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
        assert features is not None
        refuse_infinite(features)
        known = self
        if needs_measuring(self) and features.n_rows > 1:
            known = with_lookback(self, measure_lookback(self, features, slice(features.n_rows // 2, features.n_rows)))
        return known._stream(features).after(features)

    def _stream(self, features: Features) -> DetectorStream:
        """A stream before its first row; a detector for which a ring of rows is too slow has its own."""
        return RingStream(self, features)

    def explain(self, features: Features, row: int | str | np.datetime64 = -1, symbol: str | None = None) -> pd.Series:
        """What each feature added to the score of one row, the largest first; see ``explain_rows``.

        Parameters
        ----------
        features : Features
            The rows, with those of the lookback before the explained one.
        row : int, str or datetime
            Position of the row, or the time of its open (UTC); by default the last row.
        symbol : str, optional
            Needed if there are several.

        Examples
        --------
        >>> import foreshock as fs
        >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
        >>> fs.make_detector("pca").fit(features).explain(features, "2022-01-10 05:00").head(2).round(3).to_dict()
        {'skew_168': 0.024, 'volume_change': 0.009}
        """
        at, col = row_at(features, row), symbol_at(features, symbol)
        added = self.explain_rows(features, np.array([at]), np.array([col]))[0]
        named = pd.Series(added, list(features.names), name=f"{self.name} of {features.symbols[col]} at {features.time[at]}")
        return named.sort_values(ascending=False, kind="stable", na_position="last")

    def explain_rows(self, features: Features, rows: Sequence[int] | np.ndarray, symbols: Sequence[int] | np.ndarray) -> np.ndarray:
        """What each feature added to the scores of many rows, in the unit of the scores.

        Exact where the score is made of features: the rolling detectors and ``joint_tail`` have a score for each column, of which
        they take the largest or smallest; ``pca``, ``kmeans_regime`` and the autoencoders have a share for each, and the shares
        add up to the score. For all others it is by how much the score falls when the feature of this row, and nothing else, is
        replaced by its median over the training rows; the differences need not add up.

        Parameters
        ----------
        features : Features
            The history, with the lookback of every row.
        rows, symbols : array of int, shape (n,)
            Position of the row and of the symbol of each score.

        Returns
        -------
        ndarray, shape (n, n_features)
            In the order of ``features.names``. NaN where a row has no score or nothing can be said, 0 for a feature that the
            detector does not use.

        Raises
        ------
        ConfigError
            If the detector is not fitted, or a place lies outside the features.

        Examples
        --------
        >>> import foreshock as fs
        >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
        >>> detector = fs.make_detector("zscore", window=24).fit(features)
        >>> detector.explain_rows(features, [280, 290], [0, 0]).max(axis=1).round(3)
        array([0.7  , 1.345])
        """
        at, cols = check_places(features, rows, symbols)
        self._check_fitted()
        refuse_infinite(features)
        return self._own("explain", lambda: self._explain_rows(self._given(features), at, cols))

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        scores = self._variants(features, rows, symbols)
        return scores[:, :1] - scores[:, 1:]

    def _variants(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Scores of rows as they are, and with one feature at a time at its typical value, (n, 1 + n_features)."""
        typical = typical_of(self.typical_, features, int(rows.min(initial=features.n_rows)))
        wide = bool(getattr(self, "market_wide", False))
        known = self
        if needs_measuring(self):
            known = with_lookback(self, measure_lookback(self, features, slice(features.n_rows // 2, features.n_rows)))
        lookback = past_of(known, features.n_rows)
        return replaced_scores(lambda part: self.score(part).values, lookback, wide, features, rows, symbols, typical)

    def _own(self, what: str, function: Callable[[], Found]) -> Found:
        """The result of the class's own code; whatever a user's class raises is one sentence, a fault of ours stays a traceback."""
        return function() if self._ours else called(self.name, what, function)

    def _given(self, features: Features) -> Features:
        """The features, as the class's own code gets them: what a user's class writes into them reaches nobody else."""
        return features if self._ours else apart(features)

    @property
    def _ours(self) -> bool:
        return type(self).__module__.startswith("foreshock.")

    def _check_fitted(self) -> None:
        if not all(hasattr(self, name) for name in self.learned):
            raise ConfigError(f"{self.name} is not fitted; call fit(features) first")

    def fit_facts(self) -> dict[str, float]:
        """Numbers by which a fit can be judged, such as the active units of a VAE; results show them. Most detectors have none."""
        return {}

    def described(self) -> dict[str, Any]:
        """Name and parameters, as results show them."""
        return {"name": self.name, **self.get_params()}

    def state(self) -> dict[str, Any]:
        """The learned attributes by name: arrays, numbers, strings, and tuples and dicts of them."""
        return {name: getattr(self, name) for name in self.learned}

    def restore(self, state: dict[str, Any]) -> Self:
        """Set the learned attributes to the ``state()`` of a detector with the same parameters.

        Raises
        ------
        DataError
            If one of them is missing, or they do not fit together.
        """
        missing = [name for name in self.learned if name not in state]
        if missing:
            raise DataError(f"the state lacks {few(missing)} of {self.name}; pass what state() of such a detector returned")
        for name in self.learned:
            setattr(self, name, state[name])
        try:
            whole = self._whole()
        except (AttributeError, TypeError, ValueError, LookupError):
            whole = False
        if not whole:
            raise DataError(f"the saved {self.name} does not fit together; save the detector again")
        return self

    def _whole(self) -> bool:
        """Whether the restored attributes fit together; anything that is read from them may raise what a wrong type raises."""
        symbols = getattr(self, "symbols_", ())
        return isinstance(symbols, tuple | list) and all(isinstance(symbol, str) for symbol in symbols)

    def _fit(self, features: Features) -> None:
        """Learn from ``features``; a subclass may override it, the base learns nothing."""

    @abstractmethod
    def _score(self, features: Features) -> np.ndarray:
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write parameters and learned arrays to one safetensors file; loading it cannot run code.

        Raises
        ------
        ConfigError
            If the detector is not fitted, or has learned something other than arrays and plain values, as ``pyod:`` models do.
        DataError
            If the file cannot be written.
        """
        self._check_fitted()
        kept = {"typical_": self.typical_} if self.typical_ is not None else {}
        write_saved(path, self.name, self.get_params(), self.state() | kept, owned(type(self)))


def refuse_infinite(features: Features) -> None:
    """Refuse anything but ``Features``, and infinite values: they are not measurements and make every mean infinite."""
    check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
    wrong = np.isinf(features.values)
    if wrong.any():
        row, symbol, column = map(int, np.argwhere(wrong)[0])
        raise DataError(
            f"features must be finite, or NaN where not known, got {features.values[row, symbol, column]} in "
            f"{features.names[column]} of {features.symbols[symbol]} at {features.time[row]} ({int(wrong.sum())} such values)"
        )

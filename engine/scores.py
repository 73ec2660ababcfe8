"""Scores of a detector, and the signals that a threshold turns them into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pandas as pd

from foreshock.data.checks import (
    check_array,
    check_duration,
    check_each,
    check_names,
    check_number,
    check_shape,
    check_type,
)
from foreshock.data.doors.door import door
from foreshock.data.doors.times import check_step, rising_times
from foreshock.data.doors.truth import yes_or_no
from foreshock.data.errors import CallError, ConfigError, DataError
from foreshock.data.interval import Duration, bars_in
from foreshock.data.show.facts import Shown, counted, grid_facts, symbols_fact
from foreshock.data.show.shown import shown


@dataclass(frozen=True)
class FoldScores:
    """One walk-forward fold: its training rows, its test rows, and the scores of its training rows.

    Parameters
    ----------
    train : slice
        Rows that the detector was fitted on.
    test : slice
        Rows of the scored block.
    train_values : ndarray, shape (n_train_rows, n_symbols), or None
        In-sample scores, for thresholds that need them; they are not reported.
    fit_seconds, score_seconds : float
        Time spent on fitting and on scoring the block.
    facts : dict of str to float
        Numbers by which the fit can be judged; see ``Detector.fit_facts``.
    """

    train: slice
    test: slice
    train_values: np.ndarray | None = None
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    facts: Mapping[str, float] = field(default_factory=dict)


@door
@dataclass(frozen=True, repr=False)
class Scores(Shown):
    """Anomaly scores, higher means more anomalous.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_rows,)
        Open of each row, ascending; its score is known one interval later.
    symbols : tuple of str
        Symbol of each column.
    values : ndarray of float64, shape (n_rows, n_symbols)
        NaN where a row is not scored.
    interval : timedelta64[us]
        Length of a row.
    folds : tuple of FoldScores
        Empty unless the scores come from ``walk_forward``.

    Raises
    ------
    DataError
        If the shape of ``values`` does not match, or times are not ascending.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(5) * np.timedelta64(1, "h")
    >>> values = np.array([[0.1], [2.0], [np.nan], [3.0], [0.4]])
    >>> scores = fs.Scores(time, ("A",), values, np.timedelta64(1, "h"))
    >>> scores.signals(fs.Fixed(1.0)).active.ravel()
    array([False,  True, False,  True, False])
    >>> scores.signals(fs.Fixed(1.0), cooldown="3h").active.ravel()
    array([False,  True, False, False, False])
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    values: np.ndarray
    interval: np.timedelta64
    folds: tuple[FoldScores, ...] = ()

    def __post_init__(self) -> None:
        check_array("values", self.values)
        check_step("interval", self.interval)
        check_each("folds", self.folds, FoldScores)
        object.__setattr__(self, "time", rising_times("time", self.time))
        check_names("symbols", self.symbols)
        shape = (len(self.time), len(self.symbols))
        if self.values.shape != shape:
            raise DataError(f"scores must have the shape (n_rows, n_symbols) = {shape}, got {self.values.shape}")

    def signals(
        self, threshold: Threshold | None = None, cooldown: Duration | None = None, *, policy: Threshold | None = None
    ) -> Signals:
        """Alerts at the rows whose score exceeds the threshold.

        Parameters
        ----------
        threshold : Threshold
            Rule for the threshold of each row, such as ``fs.RollingQuantile(0.99)``; see ``fs.threshold_kinds``.
        cooldown : str, optional
            Time after an alert during which further alerts of the same symbol are dropped; none by default.
        policy : Threshold, optional
            The earlier name of ``threshold``.

        Raises
        ------
        TypeError
            If no threshold is passed, or both ``threshold`` and ``policy``.
        """
        if cooldown is not None:
            check_duration("cooldown", cooldown)
        given = [one for one in (threshold, policy) if one is not None]
        if len(given) != 1:
            raise CallError(f"signals() takes one threshold, such as fs.RollingQuantile(0.99), got {len(given)}")
        check_threshold(given[0])
        levels = given[0].threshold(self)
        # NaN compares false: a row without a score or without a threshold is never an alert.
        active = self.values > levels
        decided = ~np.isnan(self.values) & ~np.isnan(levels)
        if cooldown is not None:
            kept = thin(active, bars_in(cooldown, self.interval, "cooldown"))
            # A dropped alert counts neither as an alert nor as a quiet row.
            decided &= kept | ~active
            active = kept
        return Signals(self.time, self.symbols, active, levels, decided, self.interval, given[0].nominal_rate)

    def where(self, mask: np.ndarray | None) -> Scores:
        """The scores where ``mask``, (n_rows, n_symbols), is True, NaN elsewhere; None keeps all of them."""
        if mask is None:
            return self
        check_shape("mask", mask, self.values.shape)
        return replace(self, values=np.where(mask, self.values, np.nan))

    def _facts(self) -> Iterator[str]:
        yield symbols_fact(self.symbols)
        yield from grid_facts(self.time, self.interval)
        yield f"{1 - np.isnan(self.values).mean() if self.values.size else 0:.1%} scored"
        if self.folds:
            yield counted(len(self.folds), "fold")

    def to_frame(self) -> pd.DataFrame:
        """Scores by time (UTC), one column per symbol."""
        return pd.DataFrame(self.values, pd.DatetimeIndex(self.time, name="time", tz="UTC"), list(self.symbols))


@door
@dataclass(frozen=True, repr=False)
class Signals(Shown):
    """Alerts: row t is known at the close of t and can be traded at the open of t + 1.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_rows,)
        Open of each row.
    symbols : tuple of str
        Symbol of each column.
    active : ndarray of bool, shape (n_rows, n_symbols)
        True where there is an alert.
    threshold : ndarray of float64, shape (n_rows, n_symbols)
        Threshold in the unit of the scores, NaN where it is not known.
    decided : ndarray of bool, shape (n_rows, n_symbols)
        True where both score and threshold are known, except for alerts that a cool-down dropped.
    interval : timedelta64[us]
        Length of a row.
    nominal_rate : float
        The alert rate that the threshold aims at, a fraction; NaN if it aims at none.

    Raises
    ------
    DataError
        If a shape does not match, times are not ascending, or an alert is neither True (1) nor False (0).

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(5) * np.timedelta64(1, "h")
    >>> values = np.array([[0.1], [2.0], [np.nan], [3.0], [0.4]])
    >>> signals = fs.Scores(time, ("A",), values, np.timedelta64(1, "h")).signals(fs.Fixed(1.0))
    >>> signals.prediction.ravel(), signals.alert_rate
    (array([ 1, -1,  0, -1,  1], dtype=int8), 0.5)
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    active: np.ndarray
    threshold: np.ndarray
    decided: np.ndarray
    interval: np.timedelta64
    nominal_rate: float = float("nan")

    def __post_init__(self) -> None:
        check_array("threshold", self.threshold)
        for name in ("active", "decided"):
            check_array(name, getattr(self, name))
            object.__setattr__(self, name, yes_or_no(name, getattr(self, name)))
        check_step("interval", self.interval)
        check_number("nominal_rate", self.nominal_rate)
        object.__setattr__(self, "time", rising_times("time", self.time))
        check_names("symbols", self.symbols)
        shape = (len(self.time), len(self.symbols))
        for name in ("active", "threshold", "decided"):
            if np.shape(getattr(self, name)) != shape:
                raise DataError(f"{name} must have the shape (n_rows, n_symbols) = {shape}, got {np.shape(getattr(self, name))}")

    @property
    def prediction(self) -> np.ndarray:
        """-1 for an anomaly, 1 for normal, 0 where nothing could be decided; shape (n_rows, n_symbols)."""
        return np.where(self.active, -1, np.where(self.decided, 1, 0)).astype(np.int8)

    @property
    def alert_rate(self) -> float:
        """Alerts over decided rows, as a fraction; NaN if no row was decided."""
        n_decided = int(self.decided.sum())
        return float(self.active.sum() / n_decided) if n_decided else float("nan")

    def rows(self, rows: slice) -> Signals:
        """The signals of a slice of rows, without a copy."""
        check_type("rows", rows, slice, "such as slice(0, 100)")
        fields = {name: getattr(self, name)[rows] for name in ("time", "active", "threshold", "decided")}
        return replace(self, **fields)

    def where(self, mask: np.ndarray | None) -> Signals:
        """The signals where ``mask``, (n_rows, n_symbols), is True; elsewhere nothing is decided. None keeps all of them."""
        if mask is None:
            return self
        check_shape("mask", mask, self.active.shape)
        threshold = np.where(mask, self.threshold, np.nan)
        return replace(self, active=self.active & mask, threshold=threshold, decided=self.decided & mask)

    def _facts(self) -> Iterator[str]:
        yield symbols_fact(self.symbols)
        yield from grid_facts(self.time, self.interval)
        yield counted(int(self.active.sum()), "alert")
        yield f"{self.alert_rate:.2%} of decided rows"

    def to_frame(self) -> pd.DataFrame:
        """Alerts (True or False) by time (UTC), one column per symbol."""
        return pd.DataFrame(self.active, pd.DatetimeIndex(self.time, name="time", tz="UTC"), list(self.symbols))


class Threshold(Protocol):
    """A causal rule that turns scores into a threshold for every row and symbol."""

    @property
    def nominal_rate(self) -> float: ...

    @property
    def needs_train_scores(self) -> bool: ...

    def threshold(self, scores: Scores) -> np.ndarray: ...


def check_threshold(threshold: object) -> None:
    """Raise unless the object is a threshold rule; a plain number, for example, is refused."""
    if isinstance(threshold, type) or not hasattr(threshold, "threshold"):
        raise ConfigError(f"threshold must be a rule such as RollingQuantile(0.99), got {shown(threshold)}; or use fs.Fixed")
    missing = [name for name in ("nominal_rate", "needs_train_scores") if not hasattr(threshold, name)]
    if missing:
        raise ConfigError(
            f"threshold {type(threshold).__name__} must have {' and '.join(missing)}; set on the class nominal_rate, the share of "
            f"alerts that it aims at or nan, and needs_train_scores, True or False"
        )


def thin(active: np.ndarray, n_bars: int) -> np.ndarray:
    """The alerts left when alerts within ``n_bars - 1`` rows after a kept one of the same symbol are dropped."""
    kept = np.zeros_like(active)
    for col in range(active.shape[1]):
        free_from = 0
        for row in np.flatnonzero(active[:, col]):
            if row >= free_from:
                kept[row, col] = True
                free_from = row + n_bars
    return kept

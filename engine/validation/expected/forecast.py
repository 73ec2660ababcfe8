"""The activity after a bar that past prices, and past marks, foretell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numba import njit

from foreshock.data.bars import Bars
from foreshock.data.checks import check_horizons, check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration, bars_in, format_duration
from foreshock.data.show.facts import Shown, symbols_fact
from foreshock.data.show.shown import few
from foreshock.engine.validation.rungs.forecast import FLAT, GAP, LEAST_ROWS, RIDGE
from foreshock.engine.validation.rungs.inputs import FLOOR, Scales
from foreshock.engine.validation.rungs.result import RUNGS
from foreshock.engine.validation.rungs.state import State, known_state, telling, usual_marks


@door
class ActivityForecast(Shown):
    """How much prices will move after each bar, as a multiple of what is usual, foretold by what is known at its close.

    These are the two forecasts that decide a verdict, with their inputs and their linear part, fitted on one history and asked on
    later ones: ``"volatility"`` sees past prices alone, ``"volume"`` the volumes, or the marks of another source, too. An alert can
    be held against them at the moment at which it is raised. The path of prices over a horizon is the sum of the absolute log
    returns of its bars; 1 is the mean of it over the history that was fitted.

    Parameters
    ----------
    horizons : sequence of str
        Lengths of the paths, such as ``"6h"``.
    delay : int
        Bars from a row to the first bar of its path.

    Raises
    ------
    ConfigError
        If horizons repeat, or ``delay`` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=3_000).bars
    >>> expected = fs.ActivityForecast(["1h", "24h"]).fit(bars.head(2_000))
    >>> found = expected.forecast(bars)["volume"]
    >>> found.shape, found[-1].round(2)
    ((3000, 1, 2), array([[0.83, 1.13]]))
    >>> stream = fs.ActivityStream(expected).after(bars.head(2_999))
    >>> np.array_equal(stream.update(bars.rows(slice(2_999, 3_000)))["volume"], found[-1])
    True
    """

    def __init__(self, horizons: Sequence[Duration] = ("1h", "6h", "24h"), delay: int = 1) -> None:
        check_horizons(horizons)
        check_whole("delay", delay, 1)
        self.horizons, self.delay = tuple(horizons), delay
        self.symbols_: tuple[str, ...] = ()

    def fit(self, bars: Bars, marks: Mapping[str, np.ndarray] | None = None) -> Self:
        """Learn from a history; returns the forecast itself.

        Parameters
        ----------
        bars : Bars
            All of it is past.
        marks : dict of str to ndarray, shape (n_bars, n_symbols), optional
            What the second forecast also sees; by default the volume in quote currency. Without marks there is no second one.

        Raises
        ------
        DataError
            If there are fewer rows than four for each input.
        """
        check_type("bars", bars, Bars, "read them with fs.read_bars")
        seen = telling(usual_marks(bars) if marks is None else _fitting(marks, bars))
        steps = [bars_in(horizon, bars.interval, "horizon") for horizon in self.horizons]
        self.with_volume_ = marks is None
        return self._fitted(bars, seen, Scales.of(bars, steps, seen))

    def refit(self, bars: Bars, marks: Mapping[str, np.ndarray] | None = None) -> ActivityForecast:
        """The forecast fitted on another history with the scales of this one, which so goes on from row to row.

        Parameters
        ----------
        bars : Bars
            The symbols and the interval must be the same.
        marks : dict of str to ndarray, shape (n_bars, n_symbols), optional
            Those that were fitted, if any were passed.

        Raises
        ------
        DataError
            If symbols, interval or marks are others, or there are too few rows.
        """
        check_type("bars", bars, Bars, "read them with fs.read_bars")
        seen = self._marks(bars, marks)
        other = ActivityForecast(self.horizons, self.delay)
        other.with_volume_ = self.with_volume_
        return other._fitted(bars, seen, self.scales_)

    def _fitted(self, bars: Bars, seen: Mapping[str, np.ndarray], scales: Scales) -> Self:
        steps = [bars_in(horizon, bars.interval, "horizon") for horizon in self.horizons]
        self.scales_ = scales
        state = known_state(bars, steps, self.delay, seen, self.scales_)
        known = ~np.isnan(state.target).any(axis=1) & (state.row >= GAP * max(steps))
        self.models_: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        self.usual_ = np.exp(state.target[known]).mean(axis=0) - FLOOR * np.array(steps) if known.any() else np.zeros(len(steps))
        for rung in RUNGS[: 2 if seen else 1]:
            names = tuple(name for name in state.names(rung == RUNGS[1]) if name in state.linear)
            if known.sum() < LEAST_ROWS * len(names):
                raise DataError(
                    f"a forecast of {len(names)} inputs needs {LEAST_ROWS * len(names)} rows, got {int(known.sum())} of "
                    f"{bars.n_bars:,} bars; pass a longer history, or shorter horizons"
                )
            self.models_[rung] = names, _line(_columns(state, names)[known], state.target[known])
        self.symbols_, self.interval_, self.steps_ = bars.symbols, bars.interval, tuple(steps)
        return self

    def state(self) -> dict[str, Any]:
        """What was learned: arrays, numbers, texts, and dicts and tuples of them."""
        if not self.symbols_:
            raise ConfigError("the forecast is not fitted; call fit(bars) first")
        return {
            "symbols": self.symbols_,
            "interval": int(self.interval_.astype("timedelta64[us]").astype(np.int64)),
            "steps": self.steps_,
            "with_volume": self.with_volume_,
            "usual": self.usual_.copy(),
            "models": {rung: {"names": names, "model": model.copy()} for rung, (names, model) in self.models_.items()},
            "typical": self.scales_.typical.copy(),
            "spread": self.scales_.spread.copy(),
            "marks": {name: values.copy() for name, values in self.scales_.marks.items()},
            "windows": self.scales_.windows,
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take what another one learned, from its ``state()``; returns the forecast itself.

        Raises
        ------
        DataError
            If it is of other horizons, or not whole.
        """
        check_type("state", state, Mapping, "pass what state() of such a forecast returned")
        try:
            interval = np.timedelta64(int(state["interval"]), "us")
            steps = tuple(bars_in(horizon, interval, "horizon") for horizon in self.horizons)
            same = steps == tuple(state["steps"])
            scales = Scales(state["typical"], state["spread"], dict(state["marks"]), tuple(map(int, state["windows"])))
            models = {rung: (tuple(map(str, one["names"])), one["model"]) for rung, one in state["models"].items()}
            shapes = {model.shape == (1 + len(names), 2 + len(steps)) for names, model in models.values()}
            whole = shapes == {True} and scales.typical.shape == (len(state["symbols"]),) and state["usual"].shape == (len(steps),)
        except (KeyError, TypeError, ValueError, AttributeError):
            same, whole = True, False
        if not same:
            raise DataError(f"the state is of {few(list(state['steps']))} rows ahead, not of {few(self.horizons)}")
        if not whole:
            raise DataError("the state of the forecast does not fit together; pass what state() of such a forecast returned")
        self.symbols_, self.interval_, self.steps_ = tuple(state["symbols"]), interval, steps
        self.with_volume_, self.usual_ = bool(state["with_volume"]), state["usual"].copy()
        self.scales_, self.models_ = scales, models
        return self

    def forecast(self, bars: Bars, marks: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """The expected activity after each bar, by forecast: (n_bars, n_symbols, n_horizons).

        NaN where a bar is not known, or the price of the symbol never changed in the history that was fitted. Means over the bars
        before need these: pass bars that begin long before those of interest.

        Parameters
        ----------
        bars : Bars
            The symbols and the interval must be those that were fitted.
        marks : dict of str to ndarray, shape (n_bars, n_symbols), optional
            Those that were fitted, if any were passed.

        Raises
        ------
        ConfigError
            If it was not fitted.
        DataError
            If symbols, interval or marks are others than those that were fitted.
        """
        check_type("bars", bars, Bars, "read them with fs.read_bars")
        seen = self._marks(bars, marks)
        state = known_state(bars, self.steps_, self.delay, seen, self.scales_)
        found = {}
        for rung, (names, model) in self.models_.items():
            values = np.full((*bars.shape, len(self.steps_)), np.nan)
            values[state.row, state.symbol] = self._of(_columns(state, names), model)
            found[rung] = values
        return found

    def _marks(self, bars: Bars, marks: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """The marks that were fitted, of other bars."""
        if not self.symbols_:
            raise ConfigError("the forecast is not fitted; call fit(bars) first")
        if bars.symbols != self.symbols_ or bars.interval != self.interval_:
            raise DataError(
                f"the forecast was fitted on {few(self.symbols_, 3)} in bars of {format_duration(self.interval_)}, got "
                f"{few(bars.symbols, 3)} in bars of {format_duration(bars.interval)}"
            )
        given = {"volume": bars.close * bars.volume} if marks is None and self.with_volume_ else _fitting(marks or {}, bars)
        missing = [name for name in self.scales_.marks if name not in given]
        if missing:
            raise DataError(f"the forecast was fitted with the marks {few(self.scales_.marks)}, it lacks {few(missing)}")
        return {name: given[name] for name in self.scales_.marks}

    def _of(self, columns: np.ndarray, model: np.ndarray) -> np.ndarray:
        return np.maximum(np.exp(predict_nb(columns, model)) - FLOOR * np.array(self.steps_), 0.0) / self.usual_

    def _facts(self) -> Iterator[str]:
        yield few([str(horizon) for horizon in self.horizons])
        yield symbols_fact(self.symbols_) if self.symbols_ else "not fitted"


def _fitting(marks: Mapping[str, np.ndarray], bars: Bars) -> dict[str, np.ndarray]:
    found = {name: np.asarray(values, dtype=np.float64) for name, values in marks.items()}
    for name, values in found.items():
        if values.shape != bars.shape:
            raise DataError(f"marks must have the shape of the bars, {bars.shape}, got {values.shape} for {name}")
    return found


def _columns(state: State, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([state.inputs[name] for name in names])


def _line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A ridge regression: mean, spread and coefficients of each input, and in the last row the constants; (1 + p, 2 + n_horizons).

    The constants hold the log of the mean of what is left in units of activity, so that the forecast is a mean and no median.
    """
    from sklearn.linear_model import Ridge

    mean, spread = x.mean(axis=0), x.std(axis=0)
    # An input that does not vary has no part in the forecast, even where it varies later.
    spread = np.where(spread > FLAT, spread + 1e-12, np.inf)
    line = Ridge(RIDGE).fit((x - mean) / spread, y)
    rest = y - line.predict((x - mean) / spread).reshape(y.shape)
    constant = np.asarray(line.intercept_) + np.log(np.exp(rest).mean(axis=0))
    coefficients = np.asarray(line.coef_).reshape(y.shape[1], -1).T
    return np.vstack([np.column_stack([mean, spread, coefficients]), np.concatenate([[0.0, 1.0], constant])])


@njit(cache=True, nogil=True)
def predict_nb(x, model):
    """Forecasts of each line, (n, n_horizons), summed in the order of the inputs, so that a line alone has the same bits."""
    n, p = x.shape
    n_horizons = model.shape[1] - 2
    out = np.empty((n, n_horizons))
    for i in range(n):
        for h in range(n_horizons):
            total = model[p, 2 + h]
            for j in range(p):
                total += (x[i, j] - model[j, 0]) / model[j, 1] * model[j, 2 + h]
            out[i, h] = total
    return out

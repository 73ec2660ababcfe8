"""The decisive test: alerts on the data compared with alerts of the same detectors on surrogate histories."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from foreshock.data.bars import Bars
from foreshock.data.checks import check_shape, check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in
from foreshock.data.options import check_options
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown
from foreshock.data.system.parents import end_with_parent, parallel
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores, Signals, Threshold
from foreshock.engine.validation.evidence.event_regression import EventEffect, EventRegression
from foreshock.engine.validation.judging import MIN_SURROGATES, Judging
from foreshock.engine.validation.moves.moves import moves_after
from foreshock.engine.validation.selection.multiple import romano_wolf
from foreshock.engine.validation.surrogates.histories import Surrogates

# Surrogates per task; number of cells (bars, detectors, surrogates) above which processes are worth their start.
RUN, WORTH_PROCESSES = 4, 2e8
# Minimum share of surrogates with a t; otherwise only those with many alerts would decide.
LEAST_USABLE = 0.8


@door
@dataclass(frozen=True, repr=False)
class SurrogateTest(Shown):
    """Result for every detector and horizon on the same surrogate histories.

    Parameters
    ----------
    detectors, horizons : tuple of str
        Names of the rows and columns of the arrays below.
    effect, t : ndarray, shape (n_detectors, n_horizons)
        Effect and t of the data; see ``EventEffect``.
    n_events : ndarray of int, shape (n_detectors,)
        Alerts of the data with a known move and known controls.
    drawn_effect, drawn : ndarray, shape (n_surrogates, n_detectors, n_horizons)
        Effect and t of the surrogates; NaN where too few alerts are left.
    p : ndarray, shape (n_detectors, n_horizons)
        (1 + surrogates with at least the t of the data) / (1 + surrogates): how often volatility alone does as well.
    q : ndarray, shape (n_detectors, n_horizons)
        p adjusted for all detectors and horizons at once: the probability of any false finding is at most q; see ``step_down``.
    family : tuple of str
        Volatility model of each symbol.
    notes : tuple of str
        Notes on the fit of the volatility models.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> def size(features):
    ...     return fs.Scores(features.time, features.symbols, np.abs(features.values[:, :, 0]), features.interval)
    >>> def make(history):
    ...     return fs.ohlcv_features(history, ["return_zscore_24"])
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=500).bars
    >>> zscore = fs.Rescorer(size, fs.Fixed(2.0))
    >>> found = fs.surrogate_test(
    ...     fs.fit_surrogates(bars, "garch"),
    ...     {"zscore": zscore.signals(make(bars))},
    ...     {"zscore": zscore},
    ...     make,
    ...     ["6h"],
    ...     cooldown="6h",
    ...     n_surrogates=19,
    ... )
    >>> found
    SurrogateTest(zscore at 6h, 19 surrogates, smallest q 0.05)
    """

    detectors: tuple[str, ...]
    horizons: tuple[str, ...]
    effect: np.ndarray
    t: np.ndarray
    n_events: np.ndarray
    drawn_effect: np.ndarray
    drawn: np.ndarray
    p: np.ndarray
    q: np.ndarray
    family: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def n_surrogates(self) -> int:
        return len(self.drawn)

    @property
    def n_above(self) -> np.ndarray:
        """Number of surrogates with at least the t of the data, shape (n_detectors, n_horizons)."""
        return (np.nan_to_num(self.drawn, nan=-np.inf) >= self.t).sum(axis=0)

    @property
    def n_usable(self) -> np.ndarray:
        """Number of surrogates that have a t, shape (n_detectors, n_horizons)."""
        return (~np.isnan(self.drawn)).sum(axis=0)

    @property
    def excess(self) -> np.ndarray:
        """Effect beyond that of the surrogates, shape (n_detectors, n_horizons): the part that volatility does not explain."""
        return self.effect - _nan_mean(self.drawn_effect)

    @property
    def excess_ci(self) -> tuple[np.ndarray, np.ndarray]:
        """95 % interval of ``excess``, from the spread of the effects of the surrogates."""
        with _all_unknown_allowed():
            low, high = np.nanquantile(self.drawn_effect, [0.025, 0.975], axis=0)
        return self.effect - high, self.effect - low

    def by_horizon(self, detector: str, values: np.ndarray) -> dict[str, float]:
        """The row of one detector in ``p``, ``q``, ``t`` or ``effect``, by horizon."""
        if not isinstance(detector, str) or detector not in self.detectors:
            raise ConfigError(f"no such detector: {shown(detector)}; expected one of {few(self.detectors)}")
        check_shape("values", values, self.p.shape)
        return dict(zip(self.horizons, map(float, values[self.detectors.index(detector)]), strict=True))

    def _facts(self) -> Iterator[str]:
        yield f"{few(self.detectors, 3)} at {few(self.horizons, 4)}"
        yield counted(self.n_surrogates, "surrogate")
        known = self.q[~np.isnan(self.q)]
        yield f"smallest q {known.min():.3g}" if known.size else "no q is known"

    def _preview(self) -> pd.DataFrame:
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """``effect``, ``t``, ``n_events``, ``p`` and ``q`` by ``detector`` and ``horizon``."""
        index = pd.MultiIndex.from_product([self.detectors, self.horizons], names=["detector", "horizon"])
        columns = {name: getattr(self, name).ravel() for name in ("effect", "t", "p", "q")}
        frame = pd.DataFrame(columns, index)
        frame.insert(2, "n_events", np.repeat(self.n_events, len(self.horizons)))
        return frame


@door
@dataclass(frozen=True, repr=False)
class Rescorer(Shown):
    """A fitted detector, ready to score another history.

    Parameters
    ----------
    score : callable
        Takes ``Features`` and returns ``Scores``, from models fitted on the data.
    threshold : Threshold
        Turns scores into alerts, separately on each history.
    within : ndarray of bool, shape (n_rows, n_symbols), optional
        Where it decides; by default everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> def size(features):
    ...     return fs.Scores(features.time, features.symbols, np.abs(features.values[:, :, 0]), features.interval)
    >>> def make(history):
    ...     return fs.ohlcv_features(history, ["return_zscore_24"])
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=500).bars
    >>> zscore = fs.Rescorer(size, fs.Fixed(2.0))
    >>> zscore.signals(make(bars))
    Signals(BTC/USDT, 500 rows of 1h, 2022-01-01 to 2022-01-21, 25 alerts, 5.25% of decided rows)
    """

    score: Callable[[Features], Scores]
    threshold: Threshold
    within: np.ndarray | None = None

    def signals(self, features: Features) -> Signals:
        check_type("features", features, Features, "make them with fs.ohlcv_features")
        return self.score(features).signals(self.threshold).where(self.within)


class SurrogateOptions(TypedDict, total=False):
    """Rare keywords of ``surrogate_test``."""

    n_jobs: int
    on_step: Callable[[], None] | None


# The number of surrogates has a least of its own.
@door(n_surrogates=ANYTHING)
def surrogate_test(
    surrogates: Surrogates,
    signals: Mapping[str, Signals],
    rescorers: Mapping[str, Rescorer],
    make_features: Callable[[Bars], Features],
    horizons: Sequence[Duration],
    *,
    delay: int = 1,
    cooldown: Duration,
    first: int = 0,
    n_surrogates: int = 199,
    seed: int = 0,
    **options: Unpack[SurrogateOptions],
) -> SurrogateTest:
    """Test whether the moves after alerts exceed what volatility explains.

    Surrogate histories have the volatility of the data and no further information (``fit_surrogates``). The detectors, as fitted on
    the data, score each of them, and thresholds are determined from those scores in the same way as for the data. The t of
    ``EventRegression`` is computed in the same way for the data and for every surrogate; the forecast among its controls comes from
    the model fitted to the data. A detector that only echoes volatility has the same t in both.

    Parameters
    ----------
    surrogates : Surrogates
        Result of ``fit_surrogates`` for the data.
    signals : dict of str to Signals
        Alerts on the data, by detector.
    rescorers : dict of str to Rescorer
        The same detectors, to score the surrogates.
    make_features : callable
        Takes ``Bars`` and returns ``Features``.
    horizons : sequence of str
        Lengths of the moves after an alert, such as ``"6h"``.
    delay : int
        Bars from signal to entry, at least 1.
    cooldown : str
        After an event, alerts of the same symbol within this time are not events.
    first : int
        First row that is judged.
    n_surrogates : int
        Surrogate histories, at least 19; 199 resolve a p of .005.
    seed : int
        Seed; surrogate k is drawn from seed and k, so results do not depend on the number of jobs.
    n_jobs : int, default 1
        Surrogates processed at a time, -1 for the number of cores: in threads for small histories, in processes for large ones,
        unless ``joblib.parallel_config`` says otherwise.
    on_step : callable, optional
        Called after each surrogate.

    Raises
    ------
    ConfigError
        If there are too few surrogates, no detectors or horizons, signals and rescorers have different detectors, or an argument is
        of the wrong type.
    TypeError
        If a keyword is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> def size(features):
    ...     return fs.Scores(features.time, features.symbols, np.abs(features.values[:, :, 0]), features.interval)
    >>> def make(history):
    ...     return fs.ohlcv_features(history, ["return_zscore_24"])
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=500).bars
    >>> zscore = fs.Rescorer(size, fs.Fixed(2.0))
    >>> found = fs.surrogate_test(
    ...     fs.fit_surrogates(bars, "garch"),
    ...     {"zscore": zscore.signals(make(bars))},
    ...     {"zscore": zscore},
    ...     make,
    ...     ["6h"],
    ...     cooldown="6h",
    ...     n_surrogates=19,
    ... )
    >>> found.to_frame()[["effect", "n_events", "p"]].round(2)
                      effect  n_events     p
    detector horizon
    zscore   6h         0.42        13  0.05
    """
    check_options(surrogate_test, options, SurrogateOptions)
    check_type("signals", signals, Mapping, "the signals of each detector, by its name")
    check_type("surrogates", surrogates, Surrogates, "fit them with fs.fit_surrogates")
    check_whole("n_surrogates", n_surrogates, MIN_SURROGATES, " for a p of 5 %", "199 is usual")
    setting = Judging(horizons, cooldown, delay, first, n_surrogates=n_surrogates, seed=seed)
    return run_surrogate_test(
        surrogates, signals, rescorers, make_features, setting, options.get("n_jobs", 1), options.get("on_step")
    )


# BLAS uses one thread throughout, because sums must not depend on how many surrogates run at a time.
@with_one_blas_thread
def run_surrogate_test(
    surrogates: Surrogates,
    signals: Mapping[str, Signals],
    rescorers: Mapping[str, Rescorer],
    make_features: Callable[[Bars], Features],
    setting: Judging,
    n_jobs: int = 1,
    on_step: Callable[[], None] | None = None,
) -> SurrogateTest:
    """``surrogate_test`` with its settings in one object; ``n_bootstrap`` and ``family`` are not used."""
    n_surrogates = setting.n_surrogates
    if n_jobs == 0:
        raise ConfigError("n_jobs must not be 0; pass 1, or -1 for as many as there are cores")
    if not signals or set(signals) != set(rescorers):
        got = f"{few(signals) or 'none'} and {few(rescorers) or 'none'}"
        raise ConfigError(f"signals and rescorers must have the same detectors, at least one, got {got}; pass both for each")
    # Draws come in the order of the rescorers and observations in that of the signals, so both get the same order.
    rescorers = {label: rescorers[label] for label in signals}
    from joblib import delayed

    bars = surrogates.bars
    observed = _effects(bars, surrogates, signals, setting)
    # joblib's return type is a union of all modes; Any here.
    size = bars.close.size * len(signals) * n_surrogates
    prefer = "processes" if size > WORTH_PROCESSES else "threads"
    runs = [range(k, min(k + RUN, n_surrogates)) for k in range(0, n_surrogates, RUN)]
    results: Any = parallel(n_jobs, prefer=prefer, return_as="generator_unordered")(
        delayed(_some_surrogates)(run, surrogates, rescorers, make_features, setting) for run in runs
    )
    drawn = np.full((2, n_surrogates, len(signals), len(setting.horizons)), np.nan)
    for run, found in results:
        drawn[:, run] = found
        for _ in run:
            if on_step is not None:
                on_step()
    t = np.array([found.t for found in observed.values()])
    return SurrogateTest(
        detectors=tuple(signals),
        horizons=tuple(map(str, setting.horizons)),
        effect=np.array([found.effect for found in observed.values()]),
        t=t,
        n_events=np.array([found.n_events for found in observed.values()]),
        drawn_effect=drawn[0],
        drawn=drawn[1],
        p=surrogate_p(t, drawn[1]),
        q=step_down(t, drawn[1]),
        family=surrogates.family,
        notes=surrogates.notes,
    )


def _some_surrogates(
    run: range,
    surrogates: Surrogates,
    rescorers: Mapping[str, Rescorer],
    make_features: Callable[[Bars], Features],
    setting: Judging,
) -> tuple[range, np.ndarray]:
    """Effect and t, (2, n_run, n_detectors, n_horizons), of each surrogate in a run."""
    end_with_parent()
    out = []
    with threadpool_limits(limits=1):
        for k in run:
            bars = surrogates.draw(int(np.random.SeedSequence([setting.seed, k]).generate_state(1, np.uint64)[0]))
            features = make_features(bars)
            signals = {label: rescorer.signals(features) for label, rescorer in rescorers.items()}
            found = _effects(bars, surrogates, signals, setting).values()
            out.append([[one.effect for one in found], [one.t for one in found]])
    return run, np.moveaxis(np.array(out), 0, 1)


def _effects(bars: Bars, surrogates: Surrogates, signals: Mapping[str, Signals], setting: Judging) -> dict[str, EventEffect]:
    gap = bars_in(setting.cooldown, bars.interval, "cooldown")
    moves = [moves_after(bars, bars_in(horizon, bars.interval, "horizon"), setting.delay) for horizon in setting.horizons]
    regression = EventRegression(bars, surrogates.forecast(bars), moves, gap, setting.first)
    return {label: regression.effect(found.active, found.decided) for label, found in signals.items()}


def surrogate_p(t: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """One-sided p of each t among its surrogates (first axis); NaN where t, or more than a fifth of the surrogates, is unknown."""
    usable = ~np.isnan(drawn)
    n = usable.sum(axis=0)
    above = (usable & (np.nan_to_num(drawn, nan=-np.inf) >= t)).sum(axis=0)
    return np.where(np.isnan(t) | (n < LEAST_USABLE * len(drawn)), np.nan, (1 + above) / (1 + n))


def step_down(t: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """p of each t adjusted for all tests by ``romano_wolf``; NaN where p is NaN, and nowhere below p.

    Each test is standardised by the mean and standard deviation of its surrogates, so that no test dominates by its wide null.
    The data count among the draws behind that mean and standard deviation: otherwise only the data would be measured by values
    they did not contribute to, and would be rejected too often.
    """
    flat = drawn.reshape(len(drawn), -1)
    pooled = np.vstack([t.reshape(1, -1), flat])
    mean = _nan_mean(pooled)
    with _all_unknown_allowed():
        spread = np.nanstd(pooled, axis=0)
    p = surrogate_p(t, drawn).ravel()
    z = np.where(np.isnan(p) | ~(spread > 0), np.nan, t.ravel() - mean)
    scale = np.where(spread > 0, spread, 1.0)
    # romano_wolf counts a surrogate without a t as not exceeding, but p leaves it out.
    return np.maximum(romano_wolf(z / scale, (flat - mean) / scale).p_values, p).reshape(t.shape)


def _nan_mean(drawn: np.ndarray) -> np.ndarray:
    with _all_unknown_allowed():
        return np.nanmean(drawn, axis=0)


@contextmanager
def _all_unknown_allowed() -> Iterator[None]:
    """Suppress the warning for a test without any surrogate t: its mean is NaN and so is its p."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield

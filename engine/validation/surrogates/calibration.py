"""Reliability of a verdict: size and power of the surrogate test, measured on simulated histories."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.data.system.parents import parallel
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.scores import Scores, thin
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.thresholds.quantiles import Fixed
from foreshock.engine.validation.evidence.inference import welch_p
from foreshock.engine.validation.moves.moves import moves_after
from foreshock.engine.validation.surrogates.histories import fit_surrogates
from foreshock.engine.validation.surrogates.significance import Rescorer, surrogate_test
from foreshock.engine.volatility import Garch, StochasticVolatility

TABLE = Path(__file__).with_name("calibration.json")
LEVEL = 0.05
BURN_IN = 500
# Approximate values for hourly bitcoin from 2020 to 2024, whose fitted persistence of .998 is slightly higher.
HOURLY_VARIANCE, SHOCK_DF = 5e-5, 5.0
REACH = 0.35
# Feature that each detector of the calibration uses.
WATCHED = {"returns": "return_zscore_100", "volume": "volume_zscore_100"}
FIRST = np.datetime64("2024-01-01", "us")


def _model(alpha: float, gamma: float, beta: float) -> Garch:
    omega = HOURLY_VARIANCE * (1 - alpha - gamma / 2 - beta)
    # The filtered variance of 1 puts the limit of simulated variances out of reach; it is meant for fitted models.
    return Garch(omega, alpha, gamma, beta, SHOCK_DF, HOURLY_VARIANCE, 0.0, np.array([HOURLY_VARIANCE, 1.0]))


NULLS: dict[str, Garch | StochasticVolatility] = {
    "garch": _model(0.08, 0.0, 0.914),
    "gjr": _model(0.05, 0.06, 0.914),
    "sv": StochasticVolatility(
        float(np.log(HOURLY_VARIANCE)), 0.988, 0.17, 1e-9, 0.0, np.array([HOURLY_VARIANCE]), np.array([HOURLY_VARIANCE])
    ),
}


@dataclass(frozen=True)
class Planted:
    """A simulated history, and the effect that follows its alerts.

    Parameters
    ----------
    n_bars : int
        Length of the history in hourly bars.
    null : str
        Law of volatility: ``garch``, ``gjr`` (both with Student-t shocks) or ``sv``.
    effect : float
        Factor by which returns of the ``horizon`` bars after an event exceed those of the law; at 1 alerts have no information.
    horizon : int
        Length of the effect in bars; also the cool-down.
    watches : str
        ``returns``, a z-score of the last return, or ``volume``, a z-score of the last volume, which follows the volatility of the
        bar and therefore reveals more of it than returns do.
    """

    n_bars: int = 2_500
    null: str = "gjr"
    effect: float = 1.0
    horizon: int = 24
    watches: str = "returns"


@dataclass(frozen=True)
class Calibration:
    """Share of simulated histories in which the surrogate test, and the naive test, find information at 5 %.

    Where nothing is planted, ``found`` is the size of the test; otherwise its power. ``interval`` is Wilson's 95 %.
    """

    planted: Planted
    n_histories: int
    n_surrogates: int
    n_events: float
    found: float
    interval: tuple[float, float]
    found_naive: float
    p_values: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Measured:
    """One setting of the calibration that comes with the package; ``tests/studies/verdict_calibration.py`` writes it."""

    null: str
    watches: str
    effect: float
    n_bars: int
    horizon: int
    n_events: float
    n_histories: int
    n_surrogates: int
    found: float
    low: float
    high: float
    found_naive: float

    @classmethod
    def of(cls, run: Calibration) -> Self:
        planted, (low, high) = run.planted, run.interval
        return cls(
            planted.null, planted.watches, planted.effect, planted.n_bars, planted.horizon, run.n_events, run.n_histories,
            run.n_surrogates, run.found, low, high, run.found_naive,
        )  # fmt: skip


def measured() -> list[Measured]:
    """Size and power of the surrogate test as measured for this version, one entry per setting."""
    return [Measured(**row) for row in json.loads(TABLE.read_text(encoding="utf-8"))]


class ZScoreAlerts:
    """Scores of a simple detector: the z-score of the last bar in a window of 100; its absolute value for returns."""

    def __init__(self, watches: str) -> None:
        if watches not in WATCHED:
            raise ConfigError(f"unknown detector of {shown(watches)}; expected one of {', '.join(WATCHED)}")
        self.watches = watches

    def __call__(self, features: Features) -> Scores:
        score = features.column(WATCHED[self.watches])
        return Scores(features.time, features.symbols, np.abs(score) if self.watches == "returns" else score, features.interval)


def simulate_history(planted: Planted, seed: int, threshold: float = 2.5) -> Bars:
    """One symbol of hourly bars by a law of volatility; after a z-score alert, returns are scaled by the planted effect.

    The effect scales returns after they are simulated. The recursion of the law does not see it, so the effect is not volatility
    that could be forecast from earlier bars.

    Raises
    ------
    ConfigError
        If the law is unknown.
    """
    if planted.null not in NULLS:
        raise ConfigError(f"unknown law of volatility {shown(planted.null)}; expected one of {', '.join(NULLS)}")
    rng = np.random.default_rng([seed, planted.n_bars])
    n = planted.n_bars + BURN_IN
    shocks = rng.standard_t(SHOCK_DF, n) * np.sqrt((SHOCK_DF - 2) / SHOCK_DF)
    if planted.null == "sv":
        shocks = rng.standard_normal(n)
    returns, deviation = (x[BURN_IN:] for x in NULLS[planted.null].simulate(shocks, 0, rng))
    scale = np.ones(len(returns))
    if planted.effect != 1:
        returns = returns.copy()
        for t in range(100, len(returns)):
            returns[t] *= scale[t]
            window = returns[t - 99 : t + 1]
            if scale[t] == 1 and abs(returns[t] - window.mean()) > threshold * window.std(ddof=1):
                scale[t + 1 : t + 1 + planted.horizon] = planted.effect
    close = np.log(100.0) + np.cumsum(returns)
    opened = np.concatenate([close[:1], close[:-1]])
    reach = rng.standard_exponential((2, len(close))) * REACH * deviation * scale
    high, low = np.maximum(opened, close) + reach[0], np.minimum(opened, close) - reach[1]
    volume = rng.lognormal(0, 0.3, len(close)) * deviation / deviation.mean()
    columns = (np.exp(opened), np.exp(high), np.exp(low), np.exp(close), volume)
    time = FIRST + np.arange(len(close)) * np.timedelta64(1, "h")
    return Bars(time, ("SIM",), *(column[:, None] for column in columns), interval=np.timedelta64(1, "h"))


def calibrate(
    planted: Planted,
    n_histories: int = 200,
    n_surrogates: int = 99,
    family: str = "best",
    seed: int = 0,
    on_step: Callable[[], None] | None = None,
    n_jobs: int = 1,
) -> Calibration:
    """Run the surrogate test on simulated histories with a z-score detector, and count what it finds at 5 %.

    Parameters
    ----------
    planted : Planted
        What is simulated.
    n_histories, n_surrogates : int
        Simulated histories, and surrogate histories for each.
    family : str
        Volatility model of the surrogates; see ``fit_surrogates``. It does not know the simulated law.
    seed : int
        Seed of the histories and surrogates.
    on_step : callable, optional
        Called after each history.
    n_jobs : int
        Number of processes.
    """
    from joblib import delayed

    found: list[tuple[float, float, int]] = []
    # joblib's return type is a union of all modes; Any here.
    results: Any = parallel(n_jobs, return_as="generator_unordered")(
        delayed(_one_history)(planted, n_surrogates, family, seed, k) for k in range(n_histories)
    )
    for one in results:
        found.append(one)
        if on_step is not None:
            on_step()
    p, naive, events = np.array(sorted(found)).T
    hits = int((p <= LEVEL).sum())
    return Calibration(
        planted, n_histories, n_surrogates, float(events.mean()), hits / n_histories, wilson(hits, n_histories),
        float((naive < LEVEL).mean()), p,
    )  # fmt: skip


def _one_history(planted: Planted, n_surrogates: int, family: str, seed: int, k: int) -> tuple[float, float, int]:
    """p of the surrogate test, p of the naive test, and the number of events."""
    bars = simulate_history(planted, 1_000_003 * seed + k)
    rescorer = Rescorer(ZScoreAlerts(planted.watches), Fixed(2.5))
    signals = rescorer.signals(_features(bars))
    horizon = f"{planted.horizon}h"
    test = surrogate_test(
        fit_surrogates(bars, family), {"zscore": signals}, {"zscore": rescorer}, _features, [horizon],
        cooldown=horizon, n_surrogates=n_surrogates, seed=seed + k,
    )  # fmt: skip
    # The naive test uses the same measure as the surrogate test: the sum of absolute returns.
    moves = moves_after(bars, planted.horizon).path
    known = ~np.isnan(moves)
    naive = welch_p(moves[signals.active & known], moves[signals.decided & ~signals.active & known])
    return float(test.p[0, 0]), naive, int(thin(signals.active, planted.horizon).sum())


def _features(bars: Bars) -> Features:
    return ohlcv_features(bars, tuple(WATCHED.values()))

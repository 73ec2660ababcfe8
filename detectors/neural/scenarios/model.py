"""Generative models of windows of returns of several assets, and scenarios drawn from them, with or without stress."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from foreshock.data.bars import Bars
from foreshock.data.checks import (
    check_array,
    check_function,
    check_number,
    check_path,
    check_shape,
    check_span,
    check_texts,
    check_type,
)
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import at_least as whole_from
from foreshock.data.doors.kinds import count_of
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Instant, format_duration, parse_duration
from foreshock.data.show.facts import Shown, counted, symbols_fact
from foreshock.data.show.shown import few, one_line, shown
from foreshock.detectors.neural.parameters import ParametersOfBases
from foreshock.detectors.neural.scenarios.as_bars import bars_of_paths
from foreshock.detectors.neural.trainer import TrainingData, as_tensor, one_thread, pick_device
from foreshock.detectors.neural.windows import Windows
from foreshock.detectors.saved import write_saved
from foreshock.detectors.shown_parameters import ShownParameters

MIN_WINDOWS = 200
VOLATILITY_REGIMES = ("calm", "normal", "high volatility")
# Regimes are classes of the volatility over this many windows before the path, divided at these quantiles of the training rows.
REGIME_SPANS, REGIME_QUANTILES = 7, (0.4, 0.8)
# Stressed paths are resampled from this many candidates per path; their effective number must be at least this share of them.
CANDIDATES, LEAST_EFFECTIVE = 10, 0.1
MOST_STRESS = 20.0
OnEpoch = Callable[[int, float, float], None]


@door
@dataclass(frozen=True, repr=False)
class Scenarios(Shown):
    """Generated paths of returns.

    Parameters
    ----------
    paths : ndarray, shape (n_paths, n_steps, n_symbols)
        Log return of each bar; never NaN.
    symbols : tuple of str
        Names of the last axis of ``paths``.
    interval : timedelta64[us]
        Length of a bar.
    model : str
        Name of the model.
    stress : float
        Ratio of the root mean squared volatility to that of the model's unstressed law; 1 is no stress.
    tilt : float
        Exponent of the path's volatility in the weight by which paths were chosen; 0 without stress.
    scale : float
        Factor by which every return was multiplied after that; 1 without stress.
    regime : str or None
        Regime before the paths; None if none was requested.
    seed : int
        Seed of the paths.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> scenarios = fs.generate_scenarios(fs.load_scenario_model(), 100, stress=2.0)
    >>> scenarios.paths.shape
    (100, 24, 4)
    >>> scenarios.portfolio_returns(np.full(4, 0.25)).shape
    (100,)
    """

    paths: np.ndarray
    symbols: tuple[str, ...]
    interval: np.timedelta64
    model: str
    stress: float
    tilt: float
    scale: float
    regime: str | None
    seed: int

    def portfolio_returns(self, weights: np.ndarray) -> np.ndarray:
        """Simple return of each path, shape (n_paths,), for weights bought at its start and held.

        The return is ``sum_i w_i (exp(sum_t r_ti) - 1)``. ``weights`` are fractions of the equity, one for each symbol.
        """
        check_array("weights", weights)
        return held_returns(self.paths, weights)

    def to_bars(self, start: Instant = "2000-01-01", price: float = 100.0, volume: float = 1.0) -> Bars:
        """The paths one after another as bars, in which detectors and strategies can be tried.

        A bar opens at the close before and has no wicks, because a model knows returns from close to close alone. Every bar has the
        same ``volume``, so that features of volume say nothing.

        Examples
        --------
        >>> import foreshock as fs
        >>> scenarios = fs.generate_scenarios(fs.load_scenario_model(), 100, stress=2.0)
        >>> bars = scenarios.to_bars()
        >>> bars.shape, bool(np.allclose(bars.returns()[1:24], scenarios.paths[0, 1:]))
        ((2400, 4), True)
        """
        check_number("price", price)
        check_number("volume", volume)
        return bars_of_paths(self.paths, self.symbols, self.interval, start, price, volume)

    def _facts(self) -> Iterator[str]:
        n_paths, n_steps, _ = self.paths.shape
        yield self.model
        yield f"{counted(n_paths, 'path')} of {counted(n_steps, 'step')} of {format_duration(self.interval)}"
        yield symbols_fact(self.symbols)
        yield f"stress {self.stress:.3g}"
        if self.regime is not None:
            yield one_line(self.regime, 40)

    def to_frame(self) -> pd.DataFrame:
        """Log return over the whole path: one row per path (``path``, from 0), one column per symbol."""
        return pd.DataFrame(self.paths.sum(axis=1), pd.RangeIndex(len(self.paths), name="path"), list(self.symbols))


class ScenarioModel(ShownParameters, ParametersOfBases):
    """Base of the generators of return windows.

    Returns are logs, close to close, in units of each asset's median absolute return over 0.6745. Every window of ``n_steps``
    bars in which all returns of all assets are known is a training window; an unknown return is never filled. The last 15 % of
    the windows are for validation, which decides when training stops.

    Parameters
    ----------
    n_steps : int
        Number of bars of a path, at least 8.
    latent : int
        Number of values of the code, at least 1.
    hidden : int
        Width of the layers, at least 4.
    epochs : int
        Largest number of epochs.
    batch_size : int
        Largest number of windows in a batch, at least 2.
    learning_rate : float
        Learning rate at the start.
    max_windows : int
        Largest number of training windows; if there are more, this many are used, evenly spread.
    seed : int
        Seed of weights, batches and noise.
    device : {"auto", "cpu", "cuda"}
        Where to train; ``"auto"`` uses the GPU if there is one. Paths are drawn on the CPU, so that they depend on the seed alone.
    """

    name: ClassVar[str]
    conditional: ClassVar[bool] = False
    learned: ClassVar[tuple[str, ...]] = ("symbols_", "interval_", "scale_", "limits_", "weights_", "codes_", "trained_")
    symbols_: tuple[str, ...]
    weights_: dict[str, np.ndarray]

    def __init__(
        self,
        *,
        n_steps: int = 24,
        latent: int = 8,
        hidden: int = 48,
        epochs: int = 30,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        max_windows: int = 8_000,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.n_steps = n_steps
        self.latent = latent
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_windows = max_windows
        self.seed = seed
        self.device = device

    @door
    def fit(self, bars: Bars, *, on_epoch: OnEpoch | None = None) -> Self:
        """Learn from the returns of all bars; see ``fit_returns``."""
        if on_epoch is not None:
            check_function("on_epoch", on_epoch)
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        return self.fit_returns(bars.returns(), bars.symbols, bars.interval, on_epoch=on_epoch)

    @door
    def fit_returns(
        self, returns: np.ndarray, symbols: tuple[str, ...], interval: np.timedelta64, *, on_epoch: OnEpoch | None = None
    ) -> Self:
        """Learn from log returns, shape (n_rows, n_assets); NaN is unknown. Set rows to NaN to hold them out.

        Raises
        ------
        ConfigError
            If a parameter is out of range, or training fails.
        DataError
            If there are fewer than 200 complete windows, an asset has no known return, or it does not move in most bars.
        """
        check_span("interval", interval)
        if on_epoch is not None:
            check_function("on_epoch", on_epoch)
        check_texts("symbols", symbols)
        check_array("returns", returns)
        check_shape("returns", returns, (len(returns), len(symbols)))
        if np.isinf(returns).any():
            raise DataError("returns must be finite, or NaN where not known, got an infinite one; fix the prices")
        self._check()
        n_known = np.logical_not(np.isnan(returns)).sum(axis=0)
        never = [name for name, n in zip(symbols, n_known, strict=True) if n == 0]
        if never:
            raise DataError(f"no return of {few(never)} is known; leave it out")
        scale = np.nanmedian(np.abs(returns), axis=0) / 0.6745
        if not (scale > 0).all():
            raise DataError(f"{symbols[int(np.argmin(scale))]} does not move in most bars; leave it out")
        self.symbols_, self.interval_, self.scale_ = tuple(symbols), format_duration(interval), scale
        unit = returns / scale
        context = self._learn_regimes(unit)
        windows = Windows.of(unit[:, None], self.n_steps, context).evenly(self.max_windows)
        if len(windows) < MIN_WINDOWS:
            fewest = symbols[int(np.argmin(n_known))]
            raise DataError(
                f"{self.name} needs {MIN_WINDOWS} windows of {self.n_steps} bars with every return of every asset known, got "
                f"{len(windows)} from {len(returns)} rows; {fewest} has the fewest known returns: leave it out, or pass more bars"
            )
        device = pick_device(self.device)
        parts = [as_tensor(part, device) for half in windows.split(0.15) for part in half.gather()]
        with one_thread():
            net, self.trained_ = self._train(TrainingData(*parts), on_epoch)
            x, state = (as_tensor(part, device) for part in windows.gather())
            with torch.no_grad():
                self.codes_ = {key: part.float().cpu().numpy() for key, part in self._learn_codes(net, x, state).items()}
        self.weights_ = {name: value.float().cpu().numpy() for name, value in net.state_dict().items()}
        return self

    @door(n=count_of(1), seed=whole_from(0))
    def sample(self, n: int, seed: int = 0, regime: str | None = None) -> np.ndarray:
        """Paths of log returns without stress, shape (n, n_steps, n_assets)."""
        if not hasattr(self, "weights_"):
            raise ConfigError(f"{self.name} is not fitted; call fit(bars) before drawing from it")
        if regime is not None and (not self.conditional or regime not in VOLATILITY_REGIMES):
            known = f"one of {', '.join(VOLATILITY_REGIMES)}" if self.conditional else "None, since this model has no regimes"
            raise ConfigError(f"regime of {self.name} must be {known}, got {shown(regime)}")
        generator = torch.Generator().manual_seed(seed)
        net = self._network(len(self.symbols_))
        net.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights_.items()})
        net.eval()
        with one_thread(), torch.no_grad():
            paths = self._draw(net, n, regime, generator).double().numpy() * self.scale_
        # No training data can support a factor of exp(3) in one bar, so larger moves are artefacts of the network.
        return np.clip(paths, -3.0, 3.0)

    def _learn_regimes(self, unit: np.ndarray) -> np.ndarray | None:
        """Indicators of the regime before each window, at the row of its end; None if the model has no regimes."""
        self.limits_ = np.empty(0)
        if not self.conditional:
            return None
        level = trailing_volatility(unit, REGIME_SPANS * self.n_steps)
        level = np.concatenate([np.full(self.n_steps, np.nan), level[: -self.n_steps]])
        if np.isnan(level).all():
            raise DataError(f"{self.name} needs more than {(REGIME_SPANS + 1) * self.n_steps} bars; pass more bars")
        self.limits_ = np.nanquantile(level, REGIME_QUANTILES)
        indicators = np.eye(len(VOLATILITY_REGIMES))[np.searchsorted(self.limits_, np.nan_to_num(level))]
        indicators[np.isnan(level)] = np.nan
        return indicators

    def _check(self) -> None:
        least = {"n_steps": 8, "latent": 1, "hidden": 4, "epochs": 1, "batch_size": 2, "max_windows": MIN_WINDOWS}
        for key, at_least in least.items():
            if getattr(self, key) < at_least:
                raise ConfigError(f"{key} of {self.name} must be at least {at_least}, got {getattr(self, key)}; raise it")
        pick_device(self.device)

    @door
    def save(self, path: str | Path) -> None:
        """Write parameters and weights to one safetensors file; loading it cannot run code."""
        check_path("path", path)
        write_saved(path, self.name, self.get_params(), {name: getattr(self, name) for name in self.learned})

    @property
    def _n_context(self) -> int:
        return len(VOLATILITY_REGIMES) if self.conditional else 0

    @abstractmethod
    def _network(self, n_assets: int) -> nn.Module:
        """A network with initial weights."""

    @abstractmethod
    def _train(self, data: TrainingData, on_epoch: OnEpoch | None) -> tuple[nn.Module, dict[str, float]]:
        """A trained network, and a record of its training."""

    @abstractmethod
    def _learn_codes(self, net: Any, x: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Summary of the training windows from which codes are drawn."""

    @abstractmethod
    def _draw(self, net: Any, n: int, regime: str | None, generator: torch.Generator) -> Tensor:
        """Paths in units of the assets' scales."""


@door(n=count_of(1), seed=whole_from(0))
def generate_scenarios(model: ScenarioModel, n: int, stress: float = 1.0, seed: int = 0, regime: str | None = None) -> Scenarios:
    """Draw paths of returns from a fitted model, ``stress`` times as volatile as the model.

    With P the model's law, ``V(x)`` the root mean squared return of a path (each asset in units of its scale) and s the stress,
    paths are drawn from ``dQ / dP ~ V(x)**tilt`` and multiplied by ``scale``, so that ``E_Q[V^2] scale^2 = s^2 E_P[V^2]``. At
    s = 1, tilt is 0 and scale 1, which is the model's law. As s grows, the tilt grows first, so that the model's own volatile
    paths, with their correlations and clusters, are drawn more often. Once a larger tilt would make the effective number of the
    10 n candidates, ``1 / sum(w^2)``, less than a tenth of them, the scale grows instead.

    Beyond that point more stress only scales: the paths look like the worst that the model knows, but larger. Neither part
    contains crashes unlike any in the training data.

    Parameters
    ----------
    model : ScenarioModel
        A fitted model, such as ``fs.VAEScenarios().fit(bars)`` or ``fs.load_scenario_model()``.
    n : int
        Number of paths. With stress above 1 a path may be drawn more than once.
    stress : float
        Ratio of the volatility of the paths to that of the model, from 1 (the default, no stress) to 20.
    seed : int
        Seed of the paths.
    regime : {"calm", "normal", "high volatility"}, optional
        Regime of the market before the path, for models with regimes. By default regimes come as often as in training.

    Returns
    -------
    Scenarios

    Raises
    ------
    ConfigError
        If n is not positive, stress is out of range, the regime is unknown or the model is not fitted.

    Examples
    --------
    >>> import foreshock as fs
    >>> model = fs.load_scenario_model()
    >>> plain, stressed = fs.generate_scenarios(model, 200), fs.generate_scenarios(model, 200, stress=2.0)
    >>> plain.tilt, plain.scale
    (0.0, 1.0)
    >>> ratio = float((stressed.paths**2).mean() / (plain.paths**2).mean()) ** 0.5
    >>> round(ratio)
    2
    """
    if not 1 <= stress <= MOST_STRESS:
        raise ConfigError(f"stress must lie between 1 (no stress) and {MOST_STRESS:g}, got {stress}")
    tilt, scale = 0.0, 1.0
    if stress == 1:
        paths = model.sample(n, seed, regime)
    else:
        candidates = model.sample(CANDIDATES * n, seed, regime)
        volatility = np.sqrt(((candidates / model.scale_) ** 2).mean(axis=(1, 2)))
        tilt, weights, reached = _tilt(volatility, stress)
        scale = stress / reached
        paths = candidates[_resample(volatility, weights, n, seed)] * scale
    interval = parse_duration(model.interval_)
    return Scenarios(paths, model.symbols_, interval, model.name, float(stress), tilt, scale, regime, seed)


def _tilt(volatility: np.ndarray, stress: float) -> tuple[float, np.ndarray, float]:
    """The largest exponent within the requested stress and the least effective number, its weights, and the stress they reach."""
    base = np.sqrt((volatility**2).mean())

    def weighted(exponent: float) -> tuple[np.ndarray, float]:
        weights = (volatility / volatility.max()) ** exponent
        weights = weights / weights.sum()
        return weights, float(np.sqrt((weights * volatility**2).sum()) / base)

    low, high = 0.0, 16.0
    for _ in range(50):
        middle = (low + high) / 2
        weights, reached = weighted(middle)
        fits = reached <= stress and 1 / (weights**2).sum() >= LEAST_EFFECTIVE * len(volatility)
        low, high = (middle, high) if fits else (low, middle)
    return low, *weighted(low)


def _resample(volatility: np.ndarray, weights: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Positions drawn by weight, systematically in order of volatility, so that more tilt never makes a drawn path calmer."""
    rng = np.random.default_rng(seed)
    order = np.argsort(volatility, kind="stable")
    points = (np.arange(n) + rng.random()) / n
    chosen = np.searchsorted(np.cumsum(weights[order]), points)
    return rng.permutation(order[np.minimum(chosen, len(order) - 1)])


def trailing_volatility(unit: np.ndarray, window: int) -> np.ndarray:
    """Mean absolute return of all assets over the last ``window`` rows, (n_rows,); NaN where fewer than half are known."""
    size = np.abs(unit)
    sums = np.concatenate([[0.0], np.cumsum(np.nansum(size, axis=1))])
    counts = np.concatenate([[0], np.cumsum((~np.isnan(size)).sum(axis=1))])
    stop = np.arange(1, len(unit) + 1)
    start = np.maximum(stop - window, 0)
    known = counts[stop] - counts[start]
    enough = (known >= window * unit.shape[1] / 2) & (stop >= window)
    return np.where(enough, (sums[stop] - sums[start]) / np.maximum(known, 1), np.nan)


def held_returns(paths: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Simple returns of weights that are bought at the start of each path and held, from log returns (n_paths, n_steps, n_assets).

    >>> held_returns(np.log([[[1.1, 0.5], [1.1, 2.0]]]), np.array([0.5, 0.5])).round(6)
    array([0.105])
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (paths.shape[2],) or not np.isfinite(weights).all():
        raise ConfigError(f"weights must be one finite number for each of {paths.shape[2]} assets, got {shown(weights)}")
    return np.expm1(paths.sum(axis=1)) @ weights

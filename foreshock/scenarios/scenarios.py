"""Scenarios of a history: fit a generator, measure the realism of its paths, and compute the stressed risk of a portfolio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_integer, check_mapping, check_text, check_type, check_vector
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import bars_in, format_duration
from foreshock.data.options import check_options
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown
from foreshock.detectors.neural.scenarios.gan import GANScenarios
from foreshock.detectors.neural.scenarios.model import (
    VOLATILITY_REGIMES,
    ScenarioModel,
    Scenarios,
    generate_scenarios,
    held_returns,
)
from foreshock.detectors.neural.scenarios.vae import ConditionalVAEScenarios, VAEScenarios
from foreshock.engine.realism import RealismCard, gaussian_paths, phase_shuffled_paths, realism
from foreshock.engine.realism.card import MIN_PATHS
from foreshock.engine.risk.estimators.value_at_risk import historical_cvar, historical_var

MODELS: dict[str, type[ScenarioModel]] = {cls.name: cls for cls in (VAEScenarios, ConditionalVAEScenarios, GANScenarios)}
# Paths in a held-out block, and the share of blocks held out; training leaves a gap of one path on either side of a block.
BLOCK_PATHS, HELD_SHARE = 14, 1 / 3
LATER_SHARE = 0.3
# Adjacent real paths are dependent: the bootstrap draws runs of this many.
BOOTSTRAP_RUN = 7


@dataclass(frozen=True, repr=False)
class ScenarioStudy(Shown):
    """Result of ``scenario_study``.

    Parameters
    ----------
    model : ScenarioModel
        The generator, fitted without the held-out blocks.
    scenarios : Scenarios
        The stressed scenarios.
    cards : dict of str to RealismCard
        Realism compared with the held-out blocks: of the model, and of the controls ``history`` (the training paths themselves),
        ``gaussian`` and ``phase_shuffled``.
    later : dict of str to RealismCard
        Realism compared with the last 30 % of the history: of the model fitted on the first 70 %, and of ``history``. Empty if
        ``later`` was False or the history is too short.
    risk : DataFrame
        See ``scenario_risk``.
    n_held_out : int
        Number of held-out paths.
    weights : dict of str to float
        Portfolio weight of each symbol.
    seed : int
    paths : dict of str to ndarray, shape (n_paths, n_steps, n_assets)
        Log returns of ``historical`` (every path of the history), ``held out``, the model's ``generated`` ones, and the controls.
    returns : dict of str to ndarray, shape (n_paths,)
        Simple returns of the portfolio over the horizon, by the sources of ``risk``.

    Examples
    --------
    >>> import foreshock as fs
    >>> study = fs.scenario_study(fs.simulate_market(seed=1, n_symbols=2).bars)  # doctest: +SKIP
    >>> study.cards["vae"].n_passed, study.risk  # doctest: +SKIP
    """

    model: ScenarioModel
    scenarios: Scenarios
    cards: dict[str, RealismCard]
    later: dict[str, RealismCard]
    risk: pd.DataFrame
    n_held_out: int
    weights: dict[str, float]
    seed: int
    paths: dict[str, np.ndarray]
    returns: dict[str, np.ndarray]

    def _facts(self) -> Iterator[str]:
        yield type(self.model).__name__
        yield from self.scenarios._facts()
        yield counted(self.n_held_out, "held-out path")
        yield f"weights of {few(self.weights, 3)}"

    def _preview(self) -> pd.DataFrame:
        return self.risk

    def to_frame(self) -> pd.DataFrame:
        """``risk``: see ``fs.scenario_risk``."""
        return self.risk.copy()


class ScenarioOptions(TypedDict, total=False):
    """Rarely used keywords of ``scenario_study``."""

    on_step: Callable[[str], None]


@door
def scenario_study(
    bars: Bars,
    model: str = "vae",
    horizon: str = "24h",
    n: int = 1_000,
    stress: float = 3.0,
    weights: Mapping[str, float] | None = None,
    levels: Sequence[float] = (0.95, 0.99),
    later: bool = True,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    **options: Unpack[ScenarioOptions],
) -> ScenarioStudy:
    """Fit a generator on part of a history, compare its paths with the rest, and compute the stressed risk of a portfolio.

    A third of the history, in blocks of 14 paths drawn over all of it, is held out; the generator never sees them, nor the paths
    next to them. They come from the same years as the training rows, because the question is whether the distribution was learned.
    Whether it holds in *later* years is another question: the second card compares paths fitted on the first 70 % with the last
    30 %, and the training history itself as a control.

    Parameters
    ----------
    bars : Bars
    model : {"vae", "conditional_vae", "gan"}
    horizon : str
        Length of a path, at least 8 bars.
    n : int
        Number of stressed scenarios.
    stress : float
        Volatility of the scenarios as a multiple of the model's; see ``generate_scenarios``.
    weights : dict of str to float, optional
        Portfolio weights by symbol; equal by default. Symbols that are left out have weight 0.
    levels : sequence of float
        Confidence levels of VaR and CVaR, fractions.
    later : bool
        Whether to fit a second time for the card of the last 30 %.
    seed : int
        Seed of the held-out blocks, the model, the scenarios and the bootstrap.
    params : dict, optional
        Further parameters of the model.
    on_step : callable, optional
        Called with the name of each finished step, 6 times with ``later`` and 4 times without.

    Returns
    -------
    ScenarioStudy

    Raises
    ------
    ConfigError
        If an argument is invalid; the message names it.
    DataError
        If the history is too short, or the price of a symbol never changes.
    TypeError
        If a keyword is unknown.

    Examples
    --------
    Fitting takes minutes.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2).bars
    >>> study = fs.scenario_study(bars, "vae", "24h", n=1_000, stress=3.0)  # doctest: +SKIP
    >>> study.risk[["source", "level", "var", "cvar"]]  # doctest: +SKIP
    """
    check_text("model", model)
    if weights is not None:
        check_mapping("weights", weights)
    check_integer("seed", seed)
    check_options(scenario_study, options, ScenarioOptions)
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    on_step = options.get("on_step", lambda _: None)
    if model not in MODELS:
        raise ConfigError(f"no such scenario model: {shown(model)}; expected one of {', '.join(MODELS)}")
    n_steps = bars_in(horizon, bars.interval, "horizon")
    if n_steps < 8:
        raise ConfigError(f"horizon must be at least 8 bars of {format_duration(bars.interval)}, got {horizon}; lengthen it")
    vector = _weights(bars.symbols, weights)
    returns = _common_span(bars)
    train, held = hold_out(returns, n_steps, seed)
    real = cut_paths(held, n_steps)
    if len(real) < MIN_PATHS:
        raise DataError(
            f"realism needs {MIN_PATHS} held-out paths of {horizon} with every symbol known, got {len(real)} from "
            f"{len(returns)} bars; pass more bars, or leave out the symbol with the shortest history"
        )
    fitted = _fit(model, n_steps, seed, params, train, bars)
    on_step(f"fit {model}")
    drawn = generate_scenarios(fitted, max(n, 2 * len(real)), 1.0, seed)
    history = cut_paths(train, n_steps)
    found = {model: drawn.paths, "history": history}
    found |= {
        "gaussian": gaussian_paths(history, len(real), seed),
        "phase_shuffled": phase_shuffled_paths(history, len(real), seed),
    }
    cards = {name: realism(real, paths, seed=seed) for name, paths in found.items()}
    on_step("realism of held-out blocks")
    scenarios = generate_scenarios(fitted, n, stress, seed)
    everything = cut_paths(returns, n_steps)
    sources = {"historical": held_returns(everything, vector), "generated": drawn.portfolio_returns(vector)}
    if fitted.conditional:
        by_regime = {f"generated, {name}": generate_scenarios(fitted, n, 1.0, seed, name) for name in VOLATILITY_REGIMES}
        sources |= {name: paths.portfolio_returns(vector) for name, paths in by_regime.items()}
    sources[f"stressed {stress:g}x"] = scenarios.portfolio_returns(vector)
    on_step("scenarios")
    risk = scenario_risk(sources, levels, seed=seed)
    on_step("risk")
    after = _later(model, n_steps, seed, params, returns, bars, on_step) if later else {}
    named = dict(zip(bars.symbols, vector.tolist(), strict=True))
    paths = {"historical": everything, "held out": real, "generated": drawn.paths, **found}
    del paths[model]
    return ScenarioStudy(fitted, scenarios, cards, after, risk, len(real), named, seed, paths, sources)


@door
def scenario_risk(
    sources: Mapping[str, np.ndarray], levels: Sequence[float] = (0.95, 0.99), n_bootstrap: int = 999, seed: int = 0
) -> pd.DataFrame:
    """VaR and CVaR of portfolio returns by their source, with 95 % bootstrap intervals; losses are positive.

    The intervals cover sampling error only. For ``historical``, whose returns are in the order of time, runs of 7 returns are
    drawn. Other sources count as independent paths; their intervals do not cover errors of the model.

    Parameters
    ----------
    sources : dict of str to ndarray, shape (n,)
        Simple returns over one horizon, by name of the source.
    levels : sequence of float
        Confidence levels, fractions.
    n_bootstrap, seed : int
        Bootstrap draws of the intervals, and their seed.

    Returns
    -------
    DataFrame
        Columns ``source level n var var_low var_high cvar cvar_low cvar_high``, fractions.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> returns = np.array([-0.05, 0.01, 0.02, 0.0, -0.01] * 20)
    >>> risk = fs.scenario_risk({"historical": returns}, levels=[0.7], n_bootstrap=99)
    >>> risk.loc[0, ["var", "cvar"]].round(4).tolist()
    [0.01, 0.0367]
    """
    check_type("sources", sources, Mapping, "the returns of each source, by its name")
    rows = []
    for name, returns in sources.items():
        check_vector(f"each of sources, {shown(name)},", returns)
        if not len(returns):
            raise ConfigError(f"each of sources must have a return, got none of {shown(name)}; leave it out")
        run = BOOTSTRAP_RUN if name == "historical" else 1
        rng = np.random.default_rng(seed)
        # Runs wrap around the end, so that every return is drawn equally often.
        starts = rng.integers(len(returns), size=(n_bootstrap, -(-len(returns) // run)))
        order = (starts[:, :, None] + np.arange(run)).reshape(n_bootstrap, -1)[:, : len(returns)] % len(returns)
        samples = returns[order]
        for level in levels:
            row: dict[str, Any] = {"source": name, "level": level, "n": len(returns)}
            for key, estimate in (("var", historical_var), ("cvar", historical_cvar)):
                low, high = np.quantile([estimate(sample, level) for sample in samples], [0.025, 0.975])
                row |= {key: estimate(returns, level), f"{key}_low": float(low), f"{key}_high": float(high)}
            rows.append(row)
    return pd.DataFrame(rows)


def hold_out(returns: np.ndarray, n_steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training rows and held-out rows, both (n_rows, n_assets); NaN where a row belongs to the other set or to the gap between."""
    block = np.arange(len(returns)) // (BLOCK_PATHS * (n_steps + 1))
    n_blocks = int(block[-1]) + 1
    chosen = np.random.default_rng(seed).permutation(n_blocks)[: max(round(HELD_SHARE * n_blocks), 1)]
    is_held = np.isin(block, chosen)
    near = np.convolve(is_held, np.ones(2 * n_steps + 1), mode="same") > 0.5
    return np.where(near[:, None], np.nan, returns), np.where(is_held[:, None], returns, np.nan)


def cut_paths(returns: np.ndarray, n_steps: int) -> np.ndarray:
    """Paths one bar apart, (n_paths, n_steps, n_assets); those with an unknown return are left out.

    With one bar between paths, they start at every hour of the day, as the training windows of a generator do.

    >>> cut_paths(np.arange(8.0)[:, None], 3)[:, :, 0]
    array([[0., 1., 2.],
           [4., 5., 6.]])
    """
    if len(returns) < n_steps:
        return np.empty((0, n_steps, returns.shape[1]))
    paths = np.lib.stride_tricks.sliding_window_view(returns, n_steps, axis=0)[:: n_steps + 1].transpose(0, 2, 1)
    return paths[~np.isnan(paths).any(axis=(1, 2))]


def _later(
    model: str,
    n_steps: int,
    seed: int,
    params: Mapping[str, Any] | None,
    returns: np.ndarray,
    bars: Bars,
    on_step: Callable[[str], None],
) -> dict[str, RealismCard]:
    cut = int((1 - LATER_SHARE) * len(returns)) // n_steps * n_steps
    real = cut_paths(returns[cut:], n_steps)
    if len(real) < MIN_PATHS:
        on_step("too short for later")
        on_step("too short for later")
        return {}
    fitted = _fit(model, n_steps, seed, params, returns[: cut - n_steps], bars)
    on_step(f"fit {model} on the first {1 - LATER_SHARE:.0%}")
    found = {model: fitted.sample(2 * len(real), seed), "history": cut_paths(returns[:cut], n_steps)}
    cards = {name: realism(real, paths, seed=seed) for name, paths in found.items()}
    on_step("realism of the last 30 %")
    return cards


def _fit(model: str, n_steps: int, seed: int, params: Mapping[str, Any] | None, returns: np.ndarray, bars: Bars) -> ScenarioModel:
    build: Any = MODELS[model]
    try:
        fresh: ScenarioModel = build(n_steps=n_steps, seed=seed, **(params or {}))
    except TypeError as error:
        known = sorted(set(build().get_params()) - {"n_steps", "seed"})
        raise ConfigError(f"parameters of {model} are {few(known, 20)}, got {few(params or {})}; change them") from error
    return fresh.fit_returns(returns, bars.symbols, bars.interval)


def _weights(symbols: tuple[str, ...], weights: Mapping[str, float] | None) -> np.ndarray:
    if weights is None:
        return np.full(len(symbols), 1 / len(symbols))
    unknown = sorted(set(weights) - set(symbols))
    if unknown:
        raise ConfigError(f"weights name {few(unknown)}, but the bars have {few(symbols)}; change the weights")
    return np.array([weights.get(name, 0.0) for name in symbols])


def _common_span(bars: Bars) -> np.ndarray:
    """Log returns from the first to the last bar in which every symbol is known."""
    returns = bars.returns()
    known = np.flatnonzero(np.logical_not(np.isnan(returns).any(axis=1)))
    if not known.size:
        raise DataError(f"there is no bar in which all of {few(bars.symbols)} have a return; leave out the one that ends early")
    return returns[known[0] : known[-1] + 1]

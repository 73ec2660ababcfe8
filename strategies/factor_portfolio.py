"""A portfolio of market factors, weighted by their past returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_number, check_switch, check_text
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from foreshock.engine.scores import Signals
from foreshock.engine.statistics.variation import exceeds_rounding
from foreshock.strategies.base import carried, equal_weights, rows_of

BUDGETS = ("equal", "sharpe")
# Models of fs.latent_factors.
MODELS = (
    "pca",
    "autoencoder",
    "sparse_autoencoder",
    "denoising_autoencoder",
    "vae",
    "beta_vae",
    "conditional_autoencoder",
)


class FactorReturns(Protocol):
    """Factors such as ``fs.latent_factors`` returns: mimicking portfolios, known at the previous close, and their returns."""

    @property
    def time(self) -> np.ndarray: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def weights(self) -> np.ndarray: ...
    @property
    def factor_returns(self) -> np.ndarray: ...


@door
@dataclass(frozen=True, repr=False)
class FactorPortfolio(Shown):
    """A portfolio of factors, each with a share of the risk and the sign of its past mean return.

    Factor portfolios ``q[k]`` (absolute weights sum to 1) have returns ``f[k]`` over the last ``window``, with mean m and standard
    deviation s. At a rebalance the desired weights are

    ``w = sum_k a[k] q[k]``,  ``a[k] = sign(m) / s`` (budget "equal") or ``m / s^2`` ("sharpe"),

    scaled so that absolute weights sum to ``exposure``; with ``long_only`` negative weights are set to 0 before the scaling. The
    new target x minimises ``|x - w|^2 / 2 + turnover_penalty |x - x'|_1`` with x' the previous target [1]_: changes smaller than
    the penalty are not made, and larger changes are reduced by it.

    Without ``factors`` the q are principal components of the correlation of the returns in the window, with each symbol's weight
    divided by its volatility. A symbol takes part if it is listed and was traded before the window. With ``factors``, such as those
    of ``fs.latent_factors``, their portfolios and returns are used.

    Parameters
    ----------
    n_factors : int
        Number of principal components; with ``factors``, the number of factors used, from the first on.
    window : str
        Time over which returns are measured, such as ``"60d"``; at least 3 bars.
    long_only : bool
        Whether to hold long positions only. Otherwise short positions need ``Account(shorts=True)``.
    budget : "equal" or "sharpe"
        How risk is divided among the factors, see the formula.
    turnover_penalty : float
        Smallest change of a weight that is traded, from 0 to below 1.
    exposure : float
        Gross exposure, above 0 and up to 1.
    rebalance : str
        How often weights are computed, such as ``"7d"``.
    factors : LatentFactors, optional
        Factors to hold instead of principal components.
    model : str, optional
        Model of ``fs.latent_factors`` whose factors a study passes, such as ``"autoencoder"``; outside a study pass ``factors``.
    n_components : int, optional
        Another name of ``n_factors``.
    hidden : tuple of int, optional
        Sizes of the hidden layers of the network that ``model`` names; see ``fs.latent_factors``.

    Raises
    ------
    ConfigError
        If a parameter is out of its range, or the factors do not cover the bars.

    References
    ----------
    .. [1] Daubechies, Defrise and De Mol (2004), An iterative thresholding algorithm: soft thresholding.

    Examples
    --------
    Both symbols rise together, A twice as much: one factor, with equal risk in both.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(5) * np.timedelta64(1, "D")
    >>> price = np.cumprod(1 + np.array([[0, 0], [0.04, 0.02], [0.02, 0.01], [0.04, 0.02], [0.02, 0.01]]), axis=0)
    >>> bars = fs.Bars(time, ("A", "B"), price, price, price, price, price, np.timedelta64(1, "D"))
    >>> fs.FactorPortfolio(1, window="4d", rebalance="1d").weights(bars)[-1].round(4)
    array([0.3333, 0.6667])
    """

    n_factors: int = 2
    window: Duration = "60d"
    long_only: bool = False
    budget: str = "equal"
    turnover_penalty: float = 0.0
    exposure: float = 1.0
    rebalance: Duration = "7d"
    factors: FactorReturns | None = None
    model: str | None = None
    n_components: int | None = None
    hidden: tuple[int, ...] | None = None
    name: ClassVar[str] = "factor_portfolio"

    def __post_init__(self) -> None:
        check_text("budget", self.budget)
        check_number("turnover_penalty", self.turnover_penalty)
        check_number("exposure", self.exposure)
        parse_duration(self.window, "window")
        parse_duration(self.rebalance, "rebalance")
        key, n_factors = ("n_factors", self.n_factors) if self.n_components is None else ("n_components", self.n_components)
        if not isinstance(n_factors, int) or n_factors < 1:
            raise ConfigError(f"{key} must be at least 1, got {shown(n_factors)}")
        # One value under both names.
        object.__setattr__(self, "n_factors", n_factors)
        object.__setattr__(self, "n_components", None)
        if self.model is not None and (not isinstance(self.model, str) or self.model not in MODELS):
            raise ConfigError(f"model must be one of {', '.join(MODELS)}, got {shown(self.model)}")
        self._check_hidden()
        check_switch("long_only", self.long_only)
        if self.factors is not None and not hasattr(self.factors, "factor_returns"):
            raise ConfigError(f"factors must be those of fs.latent_factors, got {type(self.factors).__name__}")
        if self.budget not in BUDGETS:
            raise ConfigError(f"budget must be one of {', '.join(BUDGETS)}, got {shown(self.budget)}")
        if not 0 <= self.turnover_penalty < 1:
            raise ConfigError(f"turnover_penalty must be a weight from 0 to below 1, got {shown(self.turnover_penalty)}")
        if not 0 < self.exposure <= 1:
            raise ConfigError(f"exposure must be a fraction above 0 and up to 1, got {shown(self.exposure)}")

    def _check_hidden(self) -> None:
        if self.hidden is None:
            return
        if self.model in (None, "pca"):
            raise ConfigError(
                f"hidden belongs to a network, got {shown(self.hidden)} without one; name one of {few(MODELS[1:])} by model"
            )
        sizes: object = self.hidden
        if not isinstance(sizes, tuple | list) or not sizes or not all(type(size) is int and size >= 1 for size in sizes):
            raise ConfigError(f"hidden must be the sizes of hidden layers, each at least 1, got {shown(sizes)}; such as (64, 32)")
        object.__setattr__(self, "hidden", tuple(sizes))

    def weights(self, bars: Bars, signals: Signals | None = None) -> np.ndarray:  # noqa: ARG002
        """Target weights, shape (n_bars, n_symbols). The signals are not used."""
        if self.model is not None and self.factors is None:
            raise ConfigError(
                f"factor_portfolio with the model {self.model} needs factors; pass those of fs.latent_factors, or run a study"
            )
        _, listed, due = equal_weights(bars, self.rebalance)
        window = bars_in(self.window, bars.interval, "window")
        if window < 3:
            raise ConfigError(f"window must span at least 3 bars, got {shown(self.window)}")
        at = None if self.factors is None else rows_of(bars, self.factors.time, self.factors.symbols, "factors")
        close = carried(bars.close)
        moves = np.full(bars.shape, np.nan)
        moves[1:] = close[1:] / close[:-1] - 1
        weights, held = np.full(bars.shape, np.nan), np.zeros(bars.n_symbols)
        for row in np.flatnonzero(due.any(axis=1)):
            if at is None:
                found = self._components(moves[max(row + 1 - window, 0) : row + 1], listed[row], window)
            else:
                found = self._given(at[row], window)
            if found is None:
                continue
            wanted = np.where(listed[row], self._combined(*found), 0.0)
            held = _nearer(held, wanted, self.turnover_penalty, self.exposure)
            traded = ~np.isnan(close[row])
            weights[row, traded] = held[traded]
        return weights

    def _components(self, moves: np.ndarray, listed: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Portfolios (n_factors, n_symbols) and their returns (window, n_factors); None if the history is too short."""
        taking = listed & ~np.isnan(moves).any(axis=0)
        known = np.where(taking, moves, 0.0)
        taking &= exceeds_rounding(np.ptp(known, axis=0), np.abs(known).max(axis=0), level=1.0)
        if len(moves) < window or not taking.any():
            return None
        # A contiguous copy, so that rounding does not depend on the position of the rows in the history.
        own = np.ascontiguousarray(moves[:, taking])
        scale = own.std(axis=0)
        standard = (own - own.mean(axis=0)) / scale
        _, vectors = np.linalg.eigh(standard.T @ standard)
        loads = vectors[:, ::-1][:, : self.n_factors].T / scale
        portfolios = np.zeros((len(loads), len(listed)))
        portfolios[:, taking] = loads / np.abs(loads).sum(axis=1, keepdims=True)
        return portfolios, own @ portfolios[:, taking].T

    def _given(self, row: int, window: int) -> tuple[np.ndarray, np.ndarray] | None:
        assert self.factors is not None
        returns = self.factors.factor_returns[max(row + 1 - window, 0) : row + 1, : self.n_factors]
        portfolios = np.nan_to_num(self.factors.weights[row, : self.n_factors])
        known = returns[~np.isnan(returns).any(axis=1)]
        return (portfolios, known) if 2 * len(known) >= window and portfolios.any() else None

    def _combined(self, portfolios: np.ndarray, returns: np.ndarray) -> np.ndarray:
        mean, std = returns.mean(axis=0), returns.std(axis=0)
        risky = exceeds_rounding(std, mean, level=1.0)
        std = np.where(risky, std, 1.0)
        share = np.where(risky, np.sign(mean) / std if self.budget == "equal" else mean / std**2, 0.0)
        weights = (share[:, None] * portfolios).sum(axis=0)
        if self.long_only:
            weights = np.maximum(weights, 0.0)
        gross = np.abs(weights).sum()
        return weights * (self.exposure / gross) if gross > 0 else weights


def _nearer(before: np.ndarray, wanted: np.ndarray, penalty: float, exposure: float) -> np.ndarray:
    """The weights ``before`` moved towards ``wanted``, each change reduced by the penalty, with at most ``exposure`` in total."""
    change = wanted - before
    found = before + np.sign(change) * np.maximum(np.abs(change) - penalty, 0.0)
    gross = np.abs(found).sum()
    return found * (exposure / gross) if gross > exposure else found

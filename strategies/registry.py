"""The registry of strategies: names, and a function that builds a strategy by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foreshock.data.doors.door import door
from foreshock.data.plugins.registry import Registry

if TYPE_CHECKING:
    from foreshock.strategies.base import Strategy

    STRATEGIES: dict[str, type[Strategy]]

# RandomAvoidance is not in the table, because its draws are comparisons made with hindsight, not strategies.
_TABLE = {
    "anomaly_avoidance": ".anomaly_avoidance:AnomalyAvoidance",
    "buy_and_hold": ".baselines:BuyAndHold",
    "equal_weight": ".baselines:EqualWeight",
    "event_trade": ".event:EventTrade",
    "factor_portfolio": ".factor_portfolio:FactorPortfolio",
    "regime_exposure": ".regime_exposure:RegimeExposure",
    "time_series_momentum": ".momentum:TimeSeriesMomentum",
    "volatility_target": ".volatility_target:VolatilityTarget",
}


def _is_strategy(cls: Any) -> bool:
    return isinstance(cls, type) and callable(getattr(cls, "weights", None))


REGISTRY = Registry(
    "strategy",
    _TABLE,
    str(__package__),
    "foreshock.strategies",
    _is_strategy,
    "a class with a method weights(bars, signals)",
)


def strategy_names() -> list[str]:
    """Names of the registered strategies.

    The strategies of foreshock come first; then come the names from ``register_strategy`` and from installed packages. No
    strategy is imported.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.strategy_names()[:2]
    ['anomaly_avoidance', 'buy_and_hold']
    """
    return REGISTRY.names()


@door
def register_strategy(name: str, cls: type | str) -> None:
    """Register your own strategy under a name, for the scripts of this process.

    An installed package registers strategies for every process with an entry point of the group ``foreshock.strategies``.

    Parameters
    ----------
    name : str
        The new name. It must not be a name of foreshock's own strategies; a name that you registered before is replaced.
    cls : type or str
        A class with ``weights(bars, signals)``, or its place, ``"package.module:Class"`` or ``"mine.py:Class"``, which is imported
        when the strategy is first requested.

    Raises
    ------
    ConfigError
        If the name is taken, or the class is not a strategy.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.register_strategy("costs", fs.Costs)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: 'costs' is not a strategy: it must be a class with a method ...
    """
    REGISTRY.register(name, cls)


@door
def make_strategy(name: str, **params: Any) -> Strategy:
    """Build a strategy by name.

    Parameters
    ----------
    name : str
        One of ``fs.strategy_names()``, ``"package.module:Class"`` or ``"mine.py:Class"``. The code of such a module is run.
    **params
        Parameters of the strategy; the others have their defaults.

    Returns
    -------
    Strategy
        An object with a ``name`` and a method ``weights(bars, signals)``.

    Raises
    ------
    ConfigError
        If the name or a parameter is unknown, or a value is of the wrong type; if a module raises when it is imported, has no
        such class, or the class is not a strategy.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.make_strategy("anomaly_avoidance", hold="6h").hold
    '6h'
    """
    return REGISTRY.make(name, params)


def __getattr__(name: str) -> Any:
    # STRATEGIES, the classes of foreshock's own strategies by name, is imported when it is first requested.
    if name == "STRATEGIES":
        return {own: REGISTRY.find(own) for own in _TABLE}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

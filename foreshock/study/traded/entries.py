"""The strategies that a study names: by name with parameters, as objects, or as classes of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshock.data.checks import check_text
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.clusters.labels import MOST, REGIMES
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.base import Strategy
from foreshock.strategies.baselines import BuyAndHold, EqualWeight, RandomAvoidance
from foreshock.strategies.regime_exposure import RegimeExposure
from foreshock.strategies.registry import REGISTRY

DEFAULT = (AnomalyAvoidance.name,)
# Regimes that an exposure may be given for, whether or not the history has them.
REGIME_NAMES = (*REGIMES, *(f"regime {number + 1}" for number in range(MOST)))
Strategies = Sequence[str | Strategy] | Mapping[str, str | Strategy]


@dataclass(frozen=True)
class Entry:
    """One strategy of a study.

    Parameters
    ----------
    label : str
        Its name in the results.
    strategy : Strategy
    acts : bool
        Whether it acts on alerts, so that it is run for each detector.
    """

    label: str
    strategy: Strategy
    acts: bool


@dataclass(frozen=True)
class Defaults:
    """Parameters of ``AnomalyAvoidance`` that the study itself has."""

    hold: str
    exposure: float
    rebalance: str

    def make(self, name: str, params: Mapping[str, Any], folder: Path | None = None) -> Strategy:
        """A strategy by name; anomaly avoidance has the parameters of the study where the entry has none."""
        if name == AnomalyAvoidance.name:
            REGISTRY.check_parameters(name, AnomalyAvoidance, params)
            return AnomalyAvoidance(**{"hold": self.hold, "exposure": self.exposure, "rebalance": self.rebalance, **params})
        return REGISTRY.make(name, params, folder)


def entries(given: Strategies, defaults: Defaults) -> tuple[Entry, ...]:
    """The strategies of a study, without those that are its passive baselines already.

    Raises
    ------
    ConfigError
        If an entry is no strategy, or two have the same label.
    """
    found: dict[str, Entry] = {}
    passive = (BuyAndHold(), EqualWeight(defaults.rebalance))
    for label, strategy in _labelled(given, defaults):
        check_text("label of a strategy", label)
        if not label.strip() or "\ud800" <= max(label) <= "\udfff":
            raise ConfigError(f"the label of a strategy must be a text, got {shown(label)}; such as 'fade'")
        if label in found:
            raise ConfigError(
                f"two strategies have the label {shown(label)}; pass a dict of label to strategy, or set label in the file"
            )
        # Every study has these two, equal weights rebalanced as the study says.
        if strategy in passive or strategy == EqualWeight():
            continue
        if label in (idle.name for idle in passive):
            raise ConfigError(f"the label {shown(label)} belongs to the baseline of that name; choose another label")
        if isinstance(strategy, RegimeExposure):
            _check_exposures(label, strategy)
        found[label] = Entry(label, strategy, acts_on_alerts(strategy))
    timed = {chance_label(entry.label) for entry in found.values() if entry.acts}
    if taken := [label for label in found if label in timed]:
        raise ConfigError(f"the label {shown(taken[0])} belongs to random timings; choose another label")
    return tuple(found.values())


def chance_label(label: str) -> str:
    """The name of the random timings of a strategy."""
    return RandomAvoidance.name if label == AnomalyAvoidance.name else f"random_{label}"


def acts_on_alerts(strategy: Strategy) -> bool:
    """Whether ``weights`` needs signals: its second parameter has no default."""
    try:
        taken = list(inspect.signature(strategy.weights).parameters.values())
    except (TypeError, ValueError):
        return True
    return len(taken) > 1 and taken[1].default is inspect.Parameter.empty


def _labelled(given: Strategies, defaults: Defaults) -> Iterator[tuple[str, Strategy]]:
    if isinstance(given, Mapping):
        for label, entry in given.items():
            yield label, _strategy(entry, defaults)
        return
    for entry in given:
        strategy = _strategy(entry, defaults)
        yield strategy.name if not isinstance(entry, str) or ":" in entry else entry, strategy


def _strategy(entry: object, defaults: Defaults) -> Strategy:
    strategy: Any = defaults.make(entry, {}) if isinstance(entry, str) else entry
    if isinstance(strategy, type) or not callable(getattr(strategy, "weights", None)):
        raise ConfigError(
            f"a strategy must be a name or an object with a method weights(bars, signals), got {shown(entry)}; such as "
            f"'anomaly_avoidance' or fs.EventTrade('fade')"
        )
    if not isinstance(getattr(strategy, "name", None), str):
        raise ConfigError(
            f"{type(strategy).__name__} must have a name, a text on the class, got {shown(getattr(strategy, 'name', None))}"
        )
    return strategy


def _check_exposures(label: str, strategy: RegimeExposure) -> None:
    unknown = [name for name in strategy.exposures or {} if name not in REGIME_NAMES]
    if strategy.regimes is None and unknown:
        raise ConfigError(
            f"exposures of {label} name {shown(unknown[0])}, which is no regime of a study; regimes are {', '.join(REGIMES)}, and "
            f"'regime 1', 'regime 2', ..."
        )


def described(entries: Sequence[Entry]) -> dict[str, Any]:
    """Name and parameters of each strategy by label, in plain values."""
    return {entry.label: {"name": entry.strategy.name, **_parameters(entry.strategy)} for entry in entries}


def _parameters(strategy: object) -> dict[str, Any]:
    own = {key: value for key, value in getattr(strategy, "__dict__", {}).items() if not key.startswith("_") and value is not None}
    # Regimes and factors are arrays of the whole history: their type says enough.
    plain = (str, int, float, bool)
    return {key: value if isinstance(value, plain) else _described(value) for key, value in own.items()}


def _described(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list):
        return list(value) if all(isinstance(item, str | int | float) for item in value) else type(value).__name__
    return type(value).__name__

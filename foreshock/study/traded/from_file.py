"""The strategies of a study file."""

from __future__ import annotations

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.strategies.base import Strategy
from foreshock.study.config import StrategyConfig, StudyConfig
from foreshock.study.traded.entries import Defaults


def strategies_of(config: StudyConfig) -> dict[str, Strategy]:
    """Strategies of a study file, by label."""
    wanted = config.avoidance
    defaults, found = Defaults(wanted.hold, wanted.exposure, wanted.rebalance), {}
    for entry in config.strategies:
        one = entry if isinstance(entry, StrategyConfig) else StrategyConfig(name=entry)
        strategy = defaults.make(one.name, one.model_extra or {}, config.folder)
        label = one.label or (strategy.name if ":" in one.name else one.name)
        if label in found:
            raise ConfigError(f"key 'strategies': {shown(label)} stands there twice; set a label for one of them")
        found[label] = strategy
    return found

"""A study as a TOML file."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """Which bars: ``path`` is relative to the study file; ``--data`` takes its place."""

    path: str | None = None
    interval: str | None = None
    symbols: list[str] | None = None
    start: str | None = None
    end: str | None = None


class DetectorConfig(BaseModel):
    """A detector by name, with its parameters beside it, and a label if a name is used twice."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    label: str | None = None


class SplitsConfig(_Section):
    train: str = "365D"
    test: str = "90D"
    embargo: str | None = "2D"
    mode: Literal["rolling", "expanding"] = "rolling"


class ThresholdConfig(_Section):
    kind: Literal["rolling_quantile", "train_quantile", "fixed"] = "rolling_quantile"
    q: float = Field(default=0.99, gt=0, lt=1)
    window: str = "60D"
    value: float | None = None


class CostsConfig(_Section):
    taker: float = 5e-4
    slippage: float = 2e-4


class AvoidanceConfig(_Section):
    hold: str = "24h"
    exposure: float = Field(default=0.0, ge=0, le=1)
    rebalance: str = "1d"
    random_draws: int = Field(default=20, ge=1)


class StudyConfig(_Section):
    """Every key of a study file; the defaults are those of ``Study``."""

    title: str = "foreshock study"
    data: DataConfig = DataConfig()
    features: list[str] | None = None
    detectors: list[str | DetectorConfig] = Field(min_length=1)
    splits: SplitsConfig = SplitsConfig()
    threshold: ThresholdConfig = ThresholdConfig()
    horizons: list[str] = Field(default=["1h", "6h", "24h"], min_length=1)
    delay: int = Field(default=1, ge=1)
    cooldown: str | None = None
    costs: CostsConfig = CostsConfig()
    avoidance: AvoidanceConfig = AvoidanceConfig()
    n_bootstrap: int = Field(default=999, ge=99)
    seed: int = Field(default=0, ge=0)


def load_study(path: str | Path) -> StudyConfig:
    """The study of a TOML file.

    Raises
    ------
    ConfigError
        If the file is missing, is no TOML, or has a key or value that is not known; the message names the key.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no such study file: {path}; give a TOML file, see examples/study.toml") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder; give a TOML file, see examples/study.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; mend the line") from error
    return parse_study(content, str(path))


def parse_study(content: dict[str, Any], source: str = "study") -> StudyConfig:
    """A configuration from plain values; see ``load_study``."""
    try:
        return StudyConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    # A detector may be a string or a table; pydantic names the branch, which no user wrote.
    where = ".".join(str(part) for part in problem["loc"] if part not in ("str", "DetectorConfig"))
    if problem["type"] == "extra_forbidden":
        return _unknown_key([str(part) for part in problem["loc"]], where)
    if problem["type"] == "missing":
        return f"key {where!r} is missing; add it"
    return f"key {where!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"


def _unknown_key(loc: list[str], where: str) -> str:
    section: Any = StudyConfig
    for part in loc[:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    near = difflib.get_close_matches(loc[-1], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "remove it"
    return f"unknown key {where!r}; expected one of {', '.join(known)}; {hint}"

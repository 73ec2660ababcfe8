"""A study as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from data.checks import check_horizons, check_path, did_you_mean
from data.errors import ConfigError
from data.facts import Shown
from data.interval import parse_duration, parse_instant
from data.shown import few, shown


def _iso(value: Any) -> Any:
    """TOML's own dates as text; a text that is no date is refused."""
    text = value.isoformat() if isinstance(value, date) else value
    if isinstance(text, str):
        parse_instant(text, "it")
    return text


def _span(text: str) -> str:
    parse_duration(text, "it")
    return text


def _differ(horizons: list[str]) -> list[str]:
    check_horizons(horizons)
    return horizons


# Fewer draws leave the ends of a 95 % interval to two or three of them.
MIN_BOOTSTRAP = 99
IsoDate = Annotated[str, BeforeValidator(_iso)]
Span = Annotated[str, AfterValidator(_span)]


# What the types of a detector's parameters are called in a message.
KINDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", tuple: "a list of strings"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(_Section):
    """Which bars: ``path`` is relative to the study file; ``--data`` takes its place."""

    path: str | None = None
    interval: Span | None = None
    symbols: list[str] | None = Field(default=None, min_length=1)
    start: IsoDate | None = None
    end: IsoDate | None = None


class DetectorConfig(BaseModel):
    """A detector by name, with its parameters beside it, and a label if a name is used twice."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str
    label: str | None = None


class SplitsConfig(_Section):
    train: Span = "365D"
    test: Span = "90D"
    embargo: Span | None = "2D"
    mode: Literal["rolling", "expanding"] = "rolling"


class ThresholdConfig(_Section):
    """``q`` and ``window`` are those of every kind; the keys after them belong to one kind each."""

    kind: Literal["rolling_quantile", "train_quantile", "adaptive_conformal", "peaks_over_threshold", "fixed"] = "rolling_quantile"
    q: float = Field(default=0.99, gt=0, lt=1)
    window: Span = "60D"
    # adaptive_conformal keeps the alert rate 1 - q.
    gamma: float = Field(default=0.005, gt=0, lt=1)
    # peaks_over_threshold
    init: float = Field(default=0.95, gt=0, lt=1)
    refit: Span = "1D"
    # fixed
    value: float | None = None
    # With any kind: scores in units of their own recent spread.
    volatility_scaled: bool = False
    halflife: Span = "2D"


class CostsConfig(_Section):
    taker: float = 5e-4
    slippage: float = 2e-4
    maker: float = 2e-4
    maker_share: float = 0.0
    impact: float = 0.0
    impact_window: Span = "1d"
    # Needs the column funding_rate in the bars.
    funding: bool = False
    borrow: float = 0.0


class AvoidanceConfig(_Section):
    hold: Span = "24h"
    exposure: float = Field(default=0.0, ge=0, le=1)
    rebalance: Span = "1d"
    random_draws: int = Field(default=20, ge=1)


class ScenariosConfig(_Section):
    """Of ``foreshock scenarios``: the generator, the length of a path, and the portfolio, equal weights by default."""

    model: Literal["vae", "conditional_vae", "gan"] = "vae"
    horizon: Span = "24h"
    weights: dict[str, float] | None = Field(default=None, min_length=1)
    levels: list[Annotated[float, Field(gt=0, lt=1)]] = Field(default=[0.95, 0.99], min_length=1)
    # A second fit, on the first 70 % of the bars, for the card of the last 30 %.
    later: bool = True


class SurrogatesConfig(_Section):
    """``n`` of 0 leaves the surrogate test out; the verdict is then the lesser one of the volatility-matched ratio."""

    n: int = Field(default=199, ge=0)
    family: Literal["best", "gjr", "garch", "har", "sv"] = "best"


class StudyConfig(Shown, _Section):
    """Every key of a study file; the defaults are those of ``Study``."""

    title: str = "foreshock study"
    data: DataConfig = DataConfig()
    features: list[str] | None = Field(default=None, min_length=1)
    detectors: list[str | DetectorConfig] = Field(min_length=1)
    splits: SplitsConfig = SplitsConfig()
    threshold: ThresholdConfig = ThresholdConfig()
    horizons: Annotated[list[Span], Field(min_length=1), AfterValidator(_differ)] = ["1h", "6h", "24h"]
    delay: int = Field(default=1, ge=1)
    cooldown: Span | None = None
    costs: CostsConfig = CostsConfig()
    avoidance: AvoidanceConfig = AvoidanceConfig()
    surrogates: SurrogatesConfig = SurrogatesConfig()
    scenarios: ScenariosConfig = ScenariosConfig()
    n_bootstrap: int = Field(default=999, ge=MIN_BOOTSTRAP)
    seed: int = Field(default=0, ge=0)

    def _facts(self) -> Iterator[str]:
        yield shown(self.title, 40)
        yield few([entry if isinstance(entry, str) else entry.label or entry.name for entry in self.detectors], 4)
        yield f"at {few(self.horizons, 4)}"


def load_study(path: str | Path) -> StudyConfig:
    """The study of a TOML file.

    Raises
    ------
    ConfigError
        If the file is missing, is no TOML, or has a key or value that is not known; the message names the key.
    """
    check_path("path", path)
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"no such study file: {path}; give a TOML file, see examples/study.toml") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder; give a TOML file, see examples/study.toml") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; give a TOML file, see examples/study.toml") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; mend the line") from error
    return parse_study(content, str(path))


def parse_study(content: dict[str, Any], source: str = "study") -> StudyConfig:
    """A configuration from plain values; see ``load_study``."""
    try:
        config = StudyConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error)}") from error
    for i, entry in enumerate(config.detectors):
        if isinstance(entry, DetectorConfig) and entry.model_extra:
            _check_parameters(f"{source}: key 'detectors.{i}", entry.name, entry.model_extra)
    return config


def _check_parameters(where: str, name: str, params: dict[str, Any]) -> None:
    """Refuse a detector's parameter that is of another type than its default; unknown names are left to ``make_detector``."""
    from detectors.registry import detector_class

    defaults = detector_class(name)().get_params()
    for key, value in params.items():
        kind = type(defaults.get(key))
        if kind is tuple:
            # Items are of the kind of those in the default: names of columns, or widths of layers.
            item_kind = type(defaults[key][0])
            fits = isinstance(value, list) and all(type(item) is item_kind for item in value)
        else:
            fits = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        if kind in KINDS and not fits:
            such_as = list(defaults[key]) if kind is tuple else defaults[key]
            wanted = "a list of whole numbers" if kind is tuple and type(such_as[0]) is int else KINDS[kind]
            raise ConfigError(f"{where}.{key}' must be {wanted}, such as {such_as!r}, got {shown(value)}; change it")


def _explain(error: ValidationError) -> str:
    # A detector that is a table should not be told to be a string; and a misspelt key is often why another one is missing.
    problems = [found for found in error.errors() if not (found["type"] == "string_type" and isinstance(found["input"], dict))]
    problem = min(problems or error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    # A detector may be a string or a table; pydantic names the branch, which no user wrote.
    where = ".".join(str(part) for part in problem["loc"] if part not in ("str", "DetectorConfig"))
    if problem["type"] == "extra_forbidden":
        return _unknown_key([str(part) for part in problem["loc"]], where)
    if problem["type"] == "missing":
        return f"key {where!r} is missing; add it"
    refusal = problem.get("ctx", {}).get("error")
    if isinstance(refusal, ConfigError):
        return f"key {where!r}: {refusal}"
    said = "input should be a table" if problem["type"] == "model_type" else problem["msg"].replace(" after validation", "")
    got = repr(problem["input"])
    return f"key {where!r}: {said[0].lower()}{said[1:]}, got {got[:80]}{'…' * (len(got) > 80)}; change it"


def _unknown_key(loc: list[str], where: str) -> str:
    section: Any = StudyConfig
    for part in loc[:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    hint = did_you_mean(loc[-1], known) or "; remove it"
    return f"unknown key {where!r}; expected one of {', '.join(known)}{hint}"

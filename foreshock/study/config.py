"""Study files: the TOML keys of a study, their checks, and ``load_study``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from foreshock.data.checks import MOST_SEED, check_horizons, check_path, did_you_mean
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.registry import Registry
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, one_line, shown
from foreshock.data.system.parsed import parse_toml, read_limited
from foreshock.detectors.clusters.labels import FEWEST, MOST, TREND, VOLATILITY, N
from foreshock.detectors.registry import DETECTORS
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.universe import Universe
from foreshock.engine.thresholds.registry import THRESHOLDS
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.registry import REGISTRY as STRATEGIES
from foreshock.study.defaults import DELAY, HORIZONS, N_BOOTSTRAP, N_SURROGATES, RANDOM_DRAWS, SEED, TITLE
from foreshock.study.keys.data import DataConfig
from foreshock.study.keys.source import SourceConfig
from foreshock.study.keys.thresholds import BY_KIND, RollingQuantileConfig, ThresholdConfig, UserThresholdConfig
from foreshock.study.keys.types import Section, Span, SpanOrNone, check_span
from foreshock.study.traded.entries import DEFAULT


def _differ(horizons: list[str]) -> list[str]:
    check_horizons(horizons)
    return horizons


def _sealed(value: float | str | None) -> float | str | None:
    if isinstance(value, str):
        return check_span(value)
    if value is not None and not 0 < value < 1:
        raise ConfigError(f"it must be a share between 0 and 1, or a duration, got {value}; such as 0.2 or '180D'")
    return value


# With fewer draws, each end of a 95 % interval would rest on one or two of them.
MIN_BOOTSTRAP = 99


class RegimesConfig(Section):
    """The regimes of the study: how many, named by which features, and found by which, by default the same."""

    n: int = Field(default=N, ge=FEWEST, le=MOST)
    volatility: str = VOLATILITY
    trend: str = TREND
    features: list[str] | None = Field(default=None, min_length=1)
    pool: bool = True


class LabelsConfig(Section):
    """Labelled events; ``path`` is relative to the study file."""

    path: str | None = None


class SplitsConfig(Section):
    train: Span = WalkForward.train
    test: Span = WalkForward.test
    # TOML has no null: "none" is a study without an embargo.
    embargo: SpanOrNone = WalkForward.embargo
    mode: Literal["rolling", "expanding"] = WalkForward.mode


class DetectorConfig(BaseModel):
    """A detector by name, or a file of scores, with its parameters as further keys; and a label and a threshold of its own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str | None = None
    # A CSV, Parquet or Feather file, relative to the study file.
    scores: str | None = None
    label: str | None = None
    threshold: ThresholdConfig | None = None

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.name is not None and self.scores is not None:
            raise ConfigError("it has a name and scores, and is one of both; leave one out")
        if self.scores is not None and self.model_extra:
            raise ConfigError(f"scores take no parameters, got {few(list(self.model_extra))}; remove them")
        return self


class StrategyConfig(BaseModel):
    """A strategy by name, its parameters as further keys, and a label if a name is used twice."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str
    label: str | None = None


class CostsConfig(Section):
    taker: float = Costs.taker
    slippage: float = Costs.slippage
    maker: float = Costs.maker
    maker_share: float = Costs.maker_share
    impact: float = Costs.impact
    impact_window: Span = str(Costs.impact_window)
    # Needs the column funding_rate in the bars.
    funding: bool = Costs.funding
    borrow: float = Costs.borrow


class AvoidanceConfig(Section):
    hold: Span = str(AnomalyAvoidance.hold)
    exposure: float = Field(default=AnomalyAvoidance.exposure, ge=0, le=1)
    rebalance: Span = str(AnomalyAvoidance.rebalance)
    random_draws: int = Field(default=RANDOM_DRAWS, ge=1)


class ScenariosConfig(Section):
    """Settings of ``foreshock scenarios``: the generator, the length of a path, and the portfolio (equal weights by default)."""

    model: Literal["vae", "conditional_vae", "gan"] = "vae"
    horizon: Span = "24h"
    weights: dict[str, float] | None = Field(default=None, min_length=1)
    levels: list[Annotated[float, Field(gt=0, lt=1)]] = Field(default=[0.95, 0.99], min_length=1)
    # Whether to fit again on the first 70 % of the bars, for the card of the last 30 %.
    later: bool = True


class SurrogatesConfig(Section):
    """Settings of the surrogate test, a second opinion on the verdicts; ``n`` = 0 leaves it out."""

    n: int = Field(default=N_SURROGATES, ge=0)
    family: Literal["best", "gjr", "garch", "har", "sv"] = "best"


class StudyConfig(Shown, Section):
    """Every key of a study file; the defaults are those of ``Study``, which documents them.

    Examples
    --------
    >>> import foreshock as fs
    >>> config = fs.StudyConfig(detectors=["zscore", "mad"], horizons=["6h", "24h"])
    >>> config.threshold.kind, config.threshold.q, config.splits.train
    ('rolling_quantile', 0.99, '365D')
    """

    title: str = TITLE
    data: DataConfig = DataConfig()
    source: SourceConfig | None = None
    features: list[str] | None = Field(default=None, min_length=1)
    detectors: list[str | DetectorConfig] = Field(min_length=1)
    controls: list[str | DetectorConfig] = Field(default_factory=list)
    strategies: list[str | StrategyConfig] = Field(default_factory=lambda: list(DEFAULT))
    labels: LabelsConfig = LabelsConfig()
    # A share of the bars, or a duration.
    sealed: Annotated[float | str | None, AfterValidator(_sealed)] = None
    splits: SplitsConfig = SplitsConfig()
    threshold: ThresholdConfig = RollingQuantileConfig()
    horizons: Annotated[list[Span], AfterValidator(_differ)] = Field(default_factory=lambda: list(HORIZONS), min_length=1)
    delay: int = Field(default=DELAY, ge=1)
    cooldown: Span | None = None
    costs: CostsConfig = CostsConfig()
    avoidance: AvoidanceConfig = AvoidanceConfig()
    # Without the section, the regimes are those of the study's own kmeans_regime.
    regimes: RegimesConfig | None = None
    surrogates: SurrogatesConfig = SurrogatesConfig()
    scenarios: ScenariosConfig = ScenariosConfig()
    n_bootstrap: int = Field(default=N_BOOTSTRAP, ge=MIN_BOOTSTRAP)
    seed: int = Field(default=SEED, ge=0, le=MOST_SEED)

    @model_validator(mode="after")
    def _one_of_data_and_source(self) -> Self:
        if self.source is not None and "data" in self.model_fields_set:
            raise ConfigError("[data] and [source] exclude each other; leave [data] out")
        return self

    # Paths of a user's .py files are relative to this folder, that of the study file.
    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Folder that paths of ``.py`` files are relative to: that of the study file, or the working directory without one."""
        return self._folder

    @property
    def universe(self) -> Universe | None:
        """Who is judged and held when; None for all symbols always."""
        symbols = self.data.symbols if self.source is None else self.source.symbols
        return symbols if isinstance(symbols, Universe) else None

    @property
    def files(self) -> list[str]:
        """The ``.py`` files that the study names; loading it runs their code."""
        named = [
            entry if isinstance(entry, str) else entry.name or "" for entry in [*self.detectors, *self.controls, *self.strategies]
        ]
        rules = [self.threshold, *(entry.threshold for entry in self.detectors if isinstance(entry, DetectorConfig))]
        named += [rule.kind for rule in rules if rule is not None]
        return list(dict.fromkeys(place for name in named if (place := name.rpartition(":")[0]).endswith(".py")))

    def _facts(self) -> Iterator[str]:
        yield shown(self.title, 40)
        yield few([entry if isinstance(entry, str) else entry.label or entry.name or entry.scores for entry in self.detectors], 4)
        yield f"at {few(self.horizons, 4)}"


@door
def load_study(path: str | Path) -> StudyConfig:
    """Read a study from a TOML file.

    Detectors and thresholds that it names as ``"mine.py:Class"`` are loaded, which runs the code of that file; its path is relative
    to the folder of the study file. No other code is run.

    Parameters
    ----------
    path : str or Path
        The TOML file.

    Returns
    -------
    StudyConfig

    Raises
    ------
    ConfigError
        If the file is missing or not valid TOML, or has an unknown key, value, detector or threshold; the message names the key.

    Examples
    --------
    >>> import foreshock as fs
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "study.toml"
    ...     _ = file.write_text('detectors = ["zscore", "pca"]')
    ...     fs.load_study(file).detectors
    ['zscore', 'pca']
    """
    check_path("path", path)
    path = Path(path)
    try:
        content = parse_toml(read_limited(path).decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"no such study file: {path}; pass a TOML file, see examples/study.toml") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder; pass a TOML file, see examples/study.toml") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; pass a TOML file, see examples/study.toml") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {one_line(str(error), 160)}; fix the line") from error
    return parse_study(content, str(path), path.parent)


def parse_study(content: dict[str, Any], source: str = "study", folder: str | Path = ".") -> StudyConfig:
    """A configuration from plain values; see ``load_study``."""
    try:
        config = StudyConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error)}") from error
    config._folder = Path(folder)
    lists = (("detectors", config.detectors, DETECTORS), ("controls", config.controls, DETECTORS))
    for key, entries, registry in (*lists, ("strategies", config.strategies, STRATEGIES)):
        for i, entry in enumerate(entries):
            wanted = DetectorConfig(name=entry) if isinstance(entry, str) else entry
            if isinstance(wanted, DetectorConfig) and wanted.name is None and wanted.scores is None:
                raise ConfigError(f"{source}: key '{key}.{i}.name' is missing; add it")
            # A registered name without parameters needs no check, so that networks are not imported here.
            if wanted.name is not None and (wanted.model_extra or wanted.name not in registry.table):
                _check(registry, source, f"{key}.{i}", wanted.name, wanted.model_extra or {}, config.folder)
            if isinstance(wanted, StrategyConfig):
                continue
            if key == "controls" and wanted.threshold is not None:
                raise ConfigError(f"{source}: key 'controls.{i}.threshold': controls alert by the rule of the study; remove it")
            _check_rule(wanted.threshold, source, f"{key}.{i}.threshold", config.folder)
    _check_rule(config.threshold, source, "threshold", config.folder)
    return config


def _check_rule(rule: ThresholdConfig | None, source: str, key: str, folder: Path) -> None:
    if isinstance(rule, UserThresholdConfig):
        _check(THRESHOLDS, source, key, rule.kind, rule.model_extra or {}, folder)


def _check(registry: Registry, source: str, key: str, name: str, params: dict[str, Any], folder: Path) -> None:
    """Refuse an unknown name, unknown parameters, and parameters of the wrong type."""
    try:
        registry.check_entry(name, params, folder)
    except ConfigError as error:
        raise ConfigError(f"{source}: key {shown(key)}: {error}") from error


# Kinds of pydantic's errors in the words of a TOML file: what is wanted, and what to do.
PLAIN = {
    "list_type": ("must be a list", "put it in brackets"),
    "string_type": ("must be a text", "put it in quotes"),
    "model_type": ("must be a table", "write it as [section], or in braces with its keys"),
    "dict_type": ("must be a table", "write it as [section], or in braces with its keys"),
}


def _explain(error: ValidationError) -> str:
    # Skip "must be a string" for a detector given as a table; prefer a misspelt key, which often explains a missing one.
    problems = [found for found in error.errors() if not (found["type"] == "string_type" and isinstance(found["input"], dict))]
    problem = min(problems or error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    loc = [str(part) for part in problem["loc"]]
    refusal = problem.get("ctx", {}).get("error")
    if not loc and isinstance(refusal, ConfigError):
        return str(refusal)
    # The kind of a threshold stands after its key, and the user did not write it there.
    at = loc.index("threshold") + 1 if "threshold" in loc else len(loc)
    kind = loc.pop(at) if at < len(loc) else None
    # pydantic adds the branch of the union (string or table) to the location; the user did not write it.
    branches = ("DetectorConfig", "StrategyConfig")
    where = ".".join(part for part in loc if part not in ("str", "float") and not any(branch in part for branch in branches))
    if problem["type"] == "extra_forbidden":
        return _unknown_key(loc, where, kind)
    if problem["type"] == "missing":
        return f"key {where!r} is missing; add it"
    if isinstance(refusal, ConfigError):
        return f"key {where!r}: {refusal}"
    said, remedy = PLAIN.get(problem["type"], (problem["msg"].replace(" after validation", ""), "change it"))
    got = repr(problem["input"])
    return f"key {where!r}: {said[0].lower()}{said[1:]}, got {got[:80]}{'…' * (len(got) > 80)}; {remedy}"


def _unknown_key(loc: list[str], where: str, kind: str | None) -> str:
    section: Any = StudyConfig
    if kind is not None:
        section = BY_KIND[kind]
    else:
        for part in loc[:-1]:
            section = _model(section.model_fields[part].annotation)
    known = [field.alias or name for name, field in section.model_fields.items()]
    hint = did_you_mean(loc[-1], known) or "; remove it"
    expected = f"expected one of {', '.join(known)}" if kind is None else f"a {kind} has {', '.join(sorted(known))}"
    return f"unknown key {where!r}; {expected}{hint}"


def _model(annotation: Any) -> Any:
    """The class of a section, which may be left out."""
    return next((arg for arg in get_args(annotation) if isinstance(arg, type) and issubclass(arg, BaseModel)), annotation)

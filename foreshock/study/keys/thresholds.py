"""The threshold section of a study file: one model for each kind, so that a key that does nothing is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Tag, model_validator

from foreshock.data.errors import ConfigError
from foreshock.engine.thresholds.conformal import AdaptiveConformal
from foreshock.engine.thresholds.peaks import PeaksOverThreshold
from foreshock.engine.thresholds.quantiles import RollingQuantile, TrainQuantile
from foreshock.engine.thresholds.registry import HALFLIFE_ALONE, THRESHOLDS
from foreshock.engine.thresholds.volatility import VolatilityScaled
from foreshock.study.keys.types import Fraction, Section, Span


class _Threshold(Section):
    """Keys of every kind of threshold: whether to scale scores by their recent volatility, and the half-life."""

    volatility_scaled: bool = False
    halflife: Span = VolatilityScaled.halflife

    @model_validator(mode="after")
    def _halflife_is_used(self) -> Self:
        if "halflife" in self.model_fields_set and not self.volatility_scaled:
            raise ConfigError(HALFLIFE_ALONE)
        return self


class RollingQuantileConfig(_Threshold):
    kind: Literal["rolling_quantile"] = "rolling_quantile"
    q: Fraction = RollingQuantile.q
    window: Span = RollingQuantile.window


class TrainQuantileConfig(_Threshold):
    kind: Literal["train_quantile"]
    q: Fraction = TrainQuantile.q


class AdaptiveConformalConfig(_Threshold):
    """``AdaptiveConformal`` with the alert rate 1 - q."""

    kind: Literal["adaptive_conformal"]
    q: Fraction = round(1 - AdaptiveConformal.alpha, 12)
    gamma: Fraction = AdaptiveConformal.gamma
    window: Span = AdaptiveConformal.window


class PeaksOverThresholdConfig(_Threshold):
    kind: Literal["peaks_over_threshold"]
    q: Fraction = PeaksOverThreshold.q
    init: Fraction = PeaksOverThreshold.init
    window: Span = PeaksOverThreshold.window
    refit: Span = PeaksOverThreshold.refit


class FixedConfig(_Threshold):
    kind: Literal["fixed"]
    value: float


class UserThresholdConfig(_Threshold):
    """A user's threshold, by name or as ``"mine.py:Class"``, with its parameters as further keys."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    kind: str


def _kind(section: Any) -> str:
    """The tag of the model that validates a threshold section."""
    kind = section.get("kind", "rolling_quantile") if isinstance(section, dict) else getattr(section, "kind", "rolling_quantile")
    return kind if isinstance(kind, str) and kind in THRESHOLDS.table else OTHER_KIND


OTHER_KIND = "another kind"
ThresholdConfig = Annotated[
    Annotated[RollingQuantileConfig, Tag("rolling_quantile")]
    | Annotated[TrainQuantileConfig, Tag("train_quantile")]
    | Annotated[AdaptiveConformalConfig, Tag("adaptive_conformal")]
    | Annotated[PeaksOverThresholdConfig, Tag("peaks_over_threshold")]
    | Annotated[FixedConfig, Tag("fixed")]
    | Annotated[UserThresholdConfig, Tag(OTHER_KIND)],
    Discriminator(_kind),
]


BY_KIND: dict[str, type[_Threshold]] = {
    "rolling_quantile": RollingQuantileConfig,
    "train_quantile": TrainQuantileConfig,
    "adaptive_conformal": AdaptiveConformalConfig,
    "peaks_over_threshold": PeaksOverThresholdConfig,
    "fixed": FixedConfig,
}

"""The regimes of a study: how many there are, and which features they are found and named by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from foreshock.data.bars import Bars
from foreshock.data.checks import check_switch, check_text, did_you_mean
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown
from foreshock.detectors.base import Detector
from foreshock.detectors.clusters.labels import TREND, VOLATILITY, N, Regimes
from foreshock.detectors.clusters.regimes import KMeansRegime, check_regimes, named_at_the_time
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward


@dataclass(frozen=True)
class RegimeSetting:
    """What a study, an exploration and a comparison call a regime.

    Parameters
    ----------
    n : int
        Number of regimes, 2 to 8.
    volatility, trend : str
        Bar features by which regimes are named; see ``kmeans_regime``.
    features : tuple of str, optional
        Bar features by which rows are grouped; by default these two, because names then hold.
    pool : bool
        Whether all symbols share one set of regimes.
    """

    n: int = N
    volatility: str = VOLATILITY
    trend: str = TREND
    features: Sequence[str] | None = None
    pool: bool = True

    def __post_init__(self) -> None:
        check_regimes(self.n)
        check_text("volatility of regimes", self.volatility)
        check_text("trend of regimes", self.trend)
        check_switch("pool of regimes", self.pool)
        if self.features is not None and (isinstance(self.features, str) or not isinstance(self.features, Sequence)):
            raise ConfigError(f"features of regimes must be a list of names, got {shown(self.features)}; put it in brackets")
        missing = [name for name in (self.volatility, self.trend) if name not in self.columns]
        if missing:
            raise ConfigError(
                f"features of regimes must hold {few(missing)}, by which they are named, got {few(self.columns)}; add it"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features by which rows are grouped."""
        return (self.volatility, self.trend) if self.features is None else tuple(self.features)

    def detector(self, seed: int) -> KMeansRegime:
        return KMeansRegime(self.n, self.volatility, self.trend, self.pool, seed)

    def features_of(self, bars: Bars) -> Features:
        return ohlcv_features(bars, self.columns)

    def walk_forward(self, bars: Bars, splits: WalkForward, seed: int, n_jobs: int = 1) -> Regimes:
        """Out-of-sample regimes with the names that were known at the time."""
        return named_at_the_time(self.detector(seed), self.features_of(bars), splits, n_jobs)

    def described(self) -> dict[str, Any]:
        """The setting in plain values; empty for the default."""
        return {} if self == RegimeSetting() else {**asdict(self), "features": list(self.columns)}


def regime_setting(given: object, detectors: Iterable[Detector] = ()) -> RegimeSetting:
    """The setting of a study from a number, a mapping of its keys, or, for None, its own ``kmeans_regime`` where it has one."""
    if isinstance(given, RegimeSetting):
        return given
    if given is None:
        own = next((detector for detector in detectors if isinstance(detector, KMeansRegime)), None)
        if own is None:
            return RegimeSetting()
        try:
            return RegimeSetting(own.n_regimes, own.volatility, own.trend, pool=own.pool)
        except ConfigError:
            # The detector refuses its parameters itself, in its own words.
            return RegimeSetting()
    if isinstance(given, int):
        return RegimeSetting(given)
    if isinstance(given, Mapping):
        known = list(RegimeSetting.__dataclass_fields__)
        for key in given:
            if key not in known:
                raise ConfigError(
                    f"unknown key {shown(key)} of regimes; expected one of {', '.join(known)}{did_you_mean(str(key), known)}"
                )
        return RegimeSetting(**given)
    raise ConfigError(
        f"regimes must be a number or a dict of n, volatility, trend, features and pool, got {shown(given)}; such as 3"
    )

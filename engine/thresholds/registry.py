"""Registry of thresholds: build a rule from a name and parameters, and find the name and parameters of a rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreshock.data.checks import check_switch, check_text
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.registry import Registry
from foreshock.engine.scores import Threshold, check_threshold

_TABLE = {
    "rolling_quantile": ".quantiles:RollingQuantile",
    "train_quantile": ".quantiles:TrainQuantile",
    "adaptive_conformal": ".conformal:AdaptiveConformal",
    "peaks_over_threshold": ".peaks:PeaksOverThreshold",
    "fixed": ".quantiles:Fixed",
}


def _is_threshold(cls: Any) -> bool:
    return isinstance(cls, type) and callable(getattr(cls, "threshold", None))


THRESHOLDS = Registry(
    "threshold",
    _TABLE,
    str(__package__),
    "foreshock.thresholds",
    _is_threshold,
    "a class with a method threshold(scores)",
)


def threshold_kinds() -> list[str]:
    """Names of the built-in thresholds, then those of ``register_threshold`` and of installed packages.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.threshold_kinds()[:2]
    ['rolling_quantile', 'train_quantile']
    """
    return THRESHOLDS.names()


@door
def register_threshold(name: str, cls: type | str) -> None:
    """Register your own threshold under a name, for scripts and study files of this process.

    An installed package can register one for every process with an entry point of the group ``foreshock.thresholds``.

    Parameters
    ----------
    name : str
        Name other than the built-in ones; a name that you have registered before is replaced.
    cls : type or str
        A class with ``threshold(scores)``, ``nominal_rate`` and ``needs_train_scores``, or its location
        ``"package.module:Class"`` or ``"mine.py:Class"``, which is imported on first use.

    Raises
    ------
    ConfigError
        If the name is built in, or the class is not a threshold.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.register_threshold("mine", fs.Scores)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: 'mine' is not a threshold: it must be a class with a method threshold(scores), got ...
    """
    THRESHOLDS.register(name, cls)


HALFLIFE_ALONE = "halflife does nothing without volatility_scaled; add volatility_scaled = true, or remove halflife"


@door
def make_threshold(kind: str, **params: Any) -> Threshold:
    """A threshold by name.

    Parameters
    ----------
    kind : str
        One of ``fs.threshold_kinds()``, ``"package.module:Class"`` or ``"mine.py:Class"``, whose code is then run.
    **params
        Parameters of the threshold, with the names of a study file: ``adaptive_conformal`` also takes ``q``, which is 1 - alpha,
        and every kind takes ``volatility_scaled`` and ``halflife``; see ``VolatilityScaled``.

    Returns
    -------
    Threshold

    Raises
    ------
    ConfigError
        If the name or a parameter is unknown, or a value is of the wrong type; if a module raises when it is imported or lacks
        the class, or the class is not a threshold.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.make_threshold("fixed", value=3.0)
    Fixed(value=3.0)
    >>> fs.make_threshold("rolling_quantile", q=0.98, volatility_scaled=True)
    VolatilityScaled(policy=RollingQuantile(q=0.98, window='60D'), halflife='2D')
    """
    check_text("kind", kind)
    if "halflife" in params and not params.get("volatility_scaled", False):
        raise ConfigError(HALFLIFE_ALONE)
    return build_threshold(kind, params)


def build_threshold(kind: str, params: Mapping[str, Any], folder: str | Path | None = None) -> Threshold:
    """``make_threshold`` with ``.py`` files relative to ``folder``, by default the working directory."""
    from foreshock.engine.thresholds.volatility import VolatilityScaled

    own = {key: value for key, value in params.items() if key not in ("volatility_scaled", "halflife")}
    if kind == "adaptive_conformal" and "q" in own:
        if "alpha" in own:
            raise ConfigError("adaptive_conformal takes alpha or q, which is 1 - alpha, got both; leave one out")
        own["alpha"] = round(1 - own.pop("q"), 12)
    check_switch("volatility_scaled", params.get("volatility_scaled", False))
    rule = THRESHOLDS.make(kind, own, folder)
    check_threshold(rule)
    if params.get("volatility_scaled", False):
        return VolatilityScaled(rule, params.get("halflife", VolatilityScaled.halflife))
    return rule


def threshold_section(rule: Threshold) -> dict[str, Any]:
    """The kind and the parameters that rebuild the rule: ``make_threshold(**threshold_section(rule)) == rule``.

    Examples
    --------
    >>> import foreshock as fs
    >>> from foreshock.engine.thresholds.registry import threshold_section
    >>> threshold_section(fs.Fixed(3.0))
    {'kind': 'fixed', 'value': 3.0}
    """
    from foreshock.engine.thresholds.volatility import VolatilityScaled

    if isinstance(rule, VolatilityScaled):
        return {**threshold_section(rule.policy), "volatility_scaled": True, "halflife": rule.halflife}
    name = THRESHOLDS.name_of(type(rule))
    return {"kind": name, **{key: getattr(rule, key) for key in THRESHOLDS.defaults(type(rule))}}


def described(rule: Threshold) -> dict[str, Any]:
    """Class and fields of a threshold and of the threshold it wraps, as stored in ``results.json``."""
    fields = {name: described(value) if hasattr(value, "nominal_rate") else value for name, value in vars(rule).items()}
    return {"kind": type(rule).__name__, **fields}

"""The order of detectors and strategies on a page, and the test that decides a verdict."""

from collections.abc import Iterable, Mapping
from typing import Any

from foreshock.strategies.identity import BASELINE, RANDOM, STRATEGY

VERDICTS = ("adds information", "echoes volatility", "no information", "too few events", "not tested")


def detectors_by_verdict(results: Mapping[str, Any]) -> list[str]:
    """Detectors, strongest verdict first; within a verdict, by the deciding ratio in descending order."""
    key = deciding_ratio(results)[0]

    def rank(name: str) -> tuple[int, float]:
        detector = results["detectors"][name]
        verdict = detector.get("verdict")
        ratio = decisive(detector)[1].get(key)
        return VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS), -ratio if ratio is not None else 0.0

    return sorted(results["detectors"], key=rank)


def decisive(detector: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The horizon of the verdict (`verdict_horizon`, or else the last one listed), and its row."""
    forward = detector.get("forward") or {}
    horizon = detector.get("verdict_horizon") or next(reversed(forward), "")
    return horizon, forward.get(horizon, {})


def surrogates_decide(results: Mapping[str, Any]) -> bool:
    """Whether the study has surrogate histories; without them the volatility-matched ratio decides."""
    return bool((results.get("surrogates") or {}).get("n"))


def deciding_ratio(results: Mapping[str, Any]) -> tuple[str, str, str]:
    """Keys of the deciding ratio and of its interval, and the label of the ratio."""
    if surrogates_decide(results):
        return "path_effect", "path_effect_ci", "Beyond surrogates"
    return "matched_ratio", "ci", "Matched ratio"


def verdict_kind(verdict: object) -> str:
    """The style sheet class of a verdict."""
    return {label: label.split()[0] for label in VERDICTS}.get(str(verdict), "unknown")


def strategy_kind(name: str, results: Mapping[str, Any]) -> str:
    """The role of a strategy in the study; STRATEGY if it has no backtest."""
    return (results["backtests"].get(name) or {}).get("role", STRATEGY)


def strategies_in_order(names: Iterable[str], results: Mapping[str, Any]) -> list[str]:
    """Baselines first, then strategies, then random timing; within each by the verdict of the detector they act on."""
    order, ranked = (BASELINE, STRATEGY, RANDOM), detectors_by_verdict(results)

    def rank(name: str) -> tuple[int, int]:
        detector = detector_of(name, results)
        return order.index(strategy_kind(name, results)), ranked.index(detector) if detector in ranked else len(ranked)

    return sorted(names, key=rank)


def detector_of(strategy: str, results: Mapping[str, Any]) -> str | None:
    """The detector that a strategy acts on, or None."""
    return (results["backtests"].get(strategy) or {}).get("detector")


def strategy_of(detector: str, results: Mapping[str, Any], role: str = STRATEGY) -> str | None:
    """The strategy with a role that acts on a detector, or None."""
    found = results["backtests"].items()
    return next((name for name, entry in found if entry["detector"] == detector and entry["role"] == role), None)

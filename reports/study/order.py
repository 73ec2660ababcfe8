"""The order of detectors and strategies on a page, and the test that decides a verdict."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from foreshock.engine.validation.rungs.result import RUNGS
from foreshock.engine.validation.verdict import CALMER, CANDIDATE, FINDINGS, LABELS
from foreshock.strategies.identity import BASELINE, RANDOM, STRATEGY

# The last one stands in results of before, in which surrogates decided.
VERDICTS = (*LABELS, "not tested")


def detectors_by_verdict(results: Mapping[str, Any]) -> list[str]:
    """Detectors, strongest verdict first; within a verdict, by the deciding ratio, the largest first, or the smallest of calm."""
    key = deciding_ratio(results)[0]

    def rank(name: str) -> tuple[int, float]:
        detector = results["detectors"][name]
        verdict = detector.get("verdict")
        ratio = decisive(detector)[1].get(key)
        sign = 1 if str(verdict).endswith(CALMER) else -1
        return verdict_rank(verdict), sign * ratio if ratio is not None else 0.0

    return sorted(results["detectors"], key=rank)


def verdict_rank(verdict: object) -> int:
    """Place of a verdict in the order of strength, 0 for the strongest; after all others if there is no such verdict."""
    return VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)


def decisive(detector: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The horizon of the verdict (`verdict_horizon`, or else the last one listed), and its row."""
    forward = detector.get("forward") or {}
    horizon = detector.get("verdict_horizon") or next(reversed(forward), "")
    return horizon, forward.get(horizon, {})


def on_rung(detector: Mapping[str, Any], rung: int, horizon: str) -> Mapping[str, Any]:
    """The deciding test of a detector against the first forecast (0) or the second (1); empty where there is none."""
    return ((detector.get("rungs") or {}).get(RUNGS[rung]) or {}).get(horizon) or {}


def forecasts_decide(results: Mapping[str, Any]) -> bool:
    """Whether forecasts decided the verdicts; in results of before, surrogates or the volatility-matched ratio did."""
    return any(detector.get("rungs") for detector in results["detectors"].values())


def has_surrogates(results: Mapping[str, Any]) -> bool:
    """Whether the study has surrogate histories."""
    return bool((results.get("surrogates") or {}).get("n"))


def deciding_ratio(results: Mapping[str, Any]) -> tuple[str, str, str]:
    """Keys of the deciding ratio and of its interval, and the label of the ratio."""
    if forecasts_decide(results):
        return "expected_ratio", "expected_ci", "Beyond the forecast"
    if has_surrogates(results):
        return "path_effect", "path_effect_ci", "Beyond surrogates"
    return "matched_ratio", "ci", "Matched ratio"


def is_finding(verdict: object) -> bool:
    """Whether a verdict says that moves after alerts differ from what was expected, candidates among them."""
    return str(verdict).removeprefix(CANDIDATE) in FINDINGS


def verdict_kind(verdict: object) -> str:
    """The style sheet class of a verdict."""
    return str(verdict).split()[0].rstrip(":") if verdict in VERDICTS else "unknown"


def strategy_kind(name: str, results: Mapping[str, Any]) -> str:
    """The role of a strategy in the study; STRATEGY if it has no backtest."""
    return (results["backtests"].get(name) or {}).get("role", STRATEGY)


def strategies_in_order(names: Iterable[str], results: Mapping[str, Any]) -> list[str]:
    """Baselines first, then strategies, then random timing; within each strategy by the verdict of the detector it acts on."""
    order, ranked = (BASELINE, STRATEGY, RANDOM), detectors_by_verdict(results)
    groups = list(dict.fromkeys(entry.get("strategy") for entry in results["backtests"].values()))

    def rank(name: str) -> tuple[int, int, int]:
        detector, group = detector_of(name, results), group_of(name, results)
        return (
            order.index(strategy_kind(name, results)),
            groups.index(group) if group in groups else len(groups),
            ranked.index(detector) if detector in ranked else len(ranked),
        )

    return sorted(names, key=rank)


def group_of(name: str, results: Mapping[str, Any]) -> str | None:
    """The strategy of an account, whatever the detector; None if it has no backtest."""
    return (results["backtests"].get(name) or {}).get("strategy")


def n_groups(names: Iterable[str], results: Mapping[str, Any]) -> int:
    """How many different strategies these accounts are of."""
    return len({group_of(name, results) for name in names})


def first_shown(names: Sequence[str], results: Mapping[str, Any], most: int) -> list[str]:
    """Up to ``most`` strategies under test: first the strongest account of each, then the others in their order."""
    tested = [name for name in names if strategy_kind(name, results) == STRATEGY]
    strongest = list({group_of(name, results): name for name in reversed(tested)}.values())[::-1]
    chosen = [*strongest, *(name for name in tested if name not in strongest)][:most]
    return [name for name in tested if name in chosen]


def partner_of(name: str, results: Mapping[str, Any]) -> str | None:
    """The strategy that random timings are held against, or None."""
    entry = results["backtests"].get(name) or {}
    of, detector = entry.get("of"), entry.get("detector")
    if of is None:
        return strategy_of(detector or "", results)
    found = results["backtests"].items()
    return next((own for own, other in found if other.get("strategy") == of and other["detector"] == detector), None)


def detector_of(strategy: str, results: Mapping[str, Any]) -> str | None:
    """The detector that a strategy acts on, or None."""
    return (results["backtests"].get(strategy) or {}).get("detector")


def strategy_of(detector: str, results: Mapping[str, Any], role: str = STRATEGY) -> str | None:
    """The strategy with a role that acts on a detector, or None."""
    found = results["backtests"].items()
    return next((name for name, entry in found if entry["detector"] == detector and entry["role"] == role), None)

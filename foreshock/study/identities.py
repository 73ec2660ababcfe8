"""Strategy, detector and role of every entry of results.json, with the missing ones of older files filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.baselines import BuyAndHold, EqualWeight, RandomAvoidance
from foreshock.strategies.identity import BASELINE, RANDOM, STRATEGY, Identity

ROLES = {RandomAvoidance.name: RANDOM, BuyAndHold.name: BASELINE, EqualWeight.name: BASELINE}
DETECTOR_ROLES = {"random": "baseline", "volatility_only": "baseline", "range_only": "baseline", "planted_foreshocks": "oracle"}


def with_identities(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results with ``strategy``, ``detector`` and ``role`` in every backtest and ``role`` in every detector.

    Entries that have these keys keep them. Files of older versions only have displayed names, which this module alone parses.

    Parameters
    ----------
    results : dict
        Content of results.json.

    Examples
    --------
    >>> old = {"detectors": {"random": {}}, "backtests": {"anomaly_avoidance[random]": {"total_return": 0.1}}}
    >>> from foreshock.study.identities import with_identities
    >>> with_identities(old)["backtests"]["anomaly_avoidance[random]"]
    {'strategy': 'anomaly_avoidance', 'detector': 'random', 'role': 'strategy', 'of': None, 'total_return': 0.1}
    """
    backtests = {name: {**asdict(_named(name)), **entry} for name, entry in (results.get("backtests") or {}).items()}
    detectors = {label: {"role": DETECTOR_ROLES.get(label, "detector"), **entry} for label, entry in results["detectors"].items()}
    return {**results, "detectors": detectors} | ({"backtests": backtests} if "backtests" in results else {})


def _named(name: str) -> Identity:
    strategy, bracket, rest = name.partition("[")
    # A detector's label may contain brackets: only the last one closes the name.
    detector = rest.removesuffix("]") if bracket and strategy in (AnomalyAvoidance.name, RandomAvoidance.name) else None
    return Identity(name if detector is None else strategy, detector, ROLES.get(strategy, STRATEGY))

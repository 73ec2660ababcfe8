"""A study in the trial ledger, and what the ledger takes off its Sharpe ratios."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from foreshock.data.checks import check_type
from foreshock.engine.trials.chain import Entry
from foreshock.engine.trials.ledger import TRIAL, Ledger
from foreshock.engine.validation.selection.sharpe import deflated_sharpe, sharpe_estimate
from foreshock.plain import plain
from foreshock.study.result import StudyResult

# What a verdict was decided on; a study may have more.
EVIDENCE = ("n_events", "abs_move_ratio", "matched_ratio", "p_naive", "p_matched", "p_surrogate", "q")


def record_study(result: StudyResult, ledger: Ledger) -> StudyResult:
    """Write a study into the ledger and deflate its Sharpe ratios by everything the ledger has seen on the same data.

    The entry holds the study's configuration (without its title), the hash of its bars, what each verdict was decided on, and of
    each strategy the Sharpe ratio per bar and a hash of its returns.

    Returns
    -------
    StudyResult
        With ``deflated_sharpe`` in each backtest of ``results`` and with ``results["trials"]``; see ``deflate_study``.
    """
    check_type("result", result, StudyResult, "run one with fs.Study")
    check_type("ledger", ledger, Ledger, "make one with fs.Ledger")
    configuration = {key: value for key, value in result.results["config"].items() if key != "title"}
    found = {"title": result.title, "detectors": _evidence(result), "strategies": _strategies(result)}
    entry = ledger.append(configuration, result.results["data"]["hash"], found)
    return deflate_study(result, ledger, entry)


def deflate_study(result: StudyResult, ledger: Ledger | None = None, entry: Entry | None = None) -> StudyResult:
    """The study with the deflated Sharpe ratio of each strategy; nothing is written.

    Trials are the study's own strategies and all that the ledger holds on data of the same hash. Strategies with the same returns
    are one trial, whatever they were called; configurations without strategies count as one each. ``results["trials"]`` says how
    many there were, the variance of their Sharpe ratios per bar, and which entry of the ledger the study is.
    """
    check_type("result", result, StudyResult, "run one with fs.Study")
    if ledger is not None:
        check_type("ledger", ledger, Ledger, "such as fs.Ledger('ledger.jsonl')")
    if entry is not None:
        check_type("entry", entry, Entry, "the one that fs.record_study returns")
    data_hash = result.results["data"]["hash"]
    own = _strategies(result)
    tried = {strategy["returns"]: strategy["sharpe"] for strategy in own.values()}
    n_configurations = 0
    if ledger is not None:
        n_configurations = ledger.count(data_hash)
        tried |= dict(_known_strategies(ledger.entries(), data_hash))
    ratios = [ratio for ratio in tried.values() if ratio is not None]
    n_trials = max(len(tried), n_configurations)
    # One ratio has no spread: the luck of several trials is then not known.
    variance = float(np.var(ratios, ddof=1)) if len(ratios) > 1 else None
    backtests = dict(result.results["backtests"])
    for name, backtest in result.backtests.items():
        left = None
        if variance is not None or n_trials == 1:
            left = deflated_sharpe(backtest.returns, n_trials, variance or 0.0).probability
        backtests[name] = {**backtests[name], "deflated_sharpe": plain(left)}
    trials = {
        "n_trials": n_trials,
        "n_configurations": n_configurations,
        "sharpe_variance": variance,
        "ledger": {"sequence": entry.sequence, "sha256": entry.sha256} if entry is not None else None,
    }
    return replace(result, results={**result.results, "backtests": backtests, "trials": trials})


def _known_strategies(entries: Iterable[Entry], data_hash: str) -> Iterable[tuple[str, float | None]]:
    for entry in entries:
        if entry.kind == TRIAL and entry.data_hash == data_hash:
            for strategy in entry.result.get("strategies", {}).values():
                yield strategy["returns"], strategy["sharpe"]


def _strategies(result: StudyResult) -> dict[str, dict[str, Any]]:
    found = {}
    for name, backtest in result.backtests.items():
        estimate = sharpe_estimate(backtest.returns)
        # Adding zero turns -0.0 into 0.0.
        returns = hashlib.sha256((backtest.returns + 0.0).astype("<f8").tobytes()).hexdigest()
        found[name] = {"sharpe": plain(estimate.ratio), "n": estimate.n, "returns": returns}
    return found


def _evidence(result: StudyResult) -> dict[str, dict[str, Any]]:
    return {
        label: {
            "verdict": section["verdict"],
            "horizon": section["verdict_horizon"],
            "forward": {
                horizon: {key: moves[key] for key in EVIDENCE if key in moves} for horizon, moves in section["forward"].items()
            },
        }
        for label, section in result.results["detectors"].items()
    }


def describe(entry: Entry) -> str:
    """What an entry holds, in a line."""
    found = entry.result
    if entry.kind != TRIAL or "strategies" not in found:
        return f"{found.get('dropped_bytes')} bytes of a torn line dropped" if entry.kind == "repair" else ""
    known = {name: strategy["sharpe"] for name, strategy in found["strategies"].items() if strategy["sharpe"] is not None}
    counts = f"{found.get('title', '')}: {len(found.get('detectors', {}))} detectors, {len(found['strategies'])} strategies"
    if not known:
        return counts
    best = max(known, key=lambda name: known[name])
    return f"{counts}, best {best} with a Sharpe ratio of {known[best]:.4f} a bar"

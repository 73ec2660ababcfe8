"""Record a study in the trial ledger, and deflate its Sharpe ratios by the number of trials."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.engine.trials.chain import Entry
from foreshock.engine.trials.ledger import TRIAL, Ledger
from foreshock.engine.validation.selection.sharpe import deflated_sharpe, sharpe_estimate
from foreshock.plain import plain
from foreshock.study.result import StudyResult

# The figures that a ledger entry keeps for each verdict.
EVIDENCE = ("n_events", "abs_move_ratio", "matched_ratio", "p_naive", "p_matched", "p_surrogate", "q")


@door
def record_study(result: StudyResult, ledger: Ledger) -> StudyResult:
    """Write a study into the ledger, and deflate its Sharpe ratios by all trials in the ledger on the same data.

    The entry holds the study's configuration (without its title), the hash of its bars, the figures behind each verdict, and for
    each strategy the Sharpe ratio per bar and a hash of its returns.

    Parameters
    ----------
    result : StudyResult
        The study to record.
    ledger : Ledger
        The ledger to append to.

    Returns
    -------
    StudyResult
        A copy with ``deflated_sharpe`` in each backtest of ``results`` and with ``results["trials"]``; see ``deflate_study``.

    Raises
    ------
    ConfigError
        If an argument has another type.
    DataError
        If the ledger is damaged or cannot be written.

    Examples
    --------
    >>> import foreshock as fs
    >>> ledger = fs.Ledger("trials.jsonl")
    >>> result = fs.Study(bars, ["zscore"]).run()  # doctest: +SKIP
    >>> fs.record_study(result, ledger).results["trials"]["n_trials"]  # doctest: +SKIP
    """
    check_type("result", result, StudyResult, "run one with fs.Study")
    check_type("ledger", ledger, Ledger, "make one with fs.Ledger")
    configuration = {key: value for key, value in result.results["config"].items() if key != "title"}
    found = {"title": result.title, "detectors": _evidence(result), "strategies": _strategies(result)}
    entry = ledger.append(configuration, result.results["data"]["hash"], found)
    return deflate_study(result, ledger, entry)


@door
def deflate_study(result: StudyResult, ledger: Ledger | None = None, entry: Entry | None = None) -> StudyResult:
    """Compute the deflated Sharpe ratio of each strategy of a study [1]_; nothing is written.

    The trials are the study's own strategies and those in the ledger on data of the same hash. Strategies with equal returns are
    one trial, whatever their names; configurations without strategies count as one each. ``results["trials"]`` has the number of
    trials, the variance of their Sharpe ratios per bar, and the study's entry in the ledger.

    Parameters
    ----------
    result : StudyResult
        The study.
    ledger : Ledger, optional
        Ledger of earlier trials; by default only the study's own strategies count.
    entry : Entry, optional
        The study's own entry in the ledger.

    Returns
    -------
    StudyResult
        A copy with ``deflated_sharpe``, a probability, in each backtest of ``results``; None where it is not known.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2014), The deflated Sharpe ratio: correcting for selection bias, backtest overfitting and
       non-normality.

    Examples
    --------
    >>> import foreshock as fs
    >>> result = fs.Study(bars, ["zscore"]).run()  # doctest: +SKIP
    >>> fs.deflate_study(result).results["trials"]["n_trials"]  # doctest: +SKIP
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
    # A single ratio has no variance, so the expected maximum of several trials is unknown.
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
    """One line that describes an entry of the ledger."""
    found = entry.result
    strategies, detectors = found.get("strategies"), found.get("detectors", {})
    # An entry of another program's own may have anything under these names.
    if entry.kind != TRIAL or not isinstance(strategies, Mapping) or not isinstance(detectors, Mapping):
        return f"{found.get('dropped_bytes')} bytes of a torn line dropped" if entry.kind == "repair" else ""
    ratios = {name: strategy.get("sharpe") for name, strategy in strategies.items() if isinstance(strategy, Mapping)}
    known = {name: ratio for name, ratio in ratios.items() if isinstance(ratio, float | int)}
    counts = f"{found.get('title', '')}: {len(detectors)} detectors, {len(strategies)} strategies"
    if not known:
        return counts
    best = max(known, key=lambda name: known[name])
    return f"{counts}, best {best} with a Sharpe ratio of {known[best]:.4f} a bar"

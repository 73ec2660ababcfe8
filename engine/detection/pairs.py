"""Detectors compared in pairs on the same labelled events."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from foreshock.data.checks import check_mapping, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few
from foreshock.engine.detection.report import DetectionReport, Tally
from foreshock.engine.statistics.proportions import Z_95
from foreshock.engine.validation.selection.multiple import holm

COMPARED = ("recall", "precision", "f1", "auc_pr", "vus_pr")
N_EXCHANGES = 1_999


@door
def compare_detections(reports: Mapping[str, DetectionReport]) -> pd.DataFrame:
    """Differences in detection quality of each pair of detectors, on the same events.

    Both detectors of a pair are measured on the same draws of blocks of time, so that what is easy or hard to find is so for both.
    The interval (95 %) is the difference plus and minus 1.96 of its standard deviations over the draws. For ``recall``,
    ``precision`` and ``f1``, p is that of a permutation test [1]_: the share of 1,999 random exchanges of the two detectors, block
    by block, whose difference is at least as large; a normal p-value would find too much among few events. For ``auc_pr`` and
    ``vus_pr`` p is the two-sided normal p-value of the difference. ``p_adjusted`` is p after Holm [2]_ over all pairs of the same
    metric.

    Parameters
    ----------
    reports : dict of str to DetectionReport
        By label, at least two, all made by ``fs.detection_report`` on the same events, rows, blocks and seed.

    Returns
    -------
    DataFrame
        One row for each pair and metric: ``first``, ``second``, ``metric``, ``value_first``, ``value_second``, ``difference``, its
        interval ``low`` to ``high``, ``p``, ``p_adjusted``, ``n_events``, and ``only_first`` and ``only_second``, the events that
        only one caught. NaN where it is not known, as p is where nothing differs.

    Raises
    ------
    ConfigError
        If there are fewer than two reports, or they are on other events, rows or draws.

    References
    ----------
    .. [1] Noreen (1989), Computer-intensive methods for testing hypotheses.
    .. [2] Holm (1979), A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(2_000) * np.timedelta64(1, "h")
    >>> start = np.arange(20, 1_980, 40)
    >>> events = fs.Events(np.zeros(49, int), start, start + 3, (2_000, 1))
    >>> noise = np.random.default_rng(0).random((2_000, 1))
    >>> def report(strength):
    ...     scores = fs.Scores(time, ("A",), noise + strength * events.labels(), np.timedelta64(1, "h"))
    ...     return fs.detection_report(scores, scores.signals(fs.Fixed(0.98)), events)
    >>> found = fs.compare_detections({"strong": report(0.9), "weak": report(0.1)})
    >>> found.set_index("metric").loc[["recall", "f1"], ["difference", "low", "high", "only_first"]].round(2)
            difference   low  high  only_first
    metric
    recall        0.67  0.55  0.79          33
    f1            0.41  0.31  0.51          33
    """
    check_mapping("reports", reports)
    for report in reports.values():
        check_type("each of reports", report, DetectionReport, "make them with fs.detection_report")
    if len(reports) < 2:
        raise ConfigError(f"reports must be at least two to be compared, got {len(reports)}; pass those of two detectors")
    one = next(iter(reports.values())).draws.get("n_events", np.zeros(0))
    other = [label for label, report in reports.items() if not np.array_equal(report.draws.get("n_events", np.ones(1)), one)]
    if other:
        raise ConfigError(
            f"reports must be on the same events, rows and draws, got others of {few(other)}; make them with the same "
            "events, counted, block and seed"
        )
    rows = [
        _pair(first, reports[first], second, reports[second], metric)
        for metric in COMPARED
        for first, second in combinations(reports, 2)
    ]
    table = pd.DataFrame(rows)
    table["p_adjusted"] = table.groupby("metric")["p"].transform(lambda p: holm(p.to_numpy()))
    order = ["first", "second", "metric", "value_first", "value_second", "difference", "low", "high", "p", "p_adjusted"]
    return table[[*order, "n_events", "only_first", "only_second"]]


def _pair(first: str, one: DetectionReport, second: str, two: DetectionReport, metric: str) -> dict[str, Any]:
    values = one.metrics[metric].value, two.metrics[metric].value
    difference = values[0] - values[1]
    drawn = one.draws[metric] - two.draws[metric]
    known = drawn[~np.isnan(drawn)]
    # Draws without an alert have no precision; a deviation of the few others would not be that of all.
    spread = float(known.std()) if len(known) >= 0.95 * len(drawn) else float("nan")
    only = int((one.caught & ~two.caught).sum()), int((two.caught & ~one.caught).sum())
    p = float("nan")
    if metric in ("auc_pr", "vus_pr"):
        p = float(2 * stats.norm.sf(abs(difference) / spread)) if spread > 0 else p
    elif difference != 0 and not np.isnan(difference):
        p = _exchanged(one.tally, two.tally, metric, difference)
    return {
        "first": first,
        "second": second,
        "metric": metric,
        "value_first": values[0],
        "value_second": values[1],
        "difference": difference,
        "low": difference - Z_95 * spread,
        "high": difference + Z_95 * spread,
        "p": p,
        "n_events": one.n_events,
        "only_first": only[0],
        "only_second": only[1],
    }


def _exchanged(one: Tally, two: Tally, metric: str, difference: float) -> float:
    """Share of exchanges of two detectors, block by block, whose metric differs at least as much; the data count as one of them."""
    swapped = np.random.default_rng(0).random((N_EXCHANGES, len(one.n_events))) < 0.5
    names = ("n_events", "n_caught", "n_false")
    parts = [(getattr(one, name), getattr(two, name)) for name in names]
    sides = [[(kept * a + (1 - kept) * b).sum(axis=1) for a, b in parts] for kept in (~swapped * 1.0, swapped * 1.0)]
    first, second = (_metric(events, caught, false, metric) for events, caught, false in sides)
    drawn = np.abs(first - second)
    # A difference that is not known, of a side without an alert, does not speak against chance.
    exceeding = ~(drawn < abs(difference) - 1e-12)
    return float((1 + exceeding.sum()) / (1 + N_EXCHANGES))


def _metric(events: np.ndarray, caught: np.ndarray, false: np.ndarray, metric: str) -> np.ndarray:
    top, bottom = {
        "recall": (caught, events),
        "precision": (caught, caught + false),
        "f1": (2 * caught, events + caught + false),
    }[metric]
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)

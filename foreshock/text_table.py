"""The short table that ``print`` shows for a study result."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from foreshock.data.show.shown import one_line

WIDTH = 80
# Column, the two lines of its header, and the format of its numbers; None for text.
COLUMNS = (
    ("detector", ("", "detector"), None),
    ("verdict", ("", "verdict"), None),
    ("horizon", ("", "over"), None),
    ("alerts", ("", "alerts"), "d"),
    ("beyond", ("", "beyond"), ".2f"),
    ("q", ("", "q"), ".3f"),
    ("avoidance_return", ("avoidance", "return"), "+.1%"),
    ("luck_below", ("luck", "below"), ".0%"),
)
LEGEND = (
    "alerts: those that were followed; others within the cool-down are not counted",
    "beyond: activity after alerts, over that which past prices lead one to expect",
    "avoidance return: of cutting exposure after alerts, after costs",
    "luck below: share of random timings of the same exits that earned less",
)
GAPS = ("", "  ", "  ", " ", " ", " ", " ", " ")


def summary_in_words(rows: Iterable[Mapping[Hashable, Any]]) -> str:
    """The rows of a short summary below a header, in at most 80 columns.

    A detector's name that does not fit is shortened.

    Examples
    --------
    >>> row = {"detector": "zscore", "verdict": "echoes volatility", "horizon": "24h", "alerts": 312, "beyond": 1.02, "q": 0.4}
    >>> print(summary_in_words([row | {"avoidance_return": 0.031, "luck_below": 0.55}]))
                                                       avoidance  luck
    detector  verdict            over alerts beyond     q    return below
    zscore    echoes volatility  24h     312   1.02 0.400     +3.1%   55%
    <BLANKLINE>
    alerts: those that were followed; others within the cool-down are not counted
    beyond: activity after alerts, over that which past prices lead one to expect
    avoidance return: of cutting exposure after alerts, after costs
    luck below: share of random timings of the same exits that earned less
    """
    cells = [[header[0] for _, header, _ in COLUMNS], [header[1] for _, header, _ in COLUMNS]]
    cells += [[_cell(row[name], kind) for name, _, kind in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - sum(map(len, GAPS)))
    lines = []
    for line in cells:
        aligned = [
            one_line(cell, width).ljust(width) if kind is None else cell.rjust(width)
            for cell, width, (_, _, kind) in zip(line, widths, COLUMNS, strict=True)
        ]
        lines.append("".join(gap + cell for gap, cell in zip(GAPS, aligned, strict=True)).rstrip())
    return "\n".join([*lines, "", *LEGEND])


def _cell(value: Any, kind: str | None) -> str:
    if kind is None:
        return str(value)
    return "–" if np.isnan(value) else format(value, kind)

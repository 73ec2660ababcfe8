"""What is known of cases: the labels that lie in them, and the labelled events that no case caught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.labels import DISPOSITIONS, Labels


@dataclass(frozen=True)
class Known:
    """Labels held against cases.

    Parameters
    ----------
    disposition, label : tuple of str, one for each case
        What is said of the case, ``"true"``, ``"false"`` or ``"unsure"``, and kinds and notes of the labels; empty where no label
        lies in it. Where labels differ, ``"true"`` counts before ``"unsure"``, and that before ``"false"``.
    events : DataFrame
        The labels that are true and of the rows that were scored: ``symbol start stop kind note``, and ``case_id`` of the first
        case that holds each, empty where none does.
    """

    disposition: tuple[str, ...]
    label: tuple[str, ...]
    events: pd.DataFrame


def known_of(cases: pd.DataFrame, labels: Labels, first: np.datetime64) -> Known:
    """Hold labels against cases: a label is in a case if they have a moment in common.

    Parameters
    ----------
    cases : DataFrame
        As ``cases_of`` returns it.
    labels : Labels
        What is known to have happened.
    first : datetime64
        Time of the first row that was scored; labels that stop before it could not be found.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import foreshock as fs
    >>> at = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])
    >>> stop = at + pd.Timedelta("1h")
    >>> cases = pd.DataFrame({"case_id": ["a", "b", "c"], "symbol": "X", "start": at, "stop": stop})
    >>> said = {"symbol": "X", "start": at[[0, 1]], "kind": "pump", "disposition": ["true", "false"], "note": ["", "a listing"]}
    >>> known = known_of(cases, fs.Labels.from_frame(pd.DataFrame(said)), np.datetime64("2024-01-01"))
    >>> known.disposition, known.label, known.events["case_id"].tolist()
    (('true', 'false', ''), ('pump', 'pump: a listing', ''), ['a'])
    """
    start, stop = (cases[name].to_numpy(dtype="datetime64[us]") for name in ("start", "stop"))
    symbols = cases["symbol"].to_numpy()
    table = labels.to_frame()
    table = table[table["stop"].to_numpy(dtype="datetime64[us]") > first]
    within = [
        np.flatnonzero((symbols == row["symbol"]) & (start < np.datetime64(row["stop"])) & (np.datetime64(row["start"]) < stop))
        for _, row in table.iterrows()
    ]
    mine: list[list[int]] = [[] for _ in range(len(cases))]
    for at, found in enumerate(within):
        for case in found:
            mine[case].append(at)
    said = table["disposition"].tolist()
    words = [kind + (f": {note}" if note else "") for kind, note in zip(table["kind"], table["note"], strict=True)]
    ids = cases["case_id"].tolist()
    held = [ids[found[0]] if len(found) else "" for found in within]
    events = table.assign(case_id=held)[np.array(said, dtype=object) == DISPOSITIONS[0]].drop(columns="disposition")
    return Known(
        tuple(min((said[at] for at in found), key=_RANK.index, default="") for found in mine),
        tuple(", ".join(dict.fromkeys(words[at] for at in found)) for found in mine),
        events.reset_index(drop=True),
    )


# Where one label of a case says true and another false, something was there.
_RANK = ("true", "unsure", "false")

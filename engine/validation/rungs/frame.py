"""The deciding test of one detector as a table."""

from __future__ import annotations

import pandas as pd

from foreshock.engine.validation.rungs.result import RungTest

COLUMNS = ("n_events", "ratio", "z_raw", "z", "p", "q", "bias", "spread", "detectable", "reason")


def rungs_frame(test: RungTest, detector: str) -> pd.DataFrame:
    """One row for each rung and horizon of a detector."""
    rows = []
    for rung, by_horizon in test.found[detector].items():
        for horizon, found in by_horizon.items():
            row = {"rung": rung, "horizon": horizon} | {name: getattr(found, name) for name in COLUMNS}
            row |= {"low": found.ci[0], "high": found.ci[1]}
            row |= {"first_half": found.halves[0], "second_half": found.halves[1], **test.quality[rung][horizon]}
            rows.append(row)
    return pd.DataFrame(rows).set_index(["rung", "horizon"])

"""A run that is killed at any moment goes on: its results are those of an undisturbed run, and no fold is fitted twice."""

from pathlib import Path

import pytest

from tests.studies.program.killed_runs import completed, fits, killed, prepare


@pytest.mark.slow
def test_runs_killed_at_two_moments_go_on_and_fit_no_fold_twice(tmp_path: Path):
    folder = prepare(tmp_path, networks=False, n_bars=900)
    whole = completed(folder, folder / "whole")
    for kill in range(2):
        (row,) = killed(folder, whole, 1, kill)
        assert row["equal"]
        assert (row["n_fits"], row["twice"]) == (len(fits(folder / "whole")), 0)

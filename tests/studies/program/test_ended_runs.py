"""A run that is ended at any moment leaves no process and no shared memory."""

from pathlib import Path

import pytest

from tests.studies.program.ended_runs import SIGNALS, ended
from tests.studies.program.killed_runs import completed, prepare


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").is_dir() or not Path("/proc/self/environ").exists(), reason="looks into folders of Linux")
def test_runs_ended_by_each_signal_leave_nothing(tmp_path: Path):
    folder = prepare(tmp_path)
    whole = completed(folder, folder / "whole")
    for kill in range(2 * len(SIGNALS)):
        (row,) = ended(folder, whole, 1, kill)
        assert (row["workers"], row["shared"], row["traceback"]) == (0, 0, False), row

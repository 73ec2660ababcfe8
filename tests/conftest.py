"""The shared market data, where there is any."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data: FORESHOCK_SHARED_DATA, or ``shared/data`` beside the repository."""
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("FORESHOCK_SHARED_DATA", default))
    if not folder.is_dir():
        reason = f"no market data at {folder}; set FORESHOCK_SHARED_DATA"
        # Continuous integration has the data and must not skip.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return folder

"""The shared market data, and the browser, where there are any."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import browser
from tests.paths import SHARED

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for the shared data is marked ``real_data``."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)


@pytest.fixture(scope="session", autouse=True)
def _own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the user's trial ledger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORESHOCK_LEDGER", str(tmp_path_factory.mktemp("ledger") / "ledger.jsonl"))
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with browser.chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real market data: FORESHOCK_SHARED_DATA, or ``shared/data`` beside the repository."""
    return find_shared_data(os.environ)


def find_shared_data(environ: Mapping[str, str]) -> Path:
    folder = Path(environ.get("FORESHOCK_SHARED_DATA") or SHARED)
    if not folder.is_dir():
        reason = f"no market data at {folder}; set FORESHOCK_SHARED_DATA to its folder"
        # Continuous integration has the data and must not skip.
        (pytest.fail if environ.get("CI") else pytest.skip)(reason)
    return folder

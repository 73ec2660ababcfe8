"""Fixtures of several test files: the shared market data and the browser, where there are any, and what is costly to make."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.paths import SHARED
from tests.reading import browser

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from playwright.sync_api import Browser

    from foreshock.engine.features.features import Features


def pytest_configure(config: pytest.Config) -> None:
    """Several processes take the files in the order below, not those with most tests first: those with few may be long."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for the shared data is marked ``real_data``; files with a long test come first."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session", autouse=True)
def _own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the user's trial ledger or cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORESHOCK_LEDGER", str(tmp_path_factory.mktemp("ledger") / "ledger.jsonl"))
        patch.setenv("FORESHOCK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path that is neither a file nor a folder: the null device, or a pipe where that is a plain file, as in some containers."""
    null = Path(os.devnull)
    if null.is_char_device():
        return null
    pipe = tmp_path_factory.mktemp("device") / "pipe"
    try:
        os.mkfifo(pipe)
    except (AttributeError, OSError) as error:
        pytest.skip(f"{null} is no device here, and no pipe can be made: {error}")
    return pipe


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


@pytest.fixture(scope="session")
def features() -> Features:
    """Features of three random symbols over 1,400 bars."""
    from foreshock.engine.features.ohlcv import ohlcv_features
    from tests.market import make_bars

    return ohlcv_features(make_bars(n_bars=1_400, n_symbols=3, seed=11))


@pytest.fixture(scope="session")
def holed() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Minutes of an exchange's market, and the holes in them."""
    from tests.servers.exchange_server import plant_holes, walk
    from tests.servers.fetched import N_BARS, N_HOLES

    return plant_holes(walk(N_BARS), N_HOLES)


@pytest.fixture(scope="session")
def study_bars() -> pd.DataFrame:
    """The bars of the study in ``place``, as a table."""
    from tests.console import N_BARS
    from tests.market import make_bars

    return make_bars(N_BARS, 2, seed=12).to_frame()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study_bars: pd.DataFrame) -> Path:
    """A working folder with a study, its bars, and what an earlier run left in ``out``."""
    from tests.console import DETECTORS, EARLIER, STUDY

    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(STUDY.replace(DETECTORS, '[{ name = "zscore", window = 48, columns = ["log_return"] }]'))
    study_bars.to_csv("bars.csv", index=False)
    Path("out").mkdir()
    for name, content in EARLIER.items():
        (Path("out") / name).write_bytes(content)
    return tmp_path

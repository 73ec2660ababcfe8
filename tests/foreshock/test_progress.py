"""Without a terminal progress is a line from time to time, during long steps too."""

from __future__ import annotations

import re
import time

import pytest

from foreshock import progress
from foreshock.progress import fetch_bar, progress_bar


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.05)


def test_a_line_says_how_far_it_is_even_in_a_long_step(often, capsys):
    with progress_bar(7, True) as step:
        step("features")
        step("walk-forward\n[bold]pca")
        time.sleep(0.3)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert 2 <= len(lines) <= 6
    assert all(re.fullmatch(r"0:00:00: 2 of 7 steps, the last: walk-forward \[bold\]pca", line) for line in lines)


def test_nothing_is_said_in_the_first_minute_nor_after_the_end(capsys, monkeypatch):
    assert progress.EVERY == 60
    with progress_bar(7, True) as step:
        step("features")
    monkeypatch.setattr(progress, "EVERY", 0.01)
    with progress_bar(1, False) as step:
        step("features")
        time.sleep(0.05)
    time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_an_error_ends_the_lines(often, capsys):
    with pytest.raises(ValueError, match="broken"), progress_bar(7, True):
        raise ValueError("broken")
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_fetching_says_share_rows_and_symbol(often, capsys):
    with fetch_bar(1_000, True) as step:
        step("BTC/USDT", 40, 100)
        step("ETH/USDT", 60, 150)
        time.sleep(0.15)
    assert capsys.readouterr().err.splitlines()[0] == "0:00:00: 25% fetched, 100 rows, now ETH/USDT"

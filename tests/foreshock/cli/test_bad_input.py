"""Bad input of sources, labels, scores, plug-ins and the cache: one sentence, the right exit code, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.data.system.cache import usual_cache
from foreshock.study.signals.detection import labels_of
from tests import console
from tests.console import EARLIER, edit, foreshock
from tests.paths import snapshot


@pytest.fixture
def refused(place, monkeypatch, capsys):
    """Runs the study and checks that it ends with one sentence, a code, and every file as it was."""

    def check(code: int, message: str) -> None:
        before = snapshot(place)
        console.refused(monkeypatch, capsys, code, message, "run", "study.toml", "--out", "out", "--no-ledger")
        assert snapshot(place) == before
        assert {name: (place / "out" / name).read_bytes() for name in EARLIER} == EARLIER

    return check


BOOK = """
detectors = ["zscore"]
horizons = ["1m"]
n_bootstrap = 99
[source]
kind = "book"
path = "book.parquet"
interval = "5s"
[splits]
train = "10m"
test = "5m"
embargo = "none"
[threshold]
window = "10m"
[avoidance]
hold = "5m"
rebalance = "5m"
random_draws = 2
"""


def crossed(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[7, "bids_distance_0"] = 1e-4
    return table


def one_sided(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: np.nan for name in table if str(name).startswith("asks_")})


BOOKS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, str]] = {
    "no price": (lambda t: t.drop(columns="midpoint"), "", "has no midpoint in any row; pass bars of the market as prices"),
    "crossed": (crossed, "", "bids_distance_0 must be price / midpoint - 1, negative for bids and positive for asks, got 0.0001"),
    "negative spread": (lambda t: t.assign(spread=-1.0), "", "spread must be zero or more, got -1.0"),
    "one-sided": (one_sided, 'price = "microprice"', "has no microprice in any row; pass bars of the market as prices"),
}


@pytest.mark.parametrize("fault", BOOKS)
def test_a_book_without_a_price_and_one_that_is_crossed_or_has_one_side_is_refused(fault, refused):
    spoil, key, words = BOOKS[fault]
    spoil(fs.simulate_book(seed=1, n_rows=400).book.to_frame()).to_parquet("book.parquet")
    Path("study.toml").write_text(BOOK.replace('kind = "book"', f'kind = "book"\n{key}'))
    refused(3, words)


def test_a_book_of_one_side_and_a_midpoint_is_studied(place, monkeypatch, capsys):
    one_sided(fs.simulate_book(seed=1, n_rows=1_200).book.to_frame()).to_parquet("book.parquet")
    Path("study.toml").write_text(BOOK.replace('train = "10m"', 'train = "30m"'))
    code, _, wrong = foreshock(monkeypatch, capsys, "run", "study.toml", "--out", "out", "--no-ledger")
    assert code == 0, wrong


WINDOWS = BOOK.replace('kind = "book"\npath = "book.parquet"\ninterval = "5s"', 'kind = "windows"\npath = "trades.parquet"\n{key}')


def test_windows_of_a_day_without_trades_are_refused(refused):
    bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=30).bars
    fs.bar_trades(bars).to_frame().to_parquet("trades.parquet")
    Path("study.toml").write_text(WINDOWS.replace("{key}", 'start = "2022-03-01"\nend = "2022-03-02"'))
    refused(3, "no data from '2022-03-01' to '2022-03-02'; widen the range")


def test_windows_in_which_nobody_traded_are_a_sentence():
    bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=30).bars
    windows = fs.trade_windows(fs.bar_trades(bars), 60)
    quiet = {
        name: np.full(len(windows), np.nan) for name in ("open", "high", "low", "close", "mean_price", "log_return", "volatility")
    }
    none = {name: np.zeros(len(windows)) for name, values in vars(windows).items() if values.dtype == float and name not in quiet}
    source = fs.WindowSource(fs.TradeWindows(windows.time, windows.interval, **none, **quiet), "1m")
    with pytest.raises(fs.DataError, match=r"^[^\n]+$"):
        fs.Study(source, ["zscore"], fs.WalkForward("4h", "2h", None), fs.RollingQuantile(0.9, "2h"), ["5m"], hold="5m").run()


LABELS = {
    "outside": ("symbol,start,stop\nA,2023-01-01,2023-01-02\n", "labels must lie within the data"),
    "unknown symbol": ("symbol,start,stop\nDOGE,2024-01-20,2024-01-21\n", "labels name DOGE, the data have A, B; correct them"),
    "no label": ("symbol,start,stop\n", "labels.csv"),
    "backwards": ("symbol,start,stop\nA,2024-01-21,2024-01-20\n", "a label must stop after it starts"),
}


@pytest.mark.parametrize("section", ["data", "source"])
@pytest.mark.parametrize("fault", LABELS)
def test_labels_that_do_not_belong_to_the_data_are_refused(fault, section, refused):
    text, words = LABELS[fault]
    Path("labels.csv").write_text(text)
    edit("[data]", f'[labels]\npath = "labels.csv"\n\n[{section}]')
    refused(3, words)


def test_labels_are_selected_with_the_source_as_with_the_data(place):
    # One of another symbol and one before the source begins are left out.
    rows = ("A,2024-01-25,2024-01-26", "B,2024-01-25,2024-01-26", "A,2024-01-01,2024-01-02")
    Path("labels.csv").write_text("\n".join(("symbol,start,stop", *rows)))
    chosen = 'symbols = ["A"]\nstart = "2024-01-03"'
    edit('[data]\npath = "bars.csv"', f'[labels]\npath = "labels.csv"\n\n[source]\npath = "bars.csv"\n{chosen}')
    labels = labels_of(fs.load_study("study.toml"))
    assert labels is not None
    assert labels.to_frame()[["symbol", "start"]].to_numpy().tolist() == [["A", pd.Timestamp("2024-01-25")]]
    edit('symbols = ["A"]', 'symbols = ["DOGE"]')
    with pytest.raises(fs.DataError, match="no label is of the symbols and the time that 'source' selects; correct one of them"):
        labels_of(fs.load_study("study.toml"))


SCORES = {
    "another year": ("time,symbol,score\n2021-01-01,A,1\n", "has scores at other times than the study"),
    "another interval": (
        "time,symbol,score\n" + "".join(f"2024-01-20T{hour:02}:07:00,A,1\n" for hour in range(9)),
        "9 of 9 are no rows; stamp each score with the open of its bar, in UTC",
    ),
    "other symbols": ("time,symbol,score\n2024-01-20,DOGE,1\n", "has scores of DOGE and none of A, B"),
    "no number": ("time,symbol,score\n2024-01-20,A,high\n", "column score must hold numbers, got 'high'"),
    "no time": ("symbol,score\nA,1\n", "need times as the column 'time'"),
    "none known": ("time,symbol,score\n2024-01-20,A,\n", "no score is known, NaN everywhere"),
}


@pytest.mark.parametrize("fault", SCORES)
def test_scores_that_do_not_belong_to_the_data_are_refused(fault, refused):
    text, words = SCORES[fault]
    Path("theirs.csv").write_text(text)
    edit('[{ name = "zscore", window = 48, columns = ["log_return"] }]', '["zscore", { scores = "theirs.csv" }]')
    refused(3, words)


RAISING = {
    "when it is read": ("raise RuntimeError('no licence')", "no licence"),
    "when it is made": (
        "import foreshock as fs\nclass Mine(fs.Detector):\n    def __init__(self):\n        raise OSError('no disk')\n",
        "no disk",
    ),
    "when it learns": (
        "import foreshock as fs\nclass Mine(fs.Detector):\n    def _fit(self, features):\n        raise KeyError('colour')\n"
        "    def _score(self, features):\n        return features.column('log_return')\n",
        "colour",
    ),
    "when it scores": (
        "import foreshock as fs\nclass Mine(fs.Detector):\n    def _score(self, features):\n        return 1 / 0\n",
        "division by zero",
    ),
    "another shape": (
        "import foreshock as fs\nclass Mine(fs.Detector):\n    def _score(self, features):\n        return features.values\n",
        "mine must return scores of shape (n_rows, n_symbols) = ",
    ),
    "no such name": ("other = 3\n", "mine.py has no class 'Mine'"),
}


@pytest.mark.parametrize("fault", RAISING)
def test_a_plug_in_that_raises_is_a_sentence(fault, place, monkeypatch, capsys):
    text, words = RAISING[fault]
    Path("mine.py").write_text(text)
    edit('[{ name = "zscore", window = 48, columns = ["log_return"] }]', '["zscore", "mine.py:Mine"]')
    code, out, wrong = foreshock(monkeypatch, capsys, "run", "study.toml", "--out", "out", "--no-ledger")
    last = wrong.splitlines()[-1]
    assert (code, out, last.startswith("error: ")) == (2, "", True)
    assert words in last
    assert "Traceback" not in wrong
    assert {name: (place / "out" / name).read_bytes() for name in EARLIER} == EARLIER


def test_a_cache_that_was_tampered_with_or_is_of_an_older_version_changes_nothing(place, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path / "cache"))

    def run() -> dict:
        code, _, wrong = foreshock(monkeypatch, capsys, "run", "study.toml", "--out", "out", "--no-ledger")
        assert code == 0, wrong
        found = json.loads(Path("out/results.json").read_text())
        for one in found["detectors"].values():
            del one["fit_seconds"], one["score_seconds"]
        return found

    first = run()
    cache = usual_cache()
    kinds = {entry.kind for entry in cache.entries()}
    for at, entry in enumerate(cache.entries()):
        content = entry.path.read_bytes()
        spoilt = bytearray(content)
        spoilt[-9] ^= 1
        # A byte that was changed, half a file, none, and what no version of ours wrote.
        entry.path.write_bytes([bytes(spoilt), content[: len(content) // 2], b"", b"an older version"][at % 4])
    assert run() == first
    assert {"fit", "scores"} <= kinds

"""The example that trains an AnoGAN on a book or on trades, and what the pretrained one says of a real book."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from examples.train_anogan import by_pretrained, holds_book, on_file
from foreshock.detectors.registry import load_detector

FAST: dict[str, Any] = {"steps": 60, "epochs": 2, "width": 16, "learning_rate": 5e-3, "loss": "original"}


def test_a_book_is_learned_from_its_file_and_its_later_rows_scored(tmp_path, capsys):
    book = fs.simulate_book(seed=3, n_rows=400).book
    book.to_frame().to_parquet(tmp_path / "SIM.parquet")
    scores = on_file(tmp_path / "SIM.parquet", tmp_path / "out", **FAST)
    assert (scores.time[0], len(scores.time)) == (book.time[280], 120)
    loaded: Any = load_detector(tmp_path / "out" / "anogan.safetensors")
    features = fs.book_features(fs.read_book(tmp_path / "SIM.parquet"), loaded.names_)
    np.testing.assert_array_equal(loaded.score(features).values[280:], scores.values)
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert table["score"].tolist() == pytest.approx(scores.values[~np.isnan(scores.values)].tolist())
    printed = capsys.readouterr().out
    assert printed.startswith("150 features of 280 snapshots learned, ")
    assert re.search(r"the pretrained model, in the units of the first 280 rows: \d+\.\d% of \d+ later rows", printed)


def test_trades_are_learned_in_windows(shared_data, tmp_path, capsys):
    path = shared_data / "ticks_btcusdt_spot_20240808.parquet"
    assert not holds_book(path)
    scores = on_file(path, tmp_path, "1s", **FAST)
    assert scores.interval == np.timedelta64(1, "s")
    assert np.isfinite(scores.values).all()
    assert "windows of trades learned" in capsys.readouterr().out


def test_the_pretrained_model_scores_a_real_book_in_the_units_of_its_first_rows(shared_data):
    book = fs.read_book(shared_data / "l2_btc_1min_full_20210417.parquet")
    said = by_pretrained(book, 300)
    assert said.startswith("the pretrained model, in the units of the first 300 rows: ")
    # The flash crash of that day, which it has never seen.
    assert "strangest at 2021-04-18T03:2" in said


def test_a_book_that_lacks_levels_is_learned_by_those_it_has_and_the_pretrained_model_says_what_is_missing(shared_data):
    path = shared_data / "l2_btc_5min_top30.parquet"
    assert holds_book(path)
    book = fs.read_book(path, "5m", partial=True, start="2021-04-07T16:35")
    assert by_pretrained(book, 2_000) == (
        "the pretrained model cannot score it: anogan needs all of its 150 features, of which l2_btc_5min_top30 never has 120: "
        "log_bids_distance_0, log_bids_distance_1, log_bids_distance_12 and 117 more; pass rows that have them, or fit another on "
        "those that are there"
    )

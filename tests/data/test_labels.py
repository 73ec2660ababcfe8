"""Labels: what a file of them says, what is refused, and the planted events as labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import foreshock as fs

EVENTS = "symbol,start,stop,kind\nA,2024-01-05 12:00,2024-01-05 18:00,pump\nB,2024-01-06,2024-01-07,crash\n"


def written(tmp_path, text: str, name: str = "events.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_csv_parquet_and_feather_file_say_the_same(tmp_path):
    labels = fs.read_labels(written(tmp_path, EVENTS))
    table = pd.read_csv(tmp_path / "events.csv", parse_dates=["start", "stop"])
    table.to_parquet(tmp_path / "events.parquet")
    table.to_feather(tmp_path / "events.feather")
    assert labels.to_frame()[["symbol", "kind", "disposition", "note"]].to_numpy().tolist() == [
        ["A", "pump", "true", ""],
        ["B", "crash", "true", ""],
    ]
    assert labels.stop[0] == np.datetime64("2024-01-05T18:00", "us")
    for name in ("events.parquet", "events.feather"):
        pd.testing.assert_frame_equal(fs.read_labels(tmp_path / name).to_frame(), labels.to_frame())


def test_a_label_without_a_stop_is_a_moment_and_without_a_kind_an_event(tmp_path):
    labels = fs.read_labels(written(tmp_path, "time,SYMBOL\n2024-01-05 12:30,A\n"))
    assert labels.stop[0] - labels.start[0] == np.timedelta64(1, "us")
    assert labels.kinds == ("event",)


def test_dispositions_are_words_or_truth_values_and_what_is_not_said_is_unsure(tmp_path):
    rows = "2024-01-05,A,TRUE,\n2024-01-06,A,false,a decoy\n2024-01-07,A,Unsure,\n2024-01-08,A,,\n"
    labels = fs.read_labels(written(tmp_path, "time,symbol,disposition,note\n" + rows))
    assert labels.dispositions == ("true", "false", "unsure", "unsure")
    assert labels.notes[1] == "a decoy"
    table = pd.DataFrame({"symbol": ["A", "A"], "start": ["2024-01-05", "2024-01-06"], "disposition": [True, False]})
    assert fs.Labels.from_frame(table).dispositions == ("true", "false")


def test_equal_rows_are_one_label():
    table = pd.DataFrame({"symbol": ["A", "A"], "time": ["2024-01-05"] * 2, "detector": ["mad", "pca"], "disposition": "true"})
    assert len(fs.Labels.from_frame(table)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("symbol,stop\nA,2024-01-05\n", "must have the columns symbol and start"),
        ("symbol,start\n", "is empty"),
        ("symbol,start,stop\nA,2024-01-05,2024-01-04\n", "must stop after it starts, got 2024-01-05T00:00:00.000000 to 2024-01-04"),
        ("symbol,start,stop\nA,2024-01-05,2024-01-05\n", "must stop after it starts"),
        ("symbol,start\n,2024-01-05\n", "must name a symbol"),
        ("symbol,start,disposition\nA,2024-01-05,maybe\n", "must be one of true, false, unsure, got 'maybe' in row 0"),
        ("symbol,start\nA,yesterday\n", "cannot be read as times"),
    ],
)
def test_what_is_no_label_is_refused_in_a_sentence_with_its_file(tmp_path, text, said):
    with pytest.raises(fs.DataError, match=r"events\.csv: .*; ") as error:
        fs.read_labels(written(tmp_path, text))
    assert said in str(error.value)


def test_labels_outside_the_data_or_of_another_symbol_are_refused(tmp_path):
    labels = fs.read_labels(written(tmp_path, EVENTS))
    start, end = np.datetime64("2024-01-05T17"), np.datetime64("2024-01-06T01")
    labels.check_fit(["A", "B"], start, end)
    with pytest.raises(fs.DataError, match=r"labels name B, the data have A; .*labels\.select"):
        labels.check_fit(["A"], start, end)
    with pytest.raises(fs.DataError, match=r"got 1 outside, the first of A at 2024-01-05T12.*labels\.between"):
        labels.check_fit(["A", "B"], np.datetime64("2024-01-05T18"), end)
    assert labels.between(end="2024-01-06").symbols == ("A",)
    assert labels.select(["B"]).kinds == ("crash",)
    assert len(labels.between(start="2024-01-05 18:00")) == 1


def test_planted_events_are_labels_from_their_signature_on_and_decoys_are_false():
    market = fs.simulate_market(seed=1, n_symbols=2, n_bars=4_000)
    labels = market.labels
    assert len(labels) == len(market.events)
    decoys = [said == "false" for said in labels.dispositions]
    assert decoys == [kind == "decoy" for kind in labels.kinds]
    assert any(decoys)
    first = market.events[market.events["kind"] == "foreshock"].iloc[0]
    table = labels.to_frame()
    found = table[(table["symbol"] == first["symbol"]) & (table["start"] == first["signature_time"])]
    assert found["stop"].tolist() == [first["stop"]]
    assert first["signature_time"] < first["time"]
    labels.check_fit(market.bars.symbols, market.bars.time[0], market.bars.time[-1] + market.bars.interval)
    book = fs.simulate_book(seed=7, n_rows=2_000)
    assert sorted(book.labels.kinds) == sorted(book.events["kind"])

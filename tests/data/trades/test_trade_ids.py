"""Trade ids of numbers and words: each once, in every format and in every run, variant by variant."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.data.errors import DataError
from foreshock.data.trades.trades import Trades, read_trades, scan_trades
from tests.sentences import refused

FAST = settings(max_examples=9, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORMATS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "feather": lambda frame, path: frame.to_feather(path),
}
WORDS = st.from_regex(r"[a-z]{1,2}[0-9]{1,4}(-[0-9]{1,2})?", fullmatch=True)

# Different ids of every kind that exchanges write, and the type in which a table may hold them.
KINDS = {
    "whole numbers": (st.integers(0, 2**62), "int64"),
    "small numbers": (st.integers(0, 50), "int32"),
    "numbers without sign": (st.integers(0, 2**64 - 1), "uint64"),
    "nullable numbers": (st.integers(0, 2**62), "Int64"),
    "floats": (st.integers(0, 2**52).map(float), "float64"),
    "decimals": (st.integers(0, 10**25).map(Decimal), "object"),
    "words": (WORDS, "object"),
    "repeated words": (WORDS, "category"),
    "words of Arrow": (WORDS, "string[pyarrow]"),
    "leading zeros": (st.integers(0, 999).flatmap(lambda i: st.sampled_from([f"{i:04d}", f"{i:05d}", f"{i}"])), "object"),
    "numbers as text": (st.integers(0, 10**30).map(str), "object"),
    "uuids": (st.uuids().map(str), "object"),
    "hashes": (st.binary(min_size=8, max_size=8).map(bytes.hex), "object"),
    "pairs": (st.tuples(st.integers(0, 99), st.integers(0, 9)).map(lambda pair: f"{pair[0]}-{pair[1]}"), "object"),
    "words of nothing": (st.sampled_from(["NA", "nan", "None", "null", "N/A", "inf", "1e3", "1000"]), "object"),
    "signed": (st.integers(-50, 50), "int64"),
}


def frame_of(ids: list, dtype: str) -> pd.DataFrame:
    n = len(ids)
    return pd.DataFrame(
        {"time": 1_704_067_200_000 + np.arange(n), "price": 100.0, "size": 1.0, "side": "buy", "id": pd.Series(ids, dtype=dtype)}
    )


def write(frame: pd.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"t.{kind}"
    FORMATS[kind](frame, path)
    return path


@pytest.mark.parametrize("name", KINDS)
@FAST
@given(data=st.data(), kind=st.sampled_from(list(FORMATS)))
def test_an_id_that_comes_twice_is_refused_whatever_it_is(name, kind, data, tmp_path):
    values, dtype = KINDS[name]
    ids = data.draw(st.lists(values, min_size=2, max_size=8, unique=True))
    path = write(frame_of(ids, dtype), tmp_path, kind)
    read = read_trades(path)
    texts = [str(int(one)) if isinstance(one, float | Decimal) else str(one) for one in ids]
    assert read.ids.astype(str).tolist() == texts
    again = [*ids, data.draw(st.sampled_from(ids))]
    with refused(DataError, "each trade id must come once, got 1 doubled, the first "):
        read_trades(write(frame_of(again, dtype), tmp_path, kind))
    if kind != "feather":
        with refused(DataError, "each trade id must come once, got 1 doubled, the first "):
            list(scan_trades(tmp_path / f"t.{kind}", 100))


@pytest.mark.parametrize("name", ["nullable numbers", "floats", "words", "words of Arrow", "repeated words", "numbers as text"])
@FAST
@given(data=st.data(), kind=st.sampled_from(list(FORMATS)))
def test_an_id_that_is_not_known_is_none_and_the_others_come_once(name, kind, data, tmp_path):
    values, dtype = KINDS[name]
    ids = data.draw(st.lists(values, min_size=2, max_size=6, unique=True))
    lost = [*ids, None, None]
    read = read_trades(write(frame_of(lost, dtype), tmp_path, kind))
    assert read.ids.tolist()[-2:] == ["", ""]
    assert [str(one) for one in read.ids.tolist()[:-2]] == [str(int(one)) if isinstance(one, float) else str(one) for one in ids]
    with refused(DataError, "each trade id must come once, got 1 doubled"):
        read_trades(write(frame_of([*lost, ids[0]], dtype), tmp_path, kind))


def test_trades_without_any_id_have_none():
    assert Trades.from_frame(frame_of([None, None], "object")).ids is None
    assert Trades.from_frame(frame_of([None, None], "object").drop(columns="id")).ids is None
    assert Trades.from_frame(frame_of(["", " "], "object")).ids is None


def test_rows_of_a_table_may_have_any_index():
    frame = frame_of(["a", None, "b"], "object").set_axis([0, 0, 0])
    assert Trades.from_frame(frame).ids.tolist() == ["a", "", "b"]


def test_an_id_may_come_once_in_each_series():
    frame = frame_of(["a", "b", "a", "b"], "object").assign(symbol=["x", "x", "y", "y"])
    assert Trades.from_frame(frame).ids.tolist() == ["a", "b", "a", "b"]
    with refused(DataError, "got 1 doubled, the first a"):
        Trades.from_frame(frame.assign(symbol=["x", "x", "x", "y"]))


def test_ids_that_have_lost_digits_are_refused():
    frame = frame_of([2.0**60, 2.0**60 + 1, np.nan], "float64")
    with refused(DataError, "column id must hold ids to the last digit", "which have lost digits; read it as text"):
        Trades.from_frame(frame)


@pytest.mark.parametrize("name", ["id", "trade_id", "agg_trade_id", "tradeId", "trdMatchID", "exec_id", "execId", "tid"])
def test_every_name_of_an_id_is_known(name):
    with refused(DataError, "got 1 doubled, the first q1"):
        Trades.from_frame(frame_of(["q1", "q2", "q1"], "object").rename(columns={"id": name}))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@FAST
@given(n_rows=st.integers(1, 12), at=st.integers(1, 23), words=st.booleans(), n_same=st.integers(1, 6))
def test_a_trade_that_the_next_run_repeats_is_refused(n_rows, at, words, n_same, kind, tmp_path):
    """Pages of a download overlap at one time, which may lie where a run ends."""
    ids = [f"t{i}" if words else i for i in range(24)]
    time = 1_704_067_200_000 + np.arange(24) // n_same
    frame = frame_of(ids, "object" if words else "int64").assign(time=time)
    path = write(frame, tmp_path, kind)
    assert sum(len(run) for run in scan_trades(path, n_rows)) == 24
    again = pd.concat([frame[:at], frame[at - 1 : at], frame[at:]])
    path = write(again, tmp_path, kind)
    with refused(DataError, f"each trade id must come once, got 1 doubled, the first {ids[at - 1]}"):
        list(scan_trades(path, n_rows))

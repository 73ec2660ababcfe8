"""Verbs from file to file, the study file of a beginner, and what a study would do."""

import re

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.study.config import load_study
from tests.console import foreshock, refused


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def done(monkeypatch, capsys, *arguments: str) -> str:
    code, printed, wrong = foreshock(monkeypatch, capsys, *arguments)
    assert code == 0, wrong
    return printed


@pytest.mark.parametrize("ending", ["csv", "parquet", "feather"])
def test_clean_writes_bars_that_are_read_back_and_tells_what_it_removed(here, monkeypatch, capsys, ending):
    bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=300).bars
    table = bars.to_frame()
    table.loc[10, "low"] = -1.0
    table.to_csv("bars.csv", index=False)
    printed = done(monkeypatch, capsys, "clean", "bars.csv", "--out", f"out.{ending}")
    assert "not positive: 1 bars, removed" in printed
    found = fs.read_bars(f"out.{ending}")
    assert np.isnan(found.close).sum() == 1
    np.testing.assert_allclose(found.close[20:], bars.close[20:], rtol=1e-12)


def test_windows_of_every_series_of_a_file(here, monkeypatch, capsys):
    market = fs.simulate_market(seed=1, n_symbols=2, n_bars=24).bars
    frames = [fs.bar_trades(market.select(name)).to_frame().assign(symbol=name) for name in market.symbols]
    pd.concat(frames, ignore_index=True).sort_values("time", kind="stable").to_parquet("trades.parquet")
    printed = done(monkeypatch, capsys, "windows", "trades.parquet", "--out", "windows.parquet", "--interval", "5m")
    assert "576 windows of 5m" in printed
    found = pd.read_parquet("windows.parquet")
    wanted = fs.trade_windows(fs.bar_trades(market.select("ETH/USDT")), 300).to_frame()
    own = found[found["symbol"] == "ETH/USDT"].reset_index(drop=True).drop(columns="symbol")
    pd.testing.assert_frame_equal(own, wanted)


def test_windows_of_a_folder_of_files(here, monkeypatch, capsys):
    market = fs.simulate_market(seed=1, n_symbols=2, n_bars=24).bars
    (here / "trades").mkdir()
    for name in market.symbols:
        fs.bar_trades(market.select(name)).to_frame().to_parquet(here / "trades" / f"{name.partition('/')[0]}.parquet")
    done(monkeypatch, capsys, "windows", "trades", "--out", "windows.parquet", "--interval", "5m")
    assert pd.read_parquet("windows.parquet")["symbol"].value_counts().to_dict() == {"BTC": 288, "ETH": 288}


def test_denoise_changes_levels_after_those_it_learned_from_alone(here, monkeypatch, capsys):
    book = fs.simulate_book(seed=1, n_rows=1_200).book
    book.to_frame().to_parquet("book.parquet")
    printed = done(
        monkeypatch, capsys, "denoise", "book.parquet", "--out", "clean.parquet", "--model", "autoencoder", "--ratio", "3"
    )
    assert "autoencoder learned from the first 600" in printed
    found = fs.read_book("clean.parquet", symbol=book.symbol)
    np.testing.assert_array_equal(found.notional[:600], book.notional[:600])
    changed = found.notional[600:] != book.notional[600:]
    assert 0 < changed.mean() < 0.2
    assert (found.notional[600:][changed] < book.notional[600:][changed]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clean", "bars.csv", "--out", "out.txt"), "--out must end in .csv, .parquet, .feather, got out.txt"),
        (("clean", "bars.csv", "--out", "no/out.csv"), "--out must lie in a folder that exists"),
        (("clean", "bars.csv", "--out", "bars.csv"), "--out must be another file"),
        (("denoise", "bars.csv", "--out", "b.csv", "--train", "1.5"), "--train must be a share between 0 and 1"),
        (("init", "--source", "moon"), "--source must be one of bars, trades, book"),
        (("init", "bars.csv"), "bars.csv exists and is not overwritten"),
    ],
)
def test_wrong_use_is_refused_and_changes_nothing(here, monkeypatch, capsys, arguments, words):
    fs.simulate_market(seed=1, n_symbols=1, n_bars=30).bars.to_frame().to_csv("bars.csv", index=False)
    before = (here / "bars.csv").read_bytes()
    refused(monkeypatch, capsys, 2, words, *arguments)
    assert [path.name for path in here.iterdir()] == ["bars.csv"]
    assert (here / "bars.csv").read_bytes() == before


def test_a_new_study_file_fits_its_source_and_is_checked_without_a_run(here, monkeypatch, capsys):
    market = fs.simulate_market(seed=1, n_symbols=1, n_bars=3_000).bars
    market.to_frame().to_parquet("bars.parquet")
    fs.bar_trades(market.head(48)).to_frame().to_parquet("trades.parquet")
    fs.simulate_book(seed=1, n_rows=6_000).book.to_frame().to_parquet("book.parquet")
    for source in ("bars", "trades", "book"):
        printed = done(monkeypatch, capsys, "init", f"{source}.toml", "--source", source, "--data", f"{source}.parquet")
        assert f"run it with foreshock run {source}.toml" in printed
        printed = done(monkeypatch, capsys, "run", f"{source}.toml", "--check", "--out", "out")
        assert "nothing was run; a run takes about" in printed
        assert "test blocks from" in printed
    assert not (here / "out").exists()
    assert load_study(here / "trades.toml").source.interval == "20s"


def test_a_study_file_elsewhere_names_its_data_as_seen_from_there(here, monkeypatch, capsys):
    fs.simulate_market(seed=1, n_symbols=1, n_bars=3_000).bars.to_frame().to_parquet('my "own" bars.parquet')
    (here / "studies").mkdir()
    done(monkeypatch, capsys, "init", "studies/one.toml", "--data", 'my "own" bars.parquet')
    assert "nothing was run" in done(monkeypatch, capsys, "run", "studies/one.toml", "--check")


@pytest.mark.parametrize(
    ("detector", "code", "said"),
    [('{ name = "zscore", window = -5 }', 2, "window must be at least 2 rows, got -5"), ('{ scores = "bars.csv" }', 3, "bars.csv")],
)
def test_a_check_tells_what_a_run_would_refuse(here, monkeypatch, capsys, detector, code, said):
    fs.simulate_market(seed=1, n_symbols=1, n_bars=3_000).bars.to_frame().to_csv("bars.csv", index=False)
    done(monkeypatch, capsys, "init", "one.toml", "--data", "bars.csv")
    text = (here / "one.toml").read_text()
    (here / "one.toml").write_text(re.sub(r"detectors = .*", f"detectors = [{detector}]", text))
    refused(monkeypatch, capsys, code, said, "run", "one.toml", "--check")


def test_a_new_study_file_without_data_has_usual_lengths(here, monkeypatch, capsys):
    for source in ("bars", "trades", "book"):
        done(monkeypatch, capsys, "init", f"{source}.toml", "--source", source)
        config = load_study(here / f"{source}.toml")
        assert len(config.horizons) == 3
    assert load_study(here / "bars.toml").splits.train == "365D"


def test_a_history_that_is_too_short_for_a_study_is_refused(here, monkeypatch, capsys):
    fs.simulate_market(seed=1, n_symbols=1, n_bars=500).bars.to_frame().to_parquet("bars.parquet")
    refused(
        monkeypatch, capsys, 3, "the history has 500 rows of 1h, and lengths that fit need about", "init", "--data", "bars.parquet"
    )

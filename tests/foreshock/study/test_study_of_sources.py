"""Studies of windows and order books, from the examples: end to end, from the file to the page."""

import json
from pathlib import Path

import numpy as np
import pytest

import foreshock as fs
from tests.console import foreshock
from tests.paths import ROOT


@pytest.fixture
def shortened(tmp_path, monkeypatch):
    """An example with fewer draws, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def of(name: str, *changes: tuple[str, str]) -> Path:
        text = (ROOT / "examples" / name).read_text()
        for old, new in (("random_draws = 200", "random_draws = 4"), *changes):
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text("n_bootstrap = 99\n" + text)
        return path

    return of


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_the_example_of_windows_runs_on_a_folder_of_trades(shortened, tmp_path, monkeypatch, capsys):
    market = fs.simulate_market(seed=4, n_symbols=2, n_bars=30)
    (tmp_path / "trades").mkdir()
    for symbol in market.bars.symbols:
        fs.bar_trades(market.bars.select(symbol)).to_frame().to_parquet(tmp_path / "trades" / f"{symbol.replace('/', '-')}.parquet")
    study = shortened("windows.toml", ('train = "1D"', 'train = "12h"'), ('window = "12h"', 'window = "3h"'))
    code, printed, wrong = foreshock(monkeypatch, capsys, "run", str(study), "--data", "trades", "--out", "out", "--no-ledger")
    assert code == 0, wrong
    found = results_of(tmp_path / "out")
    assert found["data"]["interval"] == "20s"
    assert found["config"]["source"]["kind"] == "windows"
    assert set(found["detectors"]) == {"zscore", "isolation_forest", "joint_tail", "kmeans_regime", "random", "volatility_only"}
    assert all(detector["n_alerts"] > 0 for detector in found["detectors"].values())
    controls = {row["family"] for row in found["controls"]["rows"]}
    assert {"rush_orders of hours", "trades of a bar", "bought and range"} <= controls
    assert "Windows of 20 seconds" in printed
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000


def test_the_example_of_a_book_runs_and_passes_the_gate(shortened, tmp_path, monkeypatch, capsys):
    fs.simulate_book(seed=1, n_rows=5_000).book.to_frame().to_parquet(tmp_path / "book.parquet")
    study = shortened("book.toml", ('train = "3h"', 'train = "2h"'), ('embargo = "30m"', 'embargo = "none"'), ('"30m"]', '"15m"]'))
    code, _, wrong = foreshock(monkeypatch, capsys, "run", str(study), "--data", "book.parquet", "--out", "out", "--no-ledger")
    assert code == 0, wrong
    found = results_of(tmp_path / "out")
    assert found["forecasts"]["has_volume"]
    assert {row["family"] for row in found["controls"]["rows"]} >= {"depth of a bar", "spread of hours"}
    code, printed, wrong = foreshock(monkeypatch, capsys, "audit", str(study), "--data", "book.parquet", "--cuts", "2")
    assert code == 0, wrong
    assert "no leaks" in printed


def test_a_detector_that_looks_ahead_in_a_source_is_found_by_the_gate():
    class Leaky(fs.Detector):
        def _score(self, features: fs.Features) -> np.ndarray:
            # The spread of the row that comes.
            return np.roll(features.column("relative_spread"), -1, axis=0)

    source = fs.BookSource(fs.simulate_book(seed=1, n_rows=2_500).book)
    study = fs.Study(source, [Leaky()], fs.WalkForward("60m", "30m", None), fs.RollingQuantile(0.97, "30m"), ["1m"], hold="5m")
    found = study.audit(2)
    assert not found["detector leaky"].passed
    assert found["detector random"].passed


def test_surrogates_of_a_book_and_features_beside_a_source_are_refused():
    source = fs.BookSource(fs.simulate_book(seed=1, n_rows=300).book)
    with pytest.raises(fs.ConfigError, match="surrogate histories cannot honestly be drawn of book"):
        fs.Study(source, ["zscore"], n_surrogates=19)
    with pytest.raises(fs.ConfigError, match="features belong to the source"):
        fs.Study(source, ["zscore"], features=["range"])


def test_one_detector_is_validated_on_a_source():
    source = fs.BookSource(fs.simulate_book(seed=1, n_rows=3_000).book)
    rule = fs.RollingQuantile(0.97, "30m")
    found = fs.validate(source, "zscore", threshold=rule, horizon="5m", n_bootstrap=99)
    assert found.horizon == "5m"
    assert [rung for rung, _ in found.rungs.index] == ["volatility", "volume"]
    with pytest.raises(fs.ConfigError, match="features belong to the source"):
        fs.validate(source, "zscore", ["range"], rule, "5m")
    with pytest.raises(fs.ConfigError, match="cannot honestly be drawn of book"):
        fs.validate(source, "zscore", threshold=rule, horizon="5m", n_surrogates=19)

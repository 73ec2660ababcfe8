"""``foreshock factors``: the example, with a network, and what is refused."""

import json
import shutil

import pytest

import foreshock as fs
from tests.console import foreshock, refused
from tests.paths import ROOT


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples" / "factors.toml", tmp_path / "factors.toml")
    fs.simulate_market(seed=2, n_symbols=4, n_bars=2_400).bars.to_frame().to_parquet("bars.parquet")
    return tmp_path


def test_the_example_writes_a_page_and_a_file_that_are_the_same_again(here, monkeypatch, capsys):
    for out in ("out", "again"):
        code, printed, wrong = foreshock(monkeypatch, capsys, "factors", "factors.toml", "--n", "2", "--out", out)
        assert code == 0, wrong
    assert "2 factors of pca: " in printed
    found = json.loads((here / "out" / "factors.json").read_text(), parse_constant=pytest.fail)
    assert list(found["models"]) == ["pca"]
    assert found["config"]["n"] == 2
    bars, splits = fs.read_bars("bars.parquet"), fs.WalkForward("60D", "20D", "1D")
    assert found["models"]["pca"]["fit"]["total_r2"] == pytest.approx(fs.latent_factors(bars, "pca", 2, splits).fit["total_r2"])
    for name in ("factors.json", "factors.html"):
        assert (here / "out" / name).read_bytes() == (here / "again" / name).read_bytes()


def test_pca_stands_beside_a_network(here, monkeypatch, capsys):
    asked = ("--n", "1", "--model", "sparse_autoencoder", "--hidden", "8,4", "--out", "out")
    code, _, wrong = foreshock(monkeypatch, capsys, "factors", "factors.toml", *asked)
    assert code == 0, wrong
    found = json.loads((here / "out" / "factors.json").read_text())
    assert list(found["models"]) == ["pca", "sparse_autoencoder"]
    assert found["config"]["hidden"] == [8, 4]
    assert "--model sparse_autoencoder --n 1 --hidden 8,4" in (here / "out" / "factors.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--n", "4"), "--n must lie between 1 and 3 for 4 symbols, got 4"),
        (("--model", "ica"), "no such factor model: 'ica'"),
        (("--hidden", "8"), "pca has no hidden layers, got --hidden '8'"),
        (("--model", "vae", "--hidden", "8;4"), "--hidden must be sizes of layers with commas, got '8;4'"),
        (("--out", "bars.parquet"), "--out must be a folder"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(here, monkeypatch, capsys, arguments, words):
    before = sorted(here.rglob("*"))
    refused(monkeypatch, capsys, 2, words, "factors", "factors.toml", *arguments)
    assert sorted(here.rglob("*")) == before


def test_one_symbol_has_no_cross_section(here, monkeypatch, capsys):
    fs.read_bars("bars.parquet").select("BTC/USDT").to_frame().to_parquet("one.parquet")
    refused(
        monkeypatch,
        capsys,
        2,
        "latent factors need a study of at least 2 symbols",
        "factors",
        "factors.toml",
        "--data",
        "one.parquet",
    )

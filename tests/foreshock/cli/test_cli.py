"""The command line: every wrong input gets one sentence and its exit code, and harms nothing that was there before."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer.main

from foreshock.cli import root as cli
from foreshock.cli import study as study_verbs
from foreshock.data.errors import ConfigError, DataError, ExchangeError, ForeshockError
from tests import console
from tests.console import EARLIER, N_BARS, edit, foreshock
from tests.paths import snapshot

pytestmark = pytest.mark.long


@pytest.fixture
def refused(place, monkeypatch, capsys):
    """Runs the study and checks that it ends with one sentence, a code, and every file as it was."""

    def check(code: int, message: str, *arguments: str) -> None:
        before = snapshot(place)
        console.refused(monkeypatch, capsys, code, message, "run", "study.toml", *(arguments or ("--out", "out")))
        assert snapshot(place) == before
        assert {name: (place / "out" / name).read_bytes() for name in EARLIER} == EARLIER

    return check


# Data that is refused: exit code 3


def changed(table: pd.DataFrame, row: int, name: str, value: float) -> pd.DataFrame:
    table = table.copy()
    table.loc[row, name] = value
    return table


BAD_TABLES = {
    "missing column": (lambda t: t.drop(columns="close"), "missing column: close; got time, symbol, open, high, low, volume"),
    "unsorted time": (lambda t: t.iloc[[0, 1, 4, 5, 2, 3, *range(6, len(t))]], "got 2 unsorted bars, the first A at 2024-01-01 01"),
    "doubled time": (lambda t: t.iloc[[0, 1, 2, 2, *range(3, len(t))]], "got 1 doubled bars, the first A at 2024-01-01 01:00:00"),
    "negative price": (lambda t: changed(t, 7, "low", -1.0), "low must be positive, got -1.0 for B at 2024-01-01T03:00:00.000000"),
    "infinite volume": (lambda t: changed(t, 7, "volume", np.inf), "volume must be finite, got inf for B at 2024-01-01T03:00:00"),
    "half a bar": (lambda t: changed(t, 7, "open", np.nan), "must be known where another price of the bar is"),
    "text": (lambda t: t.assign(high="high"), "column high must hold numbers, got 'high' in row 0"),
    "no time": (lambda t: t.assign(time="soon"), "column time cannot be read as times"),
    "off the grid": (lambda t: changed(t, 8, "time", t["time"][8] + pd.Timedelta("1m")), "1 bars are off the 1h grid"),
    "no rows": (lambda t: t.head(0), "the table of bars is empty; expected at least one row"),
    "one bar": (lambda t: t.head(1), "the interval cannot be inferred from a single bar; pass interval"),
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("fault", BAD_TABLES)
def test_a_malformed_table_is_refused(fault, kind, refused, study_bars):
    spoil, message = BAD_TABLES[fault]
    bad = spoil(study_bars)
    bad.to_csv("bad.csv", index=False) if kind == "csv" else bad.to_parquet("bad.parquet")
    refused(3, f"bad.{kind}: ", "--data", f"bad.{kind}", "--out", "out")
    refused(3, message, "--data", f"bad.{kind}", "--out", "out")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "feather"])
def test_an_empty_or_binary_file_is_refused(kind, refused):
    path = Path(f"bad.{kind}")
    path.write_bytes(b"")
    refused(3, f"bad.{kind} is empty (0 bytes); expected a table of bars", "--data", str(path), "--out", "out")
    for seed in range(3):
        path.write_bytes(np.random.default_rng(seed).bytes(2_000))
        refused(3, "check that it", "--data", str(path), "--out", "out")
    path.write_bytes(bytes(2_000))
    refused(3, f"bad.{kind}: ", "--data", str(path), "--out", "out")


def test_a_data_path_that_is_not_there_or_holds_nothing_is_refused(refused):
    refused(3, "no such file or folder: nowhere.csv; pass a CSV, Parquet or Feather file", "--data", "nowhere.csv", "--out", "out")
    Path("empty.csv").mkdir()
    refused(3, "the folder empty.csv has no file that ends in .csv, ", "--data", "empty.csv", "--out", "out")
    Path("notes.txt").write_text("a note")
    refused(3, "notes.txt must end in one of .csv, ", "--data", "notes.txt", "--out", "out")
    edit('"bars.csv"', '"gone.csv"')
    refused(3, "no such file or folder: gone.csv; pass")


def test_a_symbol_or_range_that_the_data_has_not_is_refused(refused):
    edit('"bars.csv"', '"bars.csv"\nsymbols = ["A", "BTC"]')
    refused(3, "no such symbol: BTC; the bars have A, B")
    edit('symbols = ["A", "BTC"]', 'start = "2034-01-01"')
    refused(3, "no bar from 2034-01-01 to before the end; the bars run from 2024-01-01T00:00:00.000000 to 2024-02-07T11:00:00.0")


# Studies that are refused: exit code 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title =", "title ", "study.toml is not valid TOML: Expected '=' after a key in a key/value pair (at line 1, column 8)"),
        ("detectors", "detecters", "unknown key 'detecters'; expected one of "),
        ("train", "trian", "unknown key 'splits.trian'; expected one of train, test, embargo, mode; did you mean 'train'?"),
        ('"14D"', "14", "key 'splits.train': must be a text, got 14"),
        ("99", '"many"', "key 'n_bootstrap': input should be a valid integer, got 'many'"),
        ('"zscore"', '"zscor"', "unknown detector 'zscor'; expected one of zscore, "),
        ("window = 48", "windw = 48", "unknown parameter of zscore: windw; expected some of columns, window"),
        ("window = 48", 'window = "long"', "key 'detectors.0': window of zscore must be a whole number, such as 168, got 'long'"),
        ("window = 48", "window = -1", "window must be at least 2 rows, got -1"),
        ('"log_return", ', '"log_retrun", ', "unknown feature 'log_retrun'; expected one of log_return, "),
        ('"6h"', '"6x"', "key 'horizons.1': it must be a number and one of the units s, m, h, d, w"),
        ('"6h"', '"90m"', "horizon must be a whole number of 1h bars, got '90m'; use a multiple of 1h"),
        ('"6h"', '"9000h"', "horizon must be shorter than the data, got 9000h = 9000 bars for 900 bars; shorten the horizon"),
        ('"14D"', '"900D"', "train window plus gap must be shorter than the data, got train=900D and a gap of "),
        ('"7D"\nembargo', '"90m"\nembargo', "test must be a whole number of 1h bars, got '90m'"),
        ('window = "7D"', 'window = "4h"', "threshold window must hold at least 100 bars for q=0.99, got 4 (4h); lengthen"),
        ('window = "7D"', 'kind = "fixed"', "key 'threshold.value' is missing; add it"),
        ("random_draws = 2", 'random_draws = 2\nhold = "90m"', "hold must be a whole number of 1h bars, got '90m'"),
        ("[avoidance]", "[costs]\ntaker = 5\n[avoidance]", "taker must be a fraction from -0.01 to below 1, such as 0.0005 for"),
        ('"bars.csv"', '"bars.csv"\nstart = "2024-31-01"', "key 'data.start': it must be an ISO date or time, such as '2024-"),
        ('"bars.csv"', '"bars.csv"\ninterval = "1x"', "key 'data.interval': it must be a number and one of the units"),
        ('path = "bars.csv"', "", "no data: study.toml has no key 'data.path'; add it, or pass --data PATH"),
    ],
)
def test_a_wrong_study_is_refused(old, new, message, refused):
    edit(old, new)
    refused(2, message)


def test_a_study_that_is_not_there_or_no_text_is_refused(refused):
    study = Path("study.toml")
    study.write_bytes(np.random.default_rng(0).bytes(500))
    refused(2, "study.toml is not UTF-8 text; pass a TOML file, see examples/study.toml")
    study.unlink()
    refused(2, "no such study file: study.toml; pass a TOML file, see examples/study.toml")
    study.mkdir()
    refused(2, "study.toml is a folder; pass a TOML file, see examples/study.toml")


# Where nothing can be written: refused before anything is computed


@pytest.fixture
def no_study_runs(monkeypatch):
    from foreshock.study.study import Study

    def run(*_, **__):
        raise AssertionError("the study ran")

    monkeypatch.setattr(Study, "run", run)


@pytest.mark.parametrize("out", ["bars.csv", "bars.csv/deeper/still", "out/report.html"])
@pytest.mark.parametrize("verb", [("run", "study.toml"), ("demo",)])
def test_an_out_that_is_a_file_is_refused_before_the_study_runs(verb, out, place, no_study_runs, monkeypatch, capsys):
    before = snapshot(place)
    code, printed, err = foreshock(monkeypatch, capsys, *verb, "--out", out)
    assert re.fullmatch(
        rf"error: --out must be a folder that can be written, got {re.escape(out)}: \S+ is a file; pass another one\n", err
    )
    assert (code, printed, snapshot(place)) == (2, "", before)


def test_an_out_that_cannot_be_written_is_refused_before_the_study_runs(place, no_study_runs, refused):
    locked = place / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    # The superuser may write anywhere but here.
    folder = Path("/proc/1/task") if os.geteuid() == 0 else locked
    refused(2, f"error: --out must be a folder that can be written, got {folder / 'new'}: ", "--out", str(folder / "new"))
    refused(2, "error: --out must be a folder that can be written, got xxx", "--out", "x" * 5_000)


def test_a_disk_that_fills_up_leaves_the_earlier_files(refused, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "scores.parquet")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    words = "it is as it was; free space, fix the permissions, or pass another path"
    refused(3, f"error: out cannot be written: No space left on device; {words}\n")


def test_a_run_replaces_the_earlier_files_and_leaves_no_others(place, monkeypatch, capsys):
    code, out, err = foreshock(monkeypatch, capsys, "run", "study.toml", "--out", "out/deep")
    assert (code, err) == (0, "")
    assert out.endswith(f"report: {Path('out/deep/report.html')}\n")
    assert {path.name for path in Path("out/deep").iterdir()} == {*EARLIER, "files.json", "regimes.csv", "regimes.parquet"}
    assert {name: (place / "out" / name).read_bytes() for name in EARLIER} == EARLIER
    before = snapshot(place / "out" / "deep")
    assert foreshock(monkeypatch, capsys, "run", "study.toml", "--data", "bars.csv", "--out", "out/deep")[0] == 0
    assert set(snapshot(place / "out" / "deep")) == set(before)
    # The command that made the report stands in it.
    assert b"foreshock run study.toml --data bars.csv" in (place / "out" / "deep" / "report.html").read_bytes()
    assert b"--data bars.csv" not in before["report.html"]


def test_the_data_section_chooses_the_bars(place):
    edit('"bars.csv"', '"bars.csv"\nsymbols = ["B"]\nstart = 2024-01-10\nend = "2024-01-20T12:00Z"')
    from foreshock.study.config import load_study

    bars = study_verbs._bars(load_study("study.toml"), Path("study.toml"), None)
    assert (bars.symbols, bars.n_bars) == (("B",), 252)
    assert (str(bars.time[0]), str(bars.time[-1])) == ("2024-01-10T00:00:00.000000", "2024-01-20T11:00:00.000000")


def test_the_data_path_is_relative_to_the_study_and_data_to_the_working_folder(place, monkeypatch):
    from foreshock.study.config import load_study

    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    config = load_study("../study.toml")
    assert study_verbs._bars(config, Path("../study.toml"), None).n_bars == N_BARS
    with pytest.raises(DataError, match=r"^no such file or folder: bars\.csv"):
        study_verbs._bars(config, Path("../study.toml"), Path("bars.csv"))


# Exit codes and messages in general


@pytest.mark.parametrize(("error", "code"), [(ConfigError, 2), (DataError, 3), (ExchangeError, 4), (ForeshockError, 5)])
def test_each_kind_of_error_has_its_exit_code(error, code, monkeypatch, capsys):
    def raise_it(**_):
        raise error("what, got, expected")

    monkeypatch.setattr(cli, "app", raise_it)
    assert foreshock(monkeypatch, capsys) == (code, "", "error: what, got, expected\n")


def test_a_message_keeps_to_its_line_and_does_not_command_the_terminal(monkeypatch, capsys):
    def raise_it(**_):
        raise DataError("no such symbol: \x1b[31mred\r\n\x00next é")

    monkeypatch.setattr(cli, "app", raise_it)
    assert foreshock(monkeypatch, capsys) == (3, "", "error: no such symbol:  [31mred   next é\n")


@pytest.mark.parametrize(
    "arguments", [("rn",), ("run",), ("run", "study.toml", "--ot", "x"), ("demo", "--seed", "x"), ("audit", "x", "--cuts", "0")]
)
def test_wrong_use_ends_with_code_2_and_a_usage_line(arguments, monkeypatch, capsys):
    code, out, err = foreshock(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Usage: foreshock" in err


def test_detectors_lists_the_whole_registry_with_parameters(monkeypatch, capsys):
    from foreshock.detectors.registry import detectors

    code, out, err = foreshock(monkeypatch, capsys, "detectors")
    assert (code, err) == (0, "")
    assert re.findall(r"^(\w+)\(", out, re.MULTILINE) == detectors()
    assert "\nrolling_volatility(long=168, short=6)\n" in out


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    import foreshock as package

    assert foreshock(monkeypatch, capsys, "--version") == (0, f"foreshock {package.__version__}\n", "")


def commands(group: Any, name: str = "foreshock") -> Iterator[tuple[str, Any]]:
    """Every verb and group of the command line, with its name."""
    yield name, group
    for verb, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {verb}")


def test_every_help_text_is_a_sentence():
    found = dict(commands(typer.main.get_command(cli.app)))
    assert {
        "foreshock gallery",
        "foreshock benchmark models",
        "foreshock benchmark strategies",
        "foreshock store ls",
    } <= found.keys()
    for name, command in found.items():
        said = {name: command.help, **{f"{name} {option.name}": option.help for option in command.params if option.name != "help"}}
        for where, text in said.items():
            assert text, where
            assert re.match(r"[A-Z]", text), (where, text)
            assert text.endswith("."), (where, text)
            assert not re.match(r"(Of|Instead|Where|As|What is|Whether) ", text), (where, text)


# Through a process of its own


def process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "foreshock.cli", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_a_process_ends_with_the_code_and_the_sentence_and_no_traceback(place):
    Path("bad.parquet").write_bytes(np.random.default_rng(1).bytes(2_000))
    before = snapshot(place)
    ended = process("run", "study.toml", "--data", "bad.parquet", "--out", "out", cwd=place)
    assert (ended.returncode, ended.stdout) == (3, "")
    sentence = r"error: bad.parquet: cannot be read as parquet: [^\n]+; check that its content fits its name\n"
    assert re.fullmatch(sentence, ended.stderr)
    ended = process("run", "none.toml", cwd=place)
    sentence = "error: no such study file: none.toml; pass a TOML file, see examples/study.toml\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", sentence)
    assert snapshot(place) == before


def test_help_is_given_without_loading_what_computes(tmp_path):
    """The half second that --help may take leaves no room for these."""
    heavy = "{'pandas', 'sklearn', 'numba', 'vectorbt', 'torch', 'ccxt', 'pydantic', 'scipy'}"
    code = (
        "import sys\nfrom foreshock import cli\nsys.argv = ['foreshock', '--help']\n"
        f"try:\n    cli.main()\nexcept SystemExit:\n    pass\nprint(sorted({heavy} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("[]")
    assert "Usage" in ended.stdout


def test_the_package_can_be_run_as_a_module(tmp_path):
    command = [sys.executable, "-m", "foreshock", "run", "none.toml"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: no such study file: none.toml; pass a TOML file, see examples/study.toml\n"


SLOW_STUDY = """
import time
from foreshock import cli
from foreshock.study.study import Study

def run(*_, **__):
    print("running", flush=True)
    while True:
        time.sleep(0.1)

Study.run = run
cli.main()
"""


KEPT = "; fits and forecasts are kept in the cache: run again, and it goes on from there"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
    ids=["INT", "TERM", "HUP"],
)
def test_a_process_that_is_asked_to_end_says_so_and_leaves_the_earlier_files(place, sent, code, said):
    before = snapshot(place)
    command = [sys.executable, "-c", SLOW_STUDY, "run", "study.toml", "--out", "out", "--ledger", "mine.jsonl"]
    # Whoever runs the tests in the background may ignore such signals, which a child would inherit.
    heed: Any = {"preexec_fn": lambda: signal.signal(sent, signal.SIG_DFL)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heed) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "running\n"
            running.send_signal(sent)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    kept = "" if sent == signal.SIGINT else KEPT
    assert (running.returncode, out, err) == (code, "", f"error: {said}; files that were already written are unchanged{kept}\n")
    assert snapshot(place) == before


@pytest.mark.parametrize("n_turns", [0, 1, 2])
def test_an_interrupt_is_one_sentence_and_no_audit_leak(n_turns, monkeypatch, capsys):
    raised: BaseException = KeyboardInterrupt()
    for _ in range(n_turns):
        turned = SystemError("returned a result with an exception set")
        turned.__cause__, raised = raised, turned

    def interrupted(**_):
        raise raised

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 130
    assert capsys.readouterr().err == "error: interrupted; files that were already written are unchanged\n"


@pytest.mark.parametrize("shown", [False, True])
def test_a_fault_of_the_program_is_a_sentence_with_code_5_and_its_place(shown, monkeypatch, capsys):
    def broken(**_):
        raise SystemError("of another kind\nof two lines")

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setenv("FORESHOCK_TRACEBACK", "1" if shown else "")
    code, out, err = foreshock(monkeypatch, capsys)
    assert (code, out) == (5, "")
    *before, last = err.splitlines()
    assert re.fullmatch(
        r"error: a fault of foreshock, not of yours: SystemError: of another kind of two lines in line \d+ of test_cli\.py; please "
        "report it with what FORESHOCK_TRACEBACK=1 shows",
        last,
    )
    assert bool(before) == shown

"""The command line as tests call it, and a small study in a folder."""

import re
import sys
from pathlib import Path

from foreshock.cli import root as cli

N_BARS = 900
STUDY = """\
title = "A small study"
detectors = ["zscore"]
features = ["log_return", "volume_ratio_20"]
horizons = ["1h", "6h"]
n_bootstrap = 99

[data]
path = "bars.csv"

[splits]
train = "14D"
test = "7D"
embargo = "1D"

[threshold]
window = "7D"

[avoidance]
random_draws = 2

[surrogates]
n = 0
"""
EARLIER = {
    "report.html": b"<p>Earlier.</p>",
    "results.json": b'{"earlier": true}',
    "alerts.csv": b"a",
    "rows.parquet": b"r",
    "scores.parquet": b"s",
    "trades.parquet": b"t",
}
DETECTORS = '["zscore"]'


def edit(old: str, new: str) -> None:
    text = Path("study.toml").read_text()
    assert old in text
    Path("study.toml").write_text(text.replace(old, new))


def foreshock(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    monkeypatch.setattr(sys, "argv", ["foreshock", *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def refused(monkeypatch, capsys, code: int, words: str, *arguments: str) -> None:
    """A command ends with this code, one sentence that contains ``words``, and nothing on standard output."""
    found, out, err = foreshock(monkeypatch, capsys, *arguments)
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert words in err
    assert (found, out) == (code, "")

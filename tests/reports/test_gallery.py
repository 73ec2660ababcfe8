"""The gallery: its studies, its index, its screenshots; and, slowly, the whole of it."""

import os
import re
import stat
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import foreshock as fs
from foreshock.cli import gallery
from foreshock.cli.gallery import MIN_BARS, REPORTS, THUMBNAIL_BYTES, make_gallery, study_file, thumbnails
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import parse_duration
from foreshock.reports.parts.gallery_page import Exhibit, GalleryPage
from foreshock.study.config import parse_study
from tests.console import foreshock
from tests.market import make_bars, quiet_bars
from tests.reading.seen import seen, table_of

HOSTILE = "<script>alert(1)</script>"


@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
def test_the_studies_fit_bars_of_any_interval(interval):
    hours = make_bars(MIN_BARS, 5, seed=1)
    step = parse_duration(interval)
    bars = replace(hours, time=hours.time[0] + step * np.arange(MIN_BARS), interval=step)
    config = parse_study(tomllib.loads(study_file(bars, 0.95)))
    chosen = bars.select(config.data.symbols or ())
    study = fs.Study.from_config(config, chosen)
    assert chosen.symbols == bars.symbols[:4]
    folds = study.splits.folds(bars.n_bars, bars.interval, 100, bars.start_row)
    assert (folds[0].train.stop - folds[0].train.start, folds[0].test.stop - folds[0].test.start) == (1_500, 375)
    assert isinstance(study.threshold, fs.RollingQuantile)
    assert (study.threshold.q, parse_duration(study.threshold.window)) == (0.95, 250 * step)
    assert parse_duration(config.scenarios.horizon) == 24 * step


def test_the_two_studies_differ_in_their_quantile_alone():
    bars = make_bars(MIN_BARS, 2)
    first, second = (tomllib.loads(study_file(bars, q)) for q in (0.99, 0.95))
    assert {key for key in first if first[key] != second[key]} == {"title", "threshold"}
    assert first["threshold"] == second["threshold"] | {"q": 0.99}


def test_symbols_that_look_like_toml_stay_symbols():
    bars = replace(make_bars(MIN_BARS, 2), symbols=('A"]\n[x', "B\\"))
    assert tomllib.loads(study_file(bars, 0.99))["data"]["symbols"] == ['A"]\n[x', "B\\"]


def test_a_short_history_is_refused_before_anything_is_written(tmp_path):
    make_bars(500, 1).to_frame().to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataError, match="a gallery needs at least 7,500 bars, got 500; pass a longer history"):
        make_gallery(tmp_path / "bars.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_index_links_to_what_lies_beside_it_and_has_no_script():
    page = GalleryPage(
        [("Data", HOSTILE)], [Exhibit("Study", "Do they?", HOSTILE, "study/report.html", "foreshock run x")]
    ).to_html()
    assert re.findall(r'<a href="([^"]+)"', page) == ["study/report.html"]
    assert "<script" not in page
    assert HOSTILE in seen(page)
    assert "script-src ;" in page
    assert len(page.encode()) < 40_000


def browser(folder, size: int) -> None:
    """A browser whose pictures have ``size`` bytes for each line of the window, and who keeps its last argument."""
    path = folder / "chromium"
    path.write_text(
        "#!/usr/bin/env python3\n"
        "import sys\n"
        "given = dict(word.split('=', 1) for word in sys.argv if '=' in word)\n"
        f"n = {size} * int(given['--window-size'].split(',')[1])\n"
        "open(given['--screenshot'], 'wb').write(bytes(n))\n"
        f"open({str(folder / 'asked')!r}, 'a').write(sys.argv[-1] + chr(10))\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_each_report_has_a_picture_that_is_small_enough(tmp_path, monkeypatch):
    browser(tmp_path, 70)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = thumbnails(tmp_path)
    assert [path.name for path in found] == [f"{name}.png" for name in REPORTS]
    # 2,000 lines have 140,000, which is too many.
    assert {path.stat().st_size for path in found} == {119_000}
    assert THUMBNAIL_BYTES == 120_000
    asked = (tmp_path / "asked").read_text().splitlines()
    for name, (page, *_) in REPORTS.items():
        assert asked.count(f"{tmp_path.as_uri()}/{name}/{page}") == 2


def test_without_a_browser_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no chromium to take screenshots with; install it"):
        thumbnails(tmp_path)


def test_a_browser_that_fails_is_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "chromium"
    path.write_text("#!/bin/sh\nexit 3\n")
    path.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ConfigError, match=r"chromium took no screenshot of .*eda\.html and ended with code 3; leave out"):
        thumbnails(tmp_path)


def test_the_verb_says_what_it_makes_and_where_it_lies(tmp_path, monkeypatch, capsys):
    asked = []

    def made(data, out, on_report):
        asked.append((data, out))
        on_report("exploration")
        return out / "index.html"

    monkeypatch.setattr(gallery, "make_gallery", made)
    monkeypatch.setattr(gallery, "thumbnails", lambda out: [out / "study.png"])
    browser(tmp_path, 1)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    out = tmp_path / "out"
    given = ["gallery", "bars.csv", "--out", str(out)]
    assert foreshock(monkeypatch, capsys, *given) == (0, f"gallery: {out / 'index.html'}\n", "making exploration\n")
    printed = f"thumbnail: {out / 'study.png'}\ngallery: {out / 'index.html'}\n"
    assert foreshock(monkeypatch, capsys, *given, "--thumbnails") == (0, printed, "making exploration\n")
    assert asked == [(Path("bars.csv"), out)] * 2


def test_a_missing_browser_is_told_before_the_reports_are_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = foreshock(monkeypatch, capsys, "gallery", "none.csv", "--out", str(tmp_path / "out"), "--thumbnails")
    assert (code, out) == (2, "")
    assert err == "error: no chromium to take screenshots with; install it, or leave out --thumbnails\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.csv"], 3, "error: no such file or folder: none.csv; "),
        (["none.csv", "--out", "taken"], 2, "error: --out must be a folder that can be written, got taken"),
        ([], 2, "Usage: foreshock gallery"),
    ],
)
def test_the_old_command_ends_as_the_verb_does(arguments, code, message, tmp_path):
    (tmp_path / "taken").write_text("")
    command = [sys.executable, "-W", "error", "-m", "foreshock.gallery", *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.strip().startswith(message)


@pytest.mark.slow
def test_the_whole_gallery_stands_and_its_links_lead_somewhere(tmp_path):
    quiet_bars(2, MIN_BARS, 5).to_frame().to_parquet(tmp_path / "bars.parquet")
    told: list[str] = []
    index = make_gallery(tmp_path / "bars.parquet", tmp_path / "out", told.append)
    page = index.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"]+)"', page)
    assert len(links) == 4
    for link in links:
        assert "<!doctype html>" in (index.parent / link).read_text(encoding="utf-8")
    comparison = (index.parent / "comparison" / "report.html").read_text(encoding="utf-8")
    assert {row[0] for row in table_of(comparison, "config-changes")} == {"title", "threshold.q"}
    assert "of 5" in seen(page)
    assert told[-1] == "comparison"

"""``foreshock gallery``: exploration, study, comparison and scenarios of one history, and a page with links to them.

Each report equals the one that its own verb of ``foreshock`` writes. Five years of hourly bars take a few minutes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.cli.study import draw_scenarios, explore_file
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.system.disk import write_whole
from foreshock.terminal import check_out

if TYPE_CHECKING:
    from foreshock.data.bars import Bars

# The reports in the order in which they are made, by folder: page, heading and question.
REPORTS = {
    "exploration": ("eda.html", "Exploration", "What do the data look like?"),
    "scenarios": ("report.html", "Scenarios", "What might a day be like, and what would it cost?"),
    "study": ("report.html", "Study", "Do the signals come before abnormal moves?"),
    "comparison": ("report.html", "Comparison", "Does it hold over years, assets and regimes, and with a lower threshold?"),
}
MAX_SYMBOLS = 4
# Scenarios hold out a third of the bars, which must have 96 paths of 24 bars.
MIN_BARS = 7_500
QUANTILES = (0.99, 0.95)
N_SCENARIOS, STRESS = 1_000, 3.0
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
THUMBNAIL_BYTES = 120_000
# Size of the window: heights are tried until the file is small enough, because Chromium has no smaller scale factor.
WIDTH, HEIGHTS, SCALE = 1280, (2000, 1700, 1400, 1100, 800), 0.5


def study_file(bars: Bars, q: float) -> str:
    """A study of fast detectors as TOML; every duration is a share of the history or a number of bars."""
    from foreshock.data.interval import format_duration

    def span(n: int) -> str:
        return json.dumps(format_duration(n * bars.interval))

    n, symbols = bars.n_bars, json.dumps(list(bars.symbols[:MAX_SYMBOLS]))
    return f"""title = "Gallery, alerts above the {q:.0%} quantile"
detectors = ["zscore", "mad", "rolling_volatility", {{ name = "isolation_forest", n_estimators = 50 }}, "pca"]
horizons = [{span(1)}, {span(6)}, {span(24)}]
n_bootstrap = 199

[data]
symbols = {symbols}

[splits]
train = {span(n // 5)}
test = {span(n // 20)}
embargo = {span(48)}

[threshold]
q = {q}
window = {span(n // 30)}

[avoidance]
hold = {span(24)}
rebalance = {span(24)}

[scenarios]
horizon = {span(24)}
"""


def make_gallery(data: Path, out: Path, on_report: Callable[[str], None] = lambda _: None) -> Path:
    """Write the four reports, each into a folder of its own, the two study files, and ``index.html``.

    Parameters
    ----------
    data : Path
        File or folder of bars; see ``read_bars``. Studies and scenarios use the first four symbols.
    out : Path
        Folder of the gallery.
    on_report : callable
        Called with the name of each part before it is made.

    Returns
    -------
    Path
        Path of ``index.html``.

    Raises
    ------
    DataError
        If there are too few bars for scenarios of 24 bars.
    """
    from foreshock.data.files import read_bars

    # What cannot be read is told before what computes is loaded, which takes seconds.
    bars = read_bars(data)
    from foreshock.comparison.comparison import comparison, load_results, save_comparison
    from foreshock.study.config import load_study
    from foreshock.study.study import Study

    if bars.n_bars < MIN_BARS:
        raise DataError(f"a gallery needs at least {MIN_BARS:,} bars, got {bars.n_bars:,}; pass a longer history")
    out.mkdir(parents=True, exist_ok=True)
    chosen = bars.select(bars.symbols[:MAX_SYMBOLS])
    files = [out / f"study-{q:.0%}.toml".replace("%", "") for q in QUANTILES]
    for file, q in zip(files, QUANTILES, strict=True):
        write_whole(file, study_file(bars, q))
    configs = [load_study(file) for file in files]
    on_report("exploration")
    explore_file(data, out / "exploration")
    on_report("scenarios")
    draw_scenarios(configs[0], chosen, N_SCENARIOS, STRESS, out / "scenarios", f"foreshock scenarios {files[0].name}", data)
    studies = {"study": "study", "study-95": "the study to compare with"}
    for file, config, (folder, name) in zip(files, configs, studies.items(), strict=True):
        on_report(name)
        result = Study.from_config(config, chosen).run(progress=True)
        result.save(out / folder, f"foreshock run {file.name} --data {data.name}")
    on_report("comparison")
    compared = comparison({folder: load_results(out / folder) for folder in studies})
    save_comparison(compared, out / "comparison", f"foreshock compare {' '.join(studies)}")
    index = out / "index.html"
    _page(bars, data, out).save(index)
    return index


def thumbnails(out: Path) -> list[Path]:
    """Take a small screenshot of each report of a gallery with Chromium, ``NAME.png`` in the folder of the index.

    Raises
    ------
    ConfigError
        If Chromium is not found, or fails to take a screenshot.
    """
    browser = _browser()
    return [_thumbnail(browser, out / name / page, out / f"{name}.png") for name, (page, *_) in REPORTS.items()]


def _browser() -> str:
    browser = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if browser is None:
        raise ConfigError(f"no {CHROMIUM[0]} to take screenshots with; install it, or leave out --thumbnails")
    return browser


def _thumbnail(browser: str, page: Path, picture: Path) -> Path:
    for height in HEIGHTS:
        with TemporaryDirectory() as profile:
            flags = [
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
                *("--hide-scrollbars", f"--user-data-dir={profile}", "--timeout=15000"),
                *(f"--window-size={WIDTH},{height}", f"--force-device-scale-factor={SCALE}"),
            ]
            taken = Path(profile) / picture.name
            words = [browser, *flags, f"--screenshot={taken.resolve()}", page.resolve().as_uri()]
            ended = subprocess.run(words, check=False, capture_output=True)
            if ended.returncode or not taken.is_file():
                raise ConfigError(
                    f"{browser} took no screenshot of {page} and ended with code {ended.returncode}; leave out --thumbnails"
                )
            content = taken.read_bytes()
        if len(content) <= THUMBNAIL_BYTES:
            break
    write_whole(picture, content)
    return picture


def _page(bars: Bars, data: Path, out: Path) -> Any:
    from foreshock.reports.comparison import page as comparison_report
    from foreshock.reports.exploration import page as eda_report
    from foreshock.reports.parts.gallery_page import Exhibit, GalleryPage
    from foreshock.reports.scenarios import page as scenario_report
    from foreshock.reports.study import page as study_report

    def content(name: str) -> dict[str, Any]:
        return json.loads((out / name).read_text(encoding="utf-8"))

    study = content("study/results.json")
    said = {
        "exploration": eda_report.headline(content("exploration/eda.json")),
        "scenarios": scenario_report.headline(content("scenarios/scenarios.json")),
        "study": study_report.headline(study, study["random_draws"]),
        "comparison": comparison_report.headline(content("comparison/comparison.json")),
    }
    run = f"foreshock run study-99.toml --data {data.name} --no-ledger --out study"
    again = run.replace("study-99.toml", "study-95.toml").replace("--out study", "--out study-95")
    commands = {
        "exploration": f"foreshock eda {data.name} --out exploration",
        "scenarios": f"foreshock scenarios study-99.toml --data {data.name} --out scenarios",
        "study": run,
        "comparison": f"{again}\nforeshock compare study study-95 --out comparison",
    }
    exhibits = [
        Exhibit(title, question, " ".join(said[name][:2]), f"{name}/{page}", commands[name])
        for name, (page, title, question) in REPORTS.items()
    ]
    symbols = ", ".join(bars.symbols[:MAX_SYMBOLS]) + (f" of {len(bars.symbols)}" if len(bars.symbols) > MAX_SYMBOLS else "")
    return GalleryPage(
        [("Data", data.name), ("Symbols studied", symbols), *eda_report.facts(content("exploration/eda.json"))[1:]], exhibits
    )


def gallery(
    data: Annotated[Path, typer.Argument(metavar="BARS", help="Bars: a CSV, Parquet or Feather file, or a folder of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for index.html and a folder for each report.")] = Path(
        "foreshock-out/gallery"
    ),
    pictures: Annotated[
        bool, typer.Option("--thumbnails", help="Also take a small screenshot of each report, with Chromium.")
    ] = False,
) -> None:
    """Make four reports from one history, and a page with links to them."""
    check_out(out)
    if pictures:
        _browser()
    index = make_gallery(data, out, lambda name: typer.echo(f"making {name}", err=True))
    for picture in thumbnails(out) if pictures else []:
        typer.echo(f"thumbnail: {picture}")
    typer.echo(f"gallery: {index}")

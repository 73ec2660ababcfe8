"""Every kind of page in a real browser: silent, whole, sortable, readable narrow and wide, light, dark and in print."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foreshock.reports.parts import format as fmt
from tests.made.prices import gappy, watched
from tests.made.study import full_report, renamed
from tests.reading.browser import Visit, find_chromium, visit
from tests.reading.kinds import HOSTILE, KINDS

pytestmark = pytest.mark.long
UNFOLD = "() => document.querySelectorAll('details').forEach(part => { part.open = true; })"


@pytest.fixture(scope="module", params=KINDS)
def opened(request, chromium, tmp_path_factory) -> Iterator[Visit]:
    """The page of each kind, whose names would be elements and formulas if a page took them so, with all it folds away unfolded."""
    path = tmp_path_factory.mktemp("pages") / f"{request.param}.html"
    path.write_text(KINDS[request.param].named(HOSTILE), encoding="utf-8")
    with visit(chromium, path) as page:
        page.look(UNFOLD)
        yield page


def screenshots() -> Path | None:
    """The folder for pictures that FORESHOCK_SCREENSHOTS names; without it none are made, which saves half of the time."""
    if not os.environ.get("FORESHOCK_SCREENSHOTS"):
        return None
    folder = Path(os.environ["FORESHOCK_SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(opened: Visit, what: str) -> None:
    if folder := screenshots():
        opened.page.screenshot(path=folder / f"{name_of(opened)}-{what}.png", full_page=True)


def name_of(opened: Visit) -> str:
    return Path(opened.page.url).stem


def resize(opened: Visit, width: int, height: int = 900) -> None:
    """Another window, once the charts have followed."""
    opened.page.set_viewport_size({"width": width, "height": height})
    opened.page.wait_for_function(FOLLOWED)


# Plotly follows a window some time after it has changed; the chart of prices at once.
FOLLOWED = """() => [...document.querySelectorAll(".chart")].every(chart => {
  const svg = chart.querySelector("svg.main-svg");
  return Math.abs(svg.getBoundingClientRect().width - chart.getBoundingClientRect().width) < 2;
})"""


@pytest.fixture
def wide(opened: Visit) -> Iterator[Visit]:
    """The page, and afterwards again the window and the colours that all tests begin with."""
    yield opened
    opened.page.emulate_media(media="screen", color_scheme="light")
    resize(opened, 1280)


def test_a_page_opens_in_silence_and_asks_for_nothing_but_itself(opened):
    assert opened.said == []
    assert opened.asked == [opened.page.url]
    assert opened.dialogs == []


def test_every_chart_is_drawn_in_its_place(opened):
    empty = (
        "() => [...document.querySelectorAll('.chart, .plot')].filter(place => !place.querySelector('svg.main-svg, canvas')).length"
    )
    assert opened.look(empty) == 0
    wide = opened.look("() => [...document.querySelectorAll('.chart, .plot')].map(place => place.getBoundingClientRect().width)")
    assert min(wide) > 200
    colours = opened.look(COLOURS)
    assert all(n > 3 for n in colours), colours


# Colours on the pane of each price chart: candles, grid, alerts, regimes.
COLOURS = """() => [...document.querySelectorAll(".plot")].map(plot => {
  const canvas = [...plot.querySelectorAll("canvas")].sort((a, b) => b.width - a.width)[0];
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
})"""
TABLES = """() => [...document.querySelectorAll("table[id]")].filter(table => table.tBodies[0].rows[0].cells.length > 1)
  .map(table => [table.id, table.tHead.rows[0].cells.length, table.tBodies[0].rows.length])"""
# The direction that each column is sorted in, None where it is not; and the sort key and the words of each cell of a column.
LOOKED_AT = """const look = (table, column) => [
  [...table.tHead.rows[0].cells].map(th => th.getAttribute("aria-sort")),
  [...table.tBodies[0].rows].map(row => row.cells[column]).map(cell => [cell.dataset.sort ?? null, cell.textContent]),
];"""
SORTED = f"id => {{ {LOOKED_AT} return look(document.getElementById(id), 0); }}"
# The same before and after each of two clicks on the head of a column.
SORTED_TWICE = f"""([id, column]) => {{
  {LOOKED_AT}
  const table = document.getElementById(id), button = table.tHead.rows[0].cells[column].querySelector("button");
  const steps = [look(table, column)];
  for (let turn = 0; turn < 2; turn++) {{ button.click(); steps.push(look(table, column)); }}
  return steps;
}}"""
IN_ORDER = """values => values.every((value, i) => i === 0 || values[i - 1].localeCompare(value) <= 0)"""


def in_order(opened: Visit, values: Sequence[str | None]) -> bool:
    """Whether numbers rise, words follow them in the order of the alphabet, and what is not known is last."""
    known = [value for value in values if value is not None]
    numbers = [float(value) for value in known if NUMBER.fullmatch(value)]
    words = known[len(numbers) :]
    rising = numbers == sorted(numbers) and all(map(NUMBER.fullmatch, known[: len(numbers)]))
    return rising and list(values[: len(known)]) == known and opened.look(IN_ORDER, words)


NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")


def test_every_table_sorts_by_its_first_and_last_column_in_both_directions(opened):
    tables = opened.look(TABLES)
    assert tables
    moved = set()
    for table, n_columns, n_rows in tables:
        for column in sorted({0, n_columns - 1}):
            steps = opened.look(SORTED_TWICE, [table, column])
            states = [state for state, _ in steps[1:]]
            directions = [state[column] for state in states]
            assert sorted(directions) == ["ascending", "descending"]
            for state, (_, cells), direction in zip(states, steps[1:], directions, strict=True):
                assert state == [direction if k == column else None for k in range(n_columns)], (table, column)
                assert len(cells) == n_rows
                keys = [key for key, _ in cells]
                n_known = sum(key is not None for key in keys)
                rising = keys if direction == "ascending" else keys[:n_known][::-1] + keys[n_known:]
                assert in_order(opened, rising), (table, column, keys)
            if any(cells != before for (_, before), (_, cells) in pairwise(steps)):
                moved.add(table)
    # A table of one row, or of rows that are all alike in both columns, cannot show it.
    assert {name for name, _, n_rows in tables if n_rows > 4} <= moved


def test_a_table_sorts_by_keyboard_alone(opened):
    """The widest table and the longest one stand for all, which one script serves."""
    tables = opened.look(TABLES)
    widest, longest = (max(tables, key=lambda found, place=place: found[place]) for place in (1, 2))
    for table, n_columns, n_rows in (widest, longest):
        # From what lies before the table, one press of Tab for each column leads to its last one.
        opened.look("table => document.getElementById(table).closest('.scroll').focus()", table)
        for column in range(n_columns):
            opened.page.keyboard.press("Tab")
            if column in (0, n_columns - 1):
                found = []
                for _ in range(2):
                    opened.page.keyboard.press("Enter")
                    state, cells = opened.look(SORTED, table)
                    assert [k for k in range(n_columns) if state[k]] == [column]
                    assert len(cells) == n_rows
                    found.append(state[column])
                assert sorted(found) == ["ascending", "descending"]


def test_words_follow_numbers_in_a_column_that_has_both(opened):
    order = opened.look(MIXED)
    assert order == [["-2", "10", "about 3", "below", None], ["below", "about 3", "10", "-2", None]]


# The first table with other rows, sorted twice, and then as it was.
MIXED = """() => {
  const live = document.querySelector("table[id]:has(.sort)"), keys = ["below", "10", undefined, "-2", "about 3"];
  const rows = [...live.tBodies[0].rows];
  live.tBodies[0].replaceChildren(...keys.map(key => {
    const row = document.createElement("tr"), cell = row.insertCell();
    if (key !== undefined) cell.dataset.sort = key;
    return row;
  }));
  const button = live.querySelector(".sort"), found = {};
  for (let turn = 0; turn < 2; turn++) {
    button.click();
    found[button.parentElement.getAttribute("aria-sort")] = [...live.tBodies[0].rows].map(row => row.cells[0].dataset.sort ?? null);
  }
  live.tBodies[0].replaceChildren(...rows);
  return [found.ascending, found.descending];
}"""


def test_nothing_overflows_a_narrow_or_a_wide_window_and_dark_is_dark(wide):
    right = "() => [...document.querySelectorAll('.chart, .plot')].map(chart => chart.getBoundingClientRect().right)"
    for scheme, widths in (("light", (380, 2560, 1280)), ("dark", (1280,))):
        wide.page.emulate_media(color_scheme=scheme)
        paper, ink = (brightness(wide, key) for key in ("backgroundColor", "color"))
        assert (paper > 600 and ink < 200) if scheme == "light" else (paper < 200 and ink > 600)
        for width in widths:
            resize(wide, width)
            assert wide.look("() => document.documentElement.scrollWidth - innerWidth") <= 0, too_wide(wide)
            assert max(wide.look(right)) <= width
            keep(wide, f"{width}-{scheme}")


def brightness(opened: Visit, key: str) -> int:
    """The sum of red, green and blue of a colour of the page, 765 at the most."""
    return sum(map(int, re.findall(r"\d+", opened.look(f"() => getComputedStyle(document.body).{key}"))[:3]))


def too_wide(opened: Visit) -> list[str]:
    """The elements that reach beyond the window, for the message."""
    return opened.look(
        "() => [...document.querySelectorAll('body *')].filter(part => part.getBoundingClientRect().right > innerWidth && "
        "!part.closest('.scroll')).slice(0, 5).map(part => part.outerHTML.slice(0, 120))"
    )


def test_on_paper_every_chart_is_ink_that_fits_and_nothing_asks_to_be_pressed(wide):
    wide.page.emulate_media(media="print", color_scheme="dark")
    assert brightness(wide, "color") < 200
    shown = "selector => [...document.querySelectorAll(selector)].filter(part => part.getClientRects().length).length"
    assert wide.look(shown, ".plot, .controls, .switch, nav") == 0
    assert wide.look(shown, ".still") == wide.look("() => document.querySelectorAll('.still').length")
    # The print layout is that of the paper from here on, and no longer one of the window.
    wide.page.emulate_media(media="null", color_scheme="dark")
    if folder := screenshots():
        wide.look("() => document.querySelectorAll('details').forEach(part => { part.open = false; })")
        wide.page.pdf(path=folder / f"{name_of(wide)}-print.pdf", format="A4", prefer_css_page_size=True)
        wide.look(UNFOLD)


def test_axe_finds_no_serious_violation_in_light_or_dark(wide):
    assert wide.accessibility() == []
    wide.page.emulate_media(color_scheme="dark")
    assert wide.accessibility("color-contrast") == []


class Tags(HTMLParser):
    """How many elements of each kind a text has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.count[tag] += 1


def test_hostile_names_are_text_and_make_no_element(opened):
    kind = KINDS[name_of(opened)]
    harmless = Tags(kind.named(())).count
    for select in opened.page.locator("select:visible").all():
        for number in range(select.locator("option").count()):
            select.select_option(index=number)
            opened.page.wait_for_timeout(50)
    text = opened.look("() => document.body.innerText")
    for name in HOSTILE[: kind.n_names]:
        assert name in text, name
    for tag in ("script", "img", "iframe", "object", "form"):
        assert opened.page.locator(tag).count() == harmless[tag], tag
    assert (opened.dialogs, opened.said, opened.asked) == ([], [], [opened.page.url])


def test_without_a_browser_tests_skip_with_the_reason_and_fail_in_ci(tmp_path):
    nowhere = {"FORESHOCK_CHROMIUM": str(tmp_path / "nowhere")}
    with pytest.raises(pytest.skip.Exception, match=r"no browser at .*nowhere; install Debian's package chromium"):
        find_chromium(nowhere)
    with pytest.raises(pytest.fail.Exception, match="no browser at chromium"):
        find_chromium({"CI": "true"}, path=str(tmp_path))


@pytest.mark.parametrize(("width", "least"), [(380, 200), (2560, 1500)])
def test_another_window_shows_the_same_bars(prices, width, least):
    _, opened = prices
    resize(opened, width)
    edge = opened.page.locator(".plot canvas").first.bounding_box()
    assert least < edge["width"] < width
    seen = []
    for x in (0.03 * edge["width"], edge["width"] - 5):
        opened.page.mouse.move(edge["x"] + x, edge["y"] + 60)
        seen.append(readout(opened))
    resize(opened, 1280)
    assert "2024-01-01" < seen[0] < "2024-01-03"
    assert seen[1] > "2024-01-25"


def test_the_candles_have_the_ink_of_the_page_in_light_and_dark(prices):
    _, opened = prices
    for scheme in ("dark", "light"):
        opened.page.emulate_media(color_scheme=scheme)
        opened.page.wait_for_timeout(100)
        ink = opened.look("() => getComputedStyle(document.documentElement).getPropertyValue('--ink-2').trim()")
        assert opened.look(PIXELS, [int(ink[place : place + 2], 16) for place in (1, 3, 5)]) > 200


# How many pixels of the widest canvas have a colour.
PIXELS = """([red, green, blue]) => {
  const canvas = [...document.querySelectorAll(".plot canvas")].sort((a, b) => b.width * b.height - a.width * a.height)[0];
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) found += data[i] === red && data[i + 1] === green && data[i + 2] === blue;
  return found;
}"""


def readout(opened: Visit) -> str:
    return opened.page.locator(".readout").inner_text()


@pytest.fixture(scope="module")
def prices(chromium, tmp_path_factory):
    """A price chart in which a bar is wider than a px, and its history."""
    history = watched(gappy())
    path = tmp_path_factory.mktemp("prices") / "prices.html"
    history.save(path)
    with visit(chromium, path) as opened:
        yield history, opened


def described(history, row: int, column: int, detector: str = "zscore") -> str:
    """What the line above the candles says of a bar."""
    bars = history.bars
    parts = [str(bars.time[row])[:16].replace("T", " ")]
    known = not np.isnan(bars.close[row, column])
    values = {name: getattr(bars, name)[row, column] for name in ("open", "high", "low", "close")}
    parts.append(" ".join(f"{name} {spelled(history, column, value)}" for name, value in values.items()) if known else "no bar")
    label = history.regimes[1][row, column]
    parts += [history.regimes[0][label]] if label >= 0 else []
    return " · ".join(parts + ["alert"] * bool(history.alerts[detector][0][row, column]))


def spelled(history, column: int, price: float) -> str:
    """A price of four decimals with as many of them as the lowest of the symbol needs for seven digits."""
    lowest = np.nanmin(history.bars.low[:, column])
    return f"{price:,.{min(max(6 - int(np.floor(np.log10(lowest))), 0), 4)}f}"


def test_the_line_above_the_candles_says_of_each_bar_what_the_history_has(prices):
    history, opened = prices
    box = opened.page.locator(".plot canvas").first.bounding_box()
    seen = set()
    for share in np.linspace(0.1, 0.9, 41):
        opened.page.mouse.move(box["x"] + share * box["width"], box["y"] + 60)
        seen.add(readout(opened))
    expected = [described(history, row, 0) for row in range(history.bars.n_bars)]
    assert len(seen) == 41
    assert seen <= set(expected)
    assert any("no bar" in line for line in seen)
    assert any(line.endswith("alert") for line in seen)
    opened.page.mouse.move(5, 5)
    assert readout(opened) == expected[-1]


def test_another_symbol_and_detector_change_candles_words_marks_and_table(prices):
    history, opened = prices
    table = "() => [...document.querySelectorAll('#prices-table tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    opened.look(UNFOLD)
    assert opened.look(table) == [[cell.text for cell in row] for row in history.chart().table.rows]
    opened.page.get_by_label("Symbol").select_option("B")
    opened.page.get_by_label("Detector").select_option("pca")
    opened.page.wait_for_function("() => document.querySelector('.moving strong').textContent.startsWith('B')")
    assert opened.page.locator(".moving strong").inner_text() == "B: price, regimes and the alerts of pca"
    n_alerts = int(history.alerts["pca"][0][:, 1].sum())
    assert f"n = 550 bars; {n_alerts} alerts, ▼ the 20" in opened.page.locator(".plot").get_attribute("aria-label")
    assert readout(opened) == described(history, history.bars.n_bars - 1, 1, "pca")
    active, scores = (part[:, 1] for part in history.alerts["pca"])
    best = sorted(np.flatnonzero(active), key=lambda row: -scores[row])[:20]
    shown = opened.look(table)
    assert [row[0] for row in shown] == [str(history.bars.time[row])[:16].replace("T", " ").removesuffix(" 00:00") for row in best]
    assert {(row[1], row[2]) for row in shown} == {("B", "pca")}


def test_the_buttons_move_the_view_and_candles_of_many_bars_keep_their_extremes(chromium, tmp_path):
    history = watched(gappy(9_000, 1))
    bars = history.bars
    history.save(tmp_path / "prices.html")
    with visit(chromium, tmp_path / "prices.html", width=700) as opened:
        n_bars = int(re.search(r", (\d+) bars ·", readout(opened))[1])
        size = 16
        assert n_bars == bars.n_bars - (bars.n_bars - 1) // size * size
        rows = slice(bars.n_bars - n_bars, None)
        low, high = bars.low[rows, 0].min(), bars.high[rows, 0].max()
        first, last = bars.open[rows, 0][0], bars.close[-1, 0]
        extremes = {"open": first, "high": high, "low": low, "close": last}
        words = " ".join(f"{name} {spelled(history, 0, price)}" for name, price in extremes.items())
        assert words in readout(opened)
        hover = opened.page.locator(".plot canvas").first.bounding_box()
        for share in np.linspace(0.1, 0.9, 15):
            opened.page.mouse.move(hover["x"] + share * hover["width"], hover["y"] + 60)
            time, high, low = re.match(r"(.*), 16 bars · .*high (\S+) low (\S+) close", readout(opened)).groups()
            row = int(np.searchsorted(bars.time, np.datetime64(time)))
            held = slice(row, row + size)
            assert (high, low) == (spelled(history, 0, bars.high[held, 0].max()), spelled(history, 0, bars.low[held, 0].min()))
        opened.page.mouse.move(5, 5)
        opened.page.get_by_role("button", name="Last 90 days").click()
        assert opened.page.get_by_role("button", name="Last 90 days").get_attribute("aria-pressed") == "true"
        assert opened.page.get_by_role("button", name="All").get_attribute("aria-pressed") == "false"
        assert int(re.search(r", (\d+) bars ·", readout(opened))[1]) <= 4
        for _ in range(3):
            opened.page.keyboard.press("Tab")
        for _ in range(2):
            opened.page.keyboard.press("Enter")
        assert opened.page.get_by_role("button", name="Last 90 days").get_attribute("aria-pressed") == "false"
        opened.page.wait_for_timeout(200)
        assert re.search(r"\d · open", readout(opened)), readout(opened)


def test_a_page_that_cannot_unpack_its_prices_shows_the_picture(chromium, tmp_path):
    watched(gappy()).save(tmp_path / "prices.html")
    with visit(chromium, tmp_path / "prices.html", drawn="() => true") as opened:
        opened.page.add_init_script("delete window.DecompressionStream")
        opened.page.reload()
        opened.page.wait_for_timeout(200)
        assert opened.page.locator(".still:visible").count() == 1
        assert opened.page.locator(".plot:visible").count() == 0
        assert opened.said == []


def test_without_scripts_every_picture_and_the_table_are_there(chromium, tmp_path):
    watched(gappy()).save(tmp_path / "prices.html")
    with visit(chromium, tmp_path / "prices.html", java_script_enabled=False) as opened:
        assert opened.page.locator(".still:visible").count() == 2
        assert opened.page.locator(".controls:visible").count() == 0


@pytest.fixture(scope="module")
def traded(chromium, tmp_path_factory) -> Iterator[tuple[Visit, pd.DataFrame]]:
    """A study whose trades bear names that a spreadsheet would run, and these trades."""
    report = full_report()
    for old, new in zip(("zscore", "ETH/USDT"), (HOSTILE[0], HOSTILE[2]), strict=True):
        report = renamed(report, old, new)
    path = tmp_path_factory.mktemp("trades") / "study.html"
    report.save(path)
    with visit(chromium, path) as page:
        yield page, report.trades


def column(opened: Visit, place: int) -> list[str]:
    return opened.look(f"() => [...document.querySelectorAll('#trades-rows tbody tr')].map(row => row.cells[{place}].textContent)")


def test_the_list_of_trades_is_turned_over_sorted_by_keyboard_and_filtered(traded):
    opened, trades = traded
    status = opened.page.locator("#trades output")
    last_first = trades.sort_values("closed", kind="stable", ascending=False)
    assert column(opened, 4) == [f"{time:%Y-%m-%d %H:%M}" for time in last_first["closed"][:25]]
    assert status.inner_text() == f"1 to 25 of {len(trades)}"
    opened.page.locator("#trades [data-turn='1']").press("Enter")
    assert column(opened, 4)[0] == f"{last_first['closed'].iloc[25]:%Y-%m-%d %H:%M}"
    head = opened.page.locator("#trades-rows thead th").nth(8)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    best = trades["net_return"].sort_values(ascending=False)
    assert column(opened, 8) == [fmt.percent(value, 2) for value in best[:25]]
    head.locator("button").press("Enter")
    assert column(opened, 8)[0] == fmt.percent(best.iloc[-1], 2)
    symbol = trades["symbol"].iloc[0]
    opened.page.locator("#trades input").fill(symbol.lower())
    assert status.inner_text().endswith(f"of {(trades['symbol'] == symbol).sum()}")
    assert set(column(opened, 1)) == {symbol}
    opened.page.locator("#trades input").fill("nothing of this name")
    assert status.inner_text() == "nothing found"
    opened.page.locator("#trades input").fill("")


def test_the_csv_of_trades_holds_every_row_and_no_formula(traded, tmp_path):
    opened, trades = traded
    with opened.page.expect_download() as found:
        opened.page.locator("#trades [data-csv]").click()
    assert found.value.suggested_filename == "trades.csv"
    found.value.save_as(tmp_path / "trades.csv")
    text = (tmp_path / "trades.csv").read_bytes().decode()
    assert not re.findall(r'(?:^|,)"[=+@-]', text, flags=re.MULTILINE)
    table = pd.read_csv(tmp_path / "trades.csv")
    assert len(table) == len(trades)
    assert np.sort(table.iloc[:, 8]) == pytest.approx(np.sort(trades["net_return"]), rel=1e-7)
    names = set(table["Symbol"])
    assert "'" + HOSTILE[2] in names
    assert {name.removeprefix("'") for name in names} == set(trades["symbol"])

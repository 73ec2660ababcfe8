"""A real browser for the pages: Debian's Chromium without a window, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Root has no sandbox; nothing may be fetched or asked for at the start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# A page is ready once the charts of plotly are drawn, and those of prices.
DRAWN = """() => ["charts", ...[...document.querySelectorAll(".price")].map(chart => chart.id)]
  .every(name => performance.getEntriesByName("drawn " + name).length)"""
# Violations as "impact rule: first element". The run takes as long as the page has elements: what is inside a picture is not read
# to anybody and is taken away for its time, and so are the rows of a table that are like its first three: those without a colour
# that no row before them has.
AXE = """async (rules) => {
  const drawn = [...document.querySelectorAll(".chart > *, .plot > *, .matrix > *")];
  const colours = new Set();
  const isNew = part => {
    const { color, backgroundColor } = getComputedStyle(part);
    return colours.size < colours.add(`${color} ${backgroundColor}`).size;
  };
  const rows = [...document.querySelectorAll("tbody tr:nth-child(n + 4)")]
    .filter(row => [...row.querySelectorAll(".heat, .badge")].filter(isNew).length === 0);
  const away = [...drawn, ...rows].map(part => [part, part.parentNode, part.nextSibling]);
  away.forEach(([part]) => part.remove());
  const { violations } = await axe.run(document, { resultTypes: ["violations"], ...(rules.length ? { runOnly: rules } : {}) });
  away.reverse().forEach(([part, parent, next]) => parent.insertBefore(part, next));
  return violations
    .filter(found => ["serious", "critical"].includes(found.impact))
    .map(found => `${found.impact} ${found.id}: ${found.nodes.length} times, first ${found.nodes[0].html.slice(0, 200)} ` +
      found.nodes[0].any.map(any => any.message).join(" "));
}"""


def find_chromium(environ: Mapping[str, str], path: str | None = None) -> str:
    """Where Chromium is: FORESHOCK_CHROMIUM, or on ``path``; without it, tests skip by hand and fail where CI is set."""
    found = environ.get("FORESHOCK_CHROMIUM") or shutil.which("chromium", path=path)
    if not found or not Path(found).exists():
        reason = f"no browser at {found or 'chromium'}; install Debian's package chromium, or set FORESHOCK_CHROMIUM to one"
        (pytest.fail if environ.get("CI") else pytest.skip)(reason)
    return found


@contextmanager
def chromium(environ: Mapping[str, str] = os.environ) -> Iterator[Browser]:
    """The browser, for as long as the block lasts."""
    path = find_chromium(environ)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        (pytest.fail if environ.get("CI") else pytest.skip)("no playwright; pip install -e '.[test]'")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open, and what it did on the way: console lines and errors, requests, dialogs."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def look(self, script: str, *arguments: Any) -> Any:
        """What a script finds on the page."""
        return self.page.evaluate(script, *arguments)

    def accessibility(self, *rules: str) -> list[str]:
        """Serious and critical violations of all rules of axe-core, or of some."""
        if not self.look("() => typeof axe === 'object'"):
            self.look((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        return self.look(AXE, rules)


@contextmanager
def visit(
    browser: Browser, path: Path, width: int = 1280, height: int = 900, drawn: str = DRAWN, **options: Any
) -> Iterator[Visit]:
    """Open a file, and wait until its charts are drawn."""
    with browser.new_context(viewport={"width": width, "height": height}, **options) as context:
        page = context.new_page()
        # A busy machine may take long to draw a page.
        page.set_default_timeout(60_000)
        opened = Visit(page)
        page.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: opened.said.append(f"error: {error}"))
        page.on("request", lambda request: opened.asked.append(request.url))
        page.on("dialog", lambda dialog: (opened.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function(drawn)
        yield opened

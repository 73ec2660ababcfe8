"""Render self-contained HTML pages from templates, styles and scripts; a page loads nothing from the network."""

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from foreshock.data.errors import ConfigError
from foreshock.data.system.disk import write_whole

# Characters that set the writing direction, raw and as JSON escapes.
TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TURNING_ESCAPE = re.compile(r"\\u(?:061c|200[ef]|202[a-e]|206[6-9])", re.IGNORECASE)
SCRIPTS = ("plotly-basic-4.1.1.min.js", "report.js")
# Further scripts of a page that calls the macro ``price``, and of one that calls ``records``.
PRICE = ("lightweight-charts-5.2.1.min.js", "price.js")
RECORDS = ("records.js",)


def render(template: str, values: Mapping[str, Any], scripts: Sequence[str] = ()) -> str:
    """Render a page from `template`, with further scripts; all values are escaped, and numbers are already text."""
    # These scripts come first, so that they inflate prices in the background before plotly draws.
    contents = [_asset(name) for name in (*scripts, *SCRIPTS)]
    style = _asset("report.css") + (_asset("price.css") if set(PRICE) <= set(scripts) else "")
    return (
        _templates()
        .get_template(template)
        .render(values, style=Markup(style), scripts=[Markup(content) for content in contents], policy=_policy(contents))
    )


def part(template: str, values: Mapping[str, Any]) -> str:
    """Render a fragment of a page, without style and scripts."""
    return _templates().get_template(template).render(values)


def save(page: str, path: str | os.PathLike[str]) -> None:
    """Write a page atomically: an earlier file is replaced in one step."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"a page is written to a file, got the folder {path}; add a name, such as {path / 'report.html'}")
    write_whole(path, page)


def render_still(template: str, values: Mapping[str, Any]) -> str:
    """Render a page without charts and scripts."""
    return _templates().get_template(template).render(values, style=Markup(_asset("report.css")), scripts=[], policy=_policy([]))


def embed(document: str) -> Markup:
    """JSON that is safe inside a script element: no character can end the element or open a comment."""
    document = TURNING.sub("\ufffd", TURNING_ESCAPE.sub("\ufffd", document))
    for character in "<>&\u2028\u2029":
        document = document.replace(character, f"\\u{ord(character):04x}")
    return Markup(document)


def readable(value: Any) -> Any:
    """Text without characters that set the writing direction, which would reverse the numbers next to a name."""
    return TURNING.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    return escape(readable(name)).replace("_", Markup("_<wbr>")).replace(".", Markup(".<wbr>")).replace("[", Markup("<wbr>["))


def _policy(scripts: list[str]) -> str:
    # plotly writes style elements, so the policy can restrict scripts to hashes, but not styles.
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _asset(name: str) -> str:
    return resources.files("foreshock.reports").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("foreshock.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=readable,
    )
    environment.filters |= {"embed": embed, "breakable": _breakable}
    return environment

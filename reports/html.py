"""One self-contained HTML file: templates, style and scripts in, a page that asks nothing of the network out."""

import base64
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

SCRIPTS = ("plotly-basic-4.1.1.min.js", "report.js")


def render(template: str, values: Mapping[str, Any]) -> str:
    """A page from `template`; every value is escaped, every number was written before it came here."""
    scripts = [_asset(name) for name in SCRIPTS]
    return _templates().get_template(template).render(
        values, style=Markup(_asset("report.css")), scripts=[Markup(script) for script in scripts], policy=_policy(scripts)
    )


def save(page: str, path: str | os.PathLike[str]) -> None:
    """Write a page whole or not at all: a file that stood there before is replaced in one step."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def render_still(template: str, values: Mapping[str, Any]) -> str:
    """A page that draws nothing, and so has no script."""
    return _templates().get_template(template).render(values, style=Markup(_asset("report.css")), scripts=[], policy=_policy([]))


def embed(document: str) -> Markup:
    """JSON that may stand inside a script element: no character in it can end the element or open a comment."""
    for character in "<>&\u2028\u2029":
        document = document.replace(character, f"\\u{ord(character):04x}")
    return Markup(document)


def _breakable(name: str) -> Markup:
    return escape(name).replace("_", Markup("_<wbr>")).replace(".", Markup(".<wbr>")).replace("[", Markup("<wbr>["))


def _policy(scripts: list[str]) -> str:
    # plotly writes style elements, so styles cannot be held to a hash; scripts can.
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return (f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'")


@cache
def _asset(name: str) -> str:
    return resources.files("reports").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters |= {"embed": embed, "breakable": _breakable}
    return environment

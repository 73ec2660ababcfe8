"""What a reader of a report sees, and what its charts are drawn from."""

import html
import json
import re
from typing import Any


def seen(page: str) -> str:
    """Text of the page: scripts and styles out, tags out, entities read."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    bare = re.sub(r"</(td|th|span|p|caption|li|dt|dd|h1|h2|a)>", " ", bare)
    return re.sub(r"[ \n]+", " ", html.unescape(re.sub(r"<[^>]+>", "", bare)))


def table_of(page: str, name: str) -> list[list[str]]:
    """Texts of the cells of a table, second lines after a blank."""
    body = re.search(rf'<table id="{name}">.*?<tbody>(.*?)</tbody>', page, flags=re.DOTALL)
    assert body, name
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], flags=re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]
    return [[seen(cell.replace("<span", " <span")).strip() for cell in row] for row in cells]


def head_of(page: str, name: str) -> list[str]:
    """Labels of the columns of a table."""
    head = re.search(rf'<table id="{name}">.*?<thead>(.*?)</thead>', page, flags=re.DOTALL)
    assert head, name
    return [seen(label).strip() for label in re.findall(r'class="sort">(.*?)</button>', head[1], flags=re.DOTALL)]


def specs(page: str) -> dict[str, Any]:
    """Charts by name."""
    found = re.findall(r'<script type="application/json" id="([^"]+)-spec">(.*?)</script>', page, flags=re.DOTALL)
    return {name: json.loads(spec) for name, spec in found}


def texts(node: object) -> list[str]:
    """Every text in a chart."""
    if isinstance(node, dict):
        return [text for part in node.values() for text in texts(part)]
    if isinstance(node, list):
        return [text for part in node for text in texts(part)]
    return [node] if isinstance(node, str) else []

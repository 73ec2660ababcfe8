"""What every kind of page keeps: it loads nothing, runs only its own scripts, and shows names as text."""

import base64
import hashlib
import html
import json
import re
from collections import Counter
from functools import cache

import pytest

from tests.reading.kinds import HARMLESS, HOSTILE, KINDS, WORSE
from tests.reading.seen import seen, specs, texts

TAGS = ("<script", "</script", "<!--", "<tr>", "<td", "<button", "<option", "<text", "<title", "<h1", "<img")


@cache
def page_of(kind: str, names: tuple[str, ...] = ()) -> str:
    return KINDS[kind].named(names)


def markup(page: str) -> set[str]:
    """What Plotly would take for an element in the texts of the charts: line breaks, and what hides a second label."""
    return {tag for spec in specs(page).values() for text in texts(spec) for tag in re.findall(r"<[^>]*>?", text)}


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def page(kind) -> str:
    return page_of(kind)


def test_policy_admits_exactly_the_scripts_of_the_page(kind, page):
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy[1]).split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert len(hashes) == KINDS[kind].n_scripts
    assert rules["script-src"].split() == hashes
    assert rules["default-src"] == "'none'"
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script>")


def test_page_loads_nothing_and_is_small(kind, page):
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)\s*=\s*[\"']?((?:https?:)?//[^\"' >]+)", page)
    assert not re.findall(r"<(?:script|img|iframe|object|embed)[^>]+\b(?:src|data)\s*=", page)
    assert not re.findall(r"(?:@import|url\()", re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1])  # pyright: ignore
    assert not re.findall(r"<[a-z][^>]*\son[a-z]+\s*=", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert len(page.encode()) < KINDS[kind].most_bytes


def test_every_chart_has_a_title_its_n_and_a_label(kind, page):
    captions = re.findall(r"<figcaption><strong>(.*?)</strong><span>(.*?)</span></figcaption>", page, flags=re.DOTALL)
    labels = re.findall(r'<[a-z]+[^>]*role="img" aria-label="([^"]+)"', page)
    assert len(specs(page)) == KINDS[kind].n_charts
    assert len(captions) >= len(specs(page))
    assert all(title and re.search(r"\bn = [\d,]+( |$)", note) for title, note in captions)
    # Small pictures in tables have labels, too, and no title of their own.
    missing = Counter(html.unescape(f"{title}: {note}") for title, note in captions) - Counter(map(html.unescape, labels))
    assert not missing


def test_every_place_has_one_name_and_every_link_within_the_page_leads_to_one(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_an_unknown_number_is_never_a_word(page):
    assert "NaN" not in json.dumps(specs(page))
    assert not re.search(r"\b(nan|null|undefined|inf|NaT)\b|\bNone\b", seen(page))


@pytest.mark.parametrize("names", [HOSTILE, WORSE], ids=["hostile", "worse"])
def test_names_are_text_everywhere(kind, names):
    page, clean = page_of(kind, names), page_of(kind, HARMLESS)
    for tag in TAGS:
        assert page.count(tag) == clean.count(tag), tag
    for name in names[: KINDS[kind].n_names]:
        assert name in seen(page), name
    assert markup(page) == markup(clean)

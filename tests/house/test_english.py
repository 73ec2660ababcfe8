"""Comments, docstrings and messages are plain sentences: no turned-round openings, no private words."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator

import pytest

from tests.paths import ROOT

# A sentence that begins with "Of" hides its subject; the words have plain ones: fix, permissions, pass one, and so on.
TURNED = re.compile(r"(?:^|[.!?]\s+)Of [a-z`*\d]", re.MULTILINE)
PRIVATE = re.compile(r"\b(?:mend|mends|mended|mending|give one|its rights|the rights|whoever)\b", re.IGNORECASE)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every comment and every string constant; the fields of an f-string are an x."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, "\n".join(line.strip() for line in node.value.splitlines())


def sources() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in listed if not name.startswith("tests/") and (ROOT / name).exists()]


@pytest.mark.parametrize("name", sources())
def test_sentences_name_their_subject(name):
    found = list(texts((ROOT / name).read_text(encoding="utf-8")))
    turned = [(line, text[match.start() : match.start() + 60]) for line, text in found for match in TURNED.finditer(text)]
    private = [(line, match.group()) for line, text in found for match in PRIVATE.finditer(text)]
    assert (turned, private) == ([], [])


def test_a_turned_sentence_and_a_private_word_are_seen():
    source = '# Of four columns two are left.\nx = "mend it"\ny = f"No. Of {x} none"\n'
    found = [text for _, text in texts(source)]
    assert sum(bool(TURNED.search(text)) for text in found) == 2
    assert sum(bool(PRIVATE.search(text)) for text in found) == 1

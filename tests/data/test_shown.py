"""Every public object shows itself in one short line, and in a notebook."""

from __future__ import annotations

import dataclasses
import html
import inspect
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from tests.samples import public_classes, samples

HOSTILE = "<script>alert(1)</script>\n" * 30


@pytest.mark.parametrize("name", sorted(public_classes()))
def test_every_public_class_shows_itself(name):
    kind = public_classes()[name]
    assert issubclass(kind, Shown), f"{name} must inherit foreshock.data.show.facts.Shown, and be a dataclass with repr=False"
    value = samples()[name]
    text = repr(value)
    assert text.startswith(f"{name}(")
    assert text.endswith(")")
    assert len(text) < 200
    assert text.isprintable()
    assert " object at 0x" not in text
    assert html.escape(value.title) in value._repr_html_() if name == "StudyResult" else name in value._repr_html_()
    if hasattr(value, "to_frame"):
        assert isinstance(value.to_frame(), pd.DataFrame)
        assert inspect.getdoc(type(value).to_frame)


def test_the_results_of_public_functions_show_themselves():
    found = (fs.performance(np.zeros(50), "1h"), fs.sharpe_estimate(np.arange(50.0)), fs.romano_wolf(np.ones(2), np.ones((19, 2))))
    for value in found:
        assert len(repr(value)) < 200


@dataclass(frozen=True, repr=False)
class Named(Shown):
    name: str
    table: pd.DataFrame

    def _preview(self) -> pd.DataFrame:
        return self.table


def test_names_from_outside_cannot_reach_the_page_or_a_second_line():
    table = pd.DataFrame({"<b>column</b>": ["<i>cell</i>"]}, index=pd.Index(["<u>row</u>"], name="<s>name</s>"))
    value = Named(HOSTILE, table)
    page = value._repr_html_()
    assert not re.search(r"<(script|b|i|u|s)>", page)
    assert html.escape("<script>") in page
    for label in ("column", "cell", "row", "name"):
        assert f"{label}&lt;/" in page
    assert repr(value).isprintable()
    assert len(repr(value)) < 200


def test_objects_with_very_long_names_stay_below_200_characters():
    bars = samples()["Bars"]
    long = dataclasses.replace(bars, symbols=(HOSTILE, "other"))
    for value in (long, long.select([HOSTILE]), fs.PriceHistory(long, {HOSTILE: (np.zeros(long.shape, bool), long.close)})):
        assert len(repr(value)) < 200
        assert repr(value).isprintable()


def test_a_large_table_is_cut_in_a_notebook():
    page = Named("a", pd.DataFrame(np.zeros((5_000, 200))))._repr_html_()
    assert len(page) < 20_000


def test_a_detector_shows_the_parameters_that_differ():
    assert repr(fs.make_detector("isolation_forest")) == "IsolationForest()"
    assert repr(fs.make_detector("isolation_forest", n_estimators=50)) == "IsolationForest(n_estimators=50)"
    assert "sk-" not in fs.make_detector("zscore")._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (True, "True"),
        (np.float64(0.5), "0.5"),
        (np.int64(3), "3"),
        ("1h", "'1h'"),
        ("x" * 500, "'" + "x" * 79 + "…'"),
        ([1, "a", None], "[1, 'a', None]"),
        ((1,), "(1,)"),
        (list(range(5_000)), "a list of 5,000"),
        (["x" * 70, "y" * 70], "a list of 2"),
        ({"a": 1}, "a dict of 1"),
        (np.zeros((3, 4)), "an array of shape (3, 4)"),
        (np.array(2.5), "2.5"),
        (pd.DataFrame({"a": [1, 2]}), "a DataFrame of shape (2, 1)"),
        (object(), "an object"),
        (dict, "the class dict"),
        (len, "the function len"),
        (np.datetime64("2024-01-01"), "2024-01-01"),
    ],
)
def test_a_value_in_a_message_is_itself_or_its_type(value, expected):
    assert shown(value) == expected


def test_a_whole_number_that_python_cannot_write_out_is_named_by_its_length():
    assert shown(10**6_000) == "a whole number of about 6,001 digits"


def test_an_object_in_a_message_is_named_by_its_type():
    assert shown(samples()["Features"]) == "a Features"
    assert shown([samples()["Features"]] * 3) == "[a Features, a Features, a Features]"


def test_lists_of_names_in_messages_are_cut():
    assert few(["a", "b"]) == "a, b"
    assert few(f"s{i}" for i in range(1_000)) == "s0, s1, s2, s3, s4 and 995 more"
    assert len(few(["n" * 300] * 2)) < 90

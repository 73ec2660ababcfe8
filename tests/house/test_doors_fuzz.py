"""Odd values at every public door: each call ends in an answer or in one short sentence of foreshock."""

from __future__ import annotations

import functools
import inspect
import pickle
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import foreshock as fs
from foreshock.data.doors.door import door
from tests.doors.calls import Door, doors
from tests.doors.oddities import oddities, variants
from tests.doors.outcome import outcome

# These start processes, train networks, run studies or ask an exchange; ``tests.studies.program.doors_fuzz`` calls them.
SLOW = ("Scenarios", "Study", "Exploration", "Saved", "Archive", "realism", "validate", "explore", "load_", "stream_", "record_")
SLOW += ("surrogate", "scenario", "denoise", "open_sealed", "deflate_study", "check_", "book_flows", "regimes")
SLOW += ("AdaptiveConformal.threshold", "PeaksOverThreshold.threshold", "fit_surrogates", "evidence", "compare_avoidance")


@functools.cache
def quick() -> dict[str, Door]:
    every = doors(slow=False).items()
    return {name: called for name, called in every if called.parameters and not any(word in name for word in SLOW)}


@pytest.fixture(autouse=True, scope="module")
def elsewhere(tmp_path_factory):
    """What a word that is taken for a path writes lies in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("fuzz"))
        yield


def values(called: Door, parameter: str) -> dict[str, object]:
    return oddities() | dict(variants(called.given.get(parameter)))


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_an_odd_value_ends_in_an_answer_or_in_one_sentence(data):
    called = quick()[data.draw(st.sampled_from(sorted(quick())))]
    parameter = data.draw(st.sampled_from(called.parameters))
    odd = values(called, parameter)
    name = data.draw(st.sampled_from(sorted(odd)))
    found = outcome(called.function, called.given | {parameter: odd[name]})
    assert found.kind in ("fine", "sentence"), f"{called.name}({parameter}: {name}): {found.kind} {found.text} at {found.place}"


def test_an_object_that_nothing_is_known_of_is_named_by_its_type():
    unknown, wrong = oddities()["anything"], {}
    for name, called in quick().items():
        for parameter in called.parameters:
            found = outcome(called.function, called.given | {parameter: unknown})
            if found.kind not in ("fine", "sentence"):
                wrong[f"{name}({parameter})"] = found
    assert wrong == {}


@door
def drawn(values: np.ndarray, n: int = 1, *, seed: int = 0, name: str | None = None) -> int:
    """The docstring."""
    return len(values) + n


@door
class Held:
    """A class with a door."""

    def __init__(self, n: int) -> None:
        self.n = n

    def more(self, by: float) -> float:
        return self.n + by

    @classmethod
    def of(cls, text: str) -> Held:
        return cls(len(text))


def test_a_door_shows_the_function_that_it_guards():
    assert str(inspect.signature(drawn)) == (
        "(values: 'np.ndarray', n: 'int' = 1, *, seed: 'int' = 0, name: 'str | None' = None) -> 'int'"
    )
    assert drawn.__doc__ == "The docstring."
    assert (drawn.__module__, drawn.__qualname__) == (__name__, "drawn")
    assert pickle.loads(pickle.dumps(drawn)) is drawn  # noqa: S301 - what was pickled here
    # Where doctests of a module are looked for.
    assert drawn.__globals__ is globals()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: drawn(3), "values must be an array of numbers, got 3; pass an array"),
        (lambda: drawn([1.0], 1.5), "n must be a whole number, got 1.5"),
        (lambda: drawn([1.0], np.timedelta64(1, "h")), "n must be a whole number, got 1 hours"),
        (lambda: drawn([1.0], seed=-1), "seed must be a whole number of at least 0, got -1; pass one"),
        (lambda: drawn([1.0], name=3), "name must be a text, got 3"),
        (lambda: drawn(np.ones(3, complex)), "values must be an array of numbers, got an array of shape (3,); pass an array"),
        (lambda: Held("x"), "n must be a whole number, got 'x'"),
        (lambda: Held(1).more(None), "by must be a number, got None"),
        (lambda: Held.of(1), "text must be a text, got 1"),
    ],
)
def test_a_door_says_what_it_got_and_what_it_takes(call, said):
    with pytest.raises(fs.ConfigError) as error:
        call()
    assert str(error.value) == said


def test_a_door_lets_through_what_is_right_and_makes_a_list_an_array():
    assert (drawn([1.0, 2.0]), drawn(pd.Series([1.0]), n=np.int64(2)), drawn(np.ones(3), name=None)) == (3, 3, 4)
    assert (Held(2).more(0.5), Held.of("abc").n) == (2.5, 3)
    with pytest.raises(TypeError, match=r"drawn\(\) missing 1 required positional argument"):
        drawn()


def test_a_door_costs_microseconds():
    one = np.ones(3)

    def seconds(function):
        begun = time.process_time()
        for _ in range(2_000):
            function(one, 1, seed=0)
        return (time.process_time() - begun) / 2_000

    drawn(one)
    assert min(seconds(drawn) for _ in range(5)) < 50e-6

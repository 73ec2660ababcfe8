"""Signatures of the public functions: short, and what they take besides is known and checked."""

from __future__ import annotations

import inspect

import pytest

import foreshock as fs

MOST = 10
# A call with a misspelt rare keyword, and the keyword that was meant.
MISSPELT = {
    "simulate_market": ({"n_foreshock": 3}, "n_foreshocks"),
    "simulate_book": ({"n_spoof": 3}, "n_spoofs"),
    "detection_report": ({"scores": None, "signals": None, "events": None, "n_draw": 9}, "n_draws"),
    "scenario_study": ({"bars": None, "on_stp": print}, "on_step"),
    "latent_factors": ({"bars": None, "devices": "cpu"}, "device"),
    "validate": ({"bars": None, "detector": "zscore", "n_bootstraps": 99}, "n_bootstrap"),
    "surrogate_test": (
        dict.fromkeys(("surrogates", "signals", "rescorers", "make_features", "horizons", "cooldown")) | {"n_job": 2},
        "n_jobs",
    ),
}


def named_parameters(function) -> list[str]:
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind not in kinds]


def test_no_public_function_has_more_than_ten_named_parameters():
    functions = {name: getattr(fs, name) for name in fs.__all__ if inspect.isroutine(getattr(fs, name))}
    assert len(functions) > 50
    long = {name: named_parameters(function) for name, function in functions.items()}
    assert {name: found for name, found in long.items() if len(found) > MOST} == {}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_rare_keyword_is_refused_with_the_one_that_was_meant(name):
    given, meant = MISSPELT[name]
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no keyword '\w+'; did you mean '{meant}'\?$"):
        getattr(fs, name)(**given)


def test_a_misspelt_common_keyword_is_refused_with_the_one_that_was_meant():
    with pytest.raises(TypeError, match=r"^simulate_market\(\) has no keyword 'n_bar'; did you mean 'n_bars'\?$"):
        fs.simulate_market(n_bar=100)


def test_every_function_with_rare_keywords_has_a_misspelling_here():
    taking = [
        name
        for name in fs.__all__
        if inspect.isroutine(getattr(fs, name))
        and any(
            str(parameter.annotation).startswith(("Unpack[", "*"))
            for parameter in inspect.signature(getattr(fs, name)).parameters.values()
        )
    ]
    assert set(taking) == set(MISSPELT)


def test_rare_keywords_are_obeyed():
    market = fs.simulate_market(n_symbols=1, n_bars=2_000, n_pumps=2, n_foreshocks=0, n_decoys=0, n_flash_crashes=0)
    assert market.events["kind"].tolist() == ["pump", "pump"]
    book = fs.simulate_book(
        n_rows=2_000, n_sweeps=1, n_spoofs=2, **dict.fromkeys(("n_flash_crashes", "n_withdrawals"), 0), n_icebergs=0
    )
    assert book.events.groupby("kind").size().drop("flicker").to_dict() == {"spoof": 2, "sweep": 1}

"""A study with a universe known at the time: who is no member is not scored, judged or held."""

import tomllib
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

import foreshock as fs
from foreshock.cli.study import scenarios
from foreshock.engine.out_of_sample.universe import Universe
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.market.sources import open_source
from foreshock.reports.study.page import facts
from foreshock.reports.study.universe import universe_table
from foreshock.study.config import parse_study
from foreshock.study.files.outlook import outlook
from tests.market import quiet_bars

UNIVERSE = fs.Universe(2, window="5D")


def market() -> fs.Bars:
    """Four symbols whose value traded changes places; the fourth is listed late."""
    bars = quiet_bars(seed=4, n_bars=960, n_symbols=4)
    row = np.arange(960)[:, None] / 960
    volume = bars.volume * np.exp(4 * np.sin(2 * np.pi * (row * np.array([1.0, 1.3, 0.7, 1.9]) + np.array([0.1, 0.4, 0.7, 0.2]))))
    late = (np.arange(960)[:, None] < 560) & (np.arange(4) == 3)
    cut = {name: np.where(late, np.nan, getattr(bars, name)) for name in ("open", "high", "low", "close")}
    return replace(bars, **cut, volume=np.where(late, np.nan, volume), extras={})


class Holder:
    """Equal weights of whatever it is asked for."""

    name: ClassVar[str] = "holder"

    def __init__(self) -> None:
        self._asked: list[tuple[str, ...]] = []

    def weights(self, bars: fs.Bars, signals: fs.Signals | None = None) -> np.ndarray:  # noqa: ARG002
        self._asked.append(bars.symbols)
        return np.full(bars.shape, 1 / bars.n_symbols)


def study(**changes) -> fs.Study:
    settings = {
        "bars": market(),
        "detectors": ["zscore"],
        "splits": fs.WalkForward("12D", "6D", embargo=None),
        "threshold": fs.RollingQuantile(0.95, "8D"),
        "horizons": ["6h"],
        "random_draws": 1,
        "n_bootstrap": 99,
        "universe": UNIVERSE,
    }
    return fs.Study(**settings | changes)


@pytest.fixture(scope="module")
def holder():
    return Holder()


@pytest.fixture(scope="module")
def tables() -> list[RungTable]:
    """The deciding tests of the study, filled as it runs."""
    return []


@pytest.fixture(scope="module")
def result(holder, tables):
    class Kept(RungTable):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            tables.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foreshock.study.judge.RungTable", Kept)
        return run(holder)


def run(holder: Holder) -> fs.StudyResult:
    own = {"moon": "range_only"}
    return study(controls=own, strategies={"anomaly_avoidance": "anomaly_avoidance", "holder": holder}).run()


@pytest.fixture(scope="module")
def members():
    return study()._plan().members


def test_who_is_no_member_is_neither_scored_nor_decided(result, members):
    assert len({block.members for block in members.blocks}) > 2
    for label, scores in result.scores.items():
        assert np.isnan(scores.values[~members.mask]).all()
        assert not (result.signals[label].decided | result.signals[label].active)[~members.mask].any()
        assert (~np.isnan(scores.values) & members.mask).any(), label


def test_a_new_member_is_decided_from_its_first_row_on_if_it_was_listed_long_enough(result, members):
    joined = [
        (old, new) for old, new in zip(members.blocks, members.blocks[1:], strict=False) if set(new.members) - set(old.members)
    ]
    for old, new in joined:
        for name in set(new.members) - set(old.members) - {result.bars.symbols[3]}:
            assert result.signals["zscore"].decided[new.rows.start, result.bars.symbols.index(name)]


def test_events_and_the_rows_they_are_held_against_are_those_of_members(result, members):
    moves = result.forward["zscore"]["6h"]
    decided = result.signals["zscore"].decided
    assert 0 < moves.n_events + moves.n_others <= int((decided & members.mask).sum())
    assert result.results["detectors"]["zscore"]["n_scored"] == int(decided.sum())


def test_the_controls_decide_where_members_do(members, result, tables):
    assert result.results["controls"]["rows"]
    (table,) = tables
    assert len(table.alerts) > 20
    for name, found in table.alerts.items():
        assert not (found.active | found.decided)[~members.mask].any(), name
        assert found.decided.any(), name


def test_no_strategy_holds_who_is_no_member(result, members):
    first = members.blocks[0].rows.start
    outside = ~members.mask[first:]
    for name, account in result.backtests.items():
        assert (np.nan_to_num(account.weights)[outside] == 0).all(), name
        signed = account.trades["size"] * np.where(account.trades["side"] == "buy", 1, -1)
        fills = signed.groupby([account.trades["time"], account.trades["symbol"]]).sum().unstack(fill_value=0.0)
        held = fills.reindex(index=account.time, columns=list(result.bars.symbols), fill_value=0.0).cumsum().to_numpy()
        assert (np.abs(held[outside]) < 1e-9).all(), name
    assert len(result.backtests["anomaly_avoidance[zscore]"].trades) > 10


def test_equal_weights_are_those_of_the_members(result, members):
    weights = result.backtests["equal_weight"].weights
    first = members.blocks[0].rows.start
    for block in members.blocks:
        assert (weights[block.rows.start - first, block.columns] == 1 / len(block.members)).all()


def test_a_strategy_is_asked_for_the_members_of_each_block_alone(holder, members, result):
    asked = {frozenset(symbols) for symbols in holder._asked}
    assert asked == {frozenset(block.members) for block in members.blocks} | {frozenset(result.bars.symbols)}


def test_who_was_in_when_stands_in_the_results_and_on_the_page(result, members):
    assert result.results["universe"] == [{"start": str(block.start), "members": list(block.members)} for block in members.blocks]
    assert result.results["config"]["universe"] == {"top": 2, "by": "quote_volume", "window": "5D"}
    table = universe_table(result.results)
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows[:2]] == [
        ["2022-01-22 00:00", "2", ", ".join(members.blocks[0].members), "–"],
        ["2022-01-28 00:00", "2", *moves_between(members.blocks[0].members, members.blocks[1].members)],
    ]
    assert dict(facts(result.results))["Universe"].startswith(
        "the 2 largest by quote_volume over the 5D before each block; 4 symbols in 4 blocks"
    )


def test_a_check_says_how_many_symbols_are_members():
    assert "the 2 largest by quote_volume over the 5D before each block: 4 symbols in all" in outlook(study())


def moves_between(before: tuple[str, ...], after: tuple[str, ...]) -> list[str]:
    """Who joined and who left, as a page says it."""
    joined, left = [name for name in after if name not in before], sorted(set(before) - set(after))
    return [", ".join(joined) or "–", ", ".join(left) or "–"]


@pytest.mark.slow
def test_the_page_shows_who_was_in_when(result):
    page = result._page().to_html()
    assert "Who was in the universe" in page
    assert "Members of each test block, chosen by what was known when it began" in page


@pytest.mark.slow
def test_a_universe_of_all_symbols_judges_as_a_study_without_one():
    bars = market().select(list(market().symbols[:3]))
    alike = {"bars": bars, "strategies": []}
    one, other = study(universe=fs.Universe(3, window="5D"), **alike).run(), study(universe=None, **alike).run()
    for label, found in one.results["detectors"].items():
        expected = other.results["detectors"][label]
        for key in ("forward", "rungs", "n_alerts", "verdict"):
            assert repr(found[key]) == repr(expected[key]), (label, key)
    assert "universe" not in other.results
    assert "universe" not in other.results["config"]


def test_the_gate_passes_with_a_universe_known_at_the_time():
    found = study().audit(n_cuts=3)
    assert found.passed, str(found)
    assert found["universe"].n_cuts == 3


class Hindsight(Universe):
    """Ranks by the whole history: today's survivors."""

    def _ranked(self, bars, amounts, start):  # noqa: ARG002
        total = np.nansum(amounts, axis=0)
        return sorted(range(bars.n_symbols), key=lambda k: (-total[k], bars.symbols[k]))[: self.top]


def test_the_gate_catches_a_universe_of_survivors():
    found = study(universe=Hindsight(2, window="5D")).audit(n_cuts=6)
    assert not found.passed
    assert not found["universe"].passed
    assert found["feature log_return"].passed


TABLE = 'detectors = ["zscore"]\n[{section}]\npath = "x.csv"\nsymbols = {symbols}\n'


@pytest.mark.parametrize("section", ["data", "source"])
def test_a_study_file_chooses_a_universe_of_all_symbols_of_the_data(section, tmp_path):
    bars = market().head(300)
    bars.to_frame().to_csv(tmp_path / "x.csv", index=False)
    text = TABLE.format(section=section, symbols='{ top = 2, by = "volume", window = "5D" }')
    config = parse_study(tomllib.loads(text))
    assert config.universe == fs.Universe(2, "volume", "5D")
    found = open_source(config, "study.toml", tmp_path)
    assert (found if isinstance(found, fs.Bars) else found.bars).symbols == bars.select(list(bars.symbols[:3])).symbols
    assert fs.Study.from_config(config, found).universe == config.universe


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ("{ tp = 2 }", r"key 'data.symbols': unknown key 'tp'; expected one of top, by, window; did you mean 'top'\?"),
        ('{ by = "volume" }', "key 'data.symbols': the number of members is missing; add it, such as { top = 50 }"),
        ("{ top = 0 }", "key 'data.symbols': top must be a whole number of at least 1, got 0"),
        ('{ top = 5, window = "month" }', "key 'data.symbols': window must be"),
        ('["A", 5]', "key 'data.symbols': must be a list of texts, got 5 in it; put it in quotes"),
        ("5", "key 'data.symbols': must be a list, got 5; put it in brackets"),
    ],
)
def test_symbols_of_another_form_are_refused_in_one_sentence(symbols, message):
    with pytest.raises(fs.ConfigError, match=message):
        parse_study(tomllib.loads(TABLE.format(section="data", symbols=symbols)))


def test_a_universe_is_a_universe():
    with pytest.raises(fs.ConfigError, match="universe must be Universe, got int; such as"):
        study(universe=50)


def test_a_verb_that_has_no_blocks_refuses_a_universe(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TABLE.format(section="data", symbols="{ top = 2 }"))
    with pytest.raises(
        fs.ConfigError, match=r"symbols = \{ top = 2, ... \} in .*study.toml changes from block to block, .* name the"
    ):
        scenarios(path, out=tmp_path / "out")


def test_a_validation_judges_the_members_as_a_study_does():
    whole = study()
    given = {"threshold": whole.threshold, "splits": whole.splits, "horizon": "6h", "n_bootstrap": 99}
    found = fs.validate(market(), "zscore", universe=UNIVERSE, **given)
    rungs = whole.run().results["detectors"]["zscore"]["rungs"]
    assert found.rungs["z"].tolist() == pytest.approx([rungs[rung]["6h"]["z"] for rung in ("volatility", "volume")], abs=1e-12)
    everyone = fs.validate(market(), "zscore", **given)
    assert everyone.rungs["n_events"].iloc[0] > found.rungs["n_events"].iloc[0]
    with pytest.raises(fs.ConfigError, match="universe"):
        fs.validate(market(), "zscore", universe=5, **given)

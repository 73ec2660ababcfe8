"""The scenario page: what stands on it is what stands in scenarios.json, which is what the paths say."""

import json
import re

import numpy as np
import pytest

from foreshock.engine.realism.measures import absolute_autocorrelation
from foreshock.reports.parts import format as fmt
from foreshock.reports.scenarios.page import ScenarioReport, headline
from foreshock.scenarios.output import save_scenarios
from foreshock.scenarios.pictures import clustering, fan, losses, path_returns
from tests.made.scenarios import content_of, page_of, study
from tests.reading.seen import head_of, seen, specs, table_of


@pytest.fixture
def content() -> dict:
    return content_of()


@pytest.fixture(scope="module")
def page() -> str:
    return page_of()


def test_the_fan_ends_at_the_returns_that_var_is_taken_from(content):
    assert set(content["fan"]["quantiles"]) == {"historical", "generated", "stressed 2x"}
    for name, quantiles in content["fan"]["quantiles"].items():
        for level, values in zip(content["fan"]["levels"], quantiles, strict=True):
            assert values[0] == 0
            assert len(values) == 9
            assert values[-1] == pytest.approx(np.quantile(study()[0].returns[name], level), rel=1e-12, abs=1e-15)


def test_the_value_of_a_held_portfolio_is_followed_step_by_step():
    log_returns = np.log(np.array([[[1.1, 0.5], [1.1, 2.0], [1.0, 1.5]]]))
    # 0.6 of the first: 0.66, 0.726, 0.726; 0.4 of the second: 0.2, 0.4, 0.6.
    assert path_returns(log_returns, np.array([0.6, 0.4]))[0] == pytest.approx([0, -0.14, 0.126, 0.326])
    found = fan({"x": np.repeat(log_returns, 5, axis=0)}, np.array([0.6, 0.4]))
    assert found["n"] == {"x": 5}
    assert np.ptp(found["quantiles"]["x"], axis=0) == pytest.approx(0)


def test_every_path_is_in_one_bin_or_beyond(content):
    edges = np.array(content["losses"]["edges"])
    for name, source in content["losses"]["sources"].items():
        loss = -study()[0].returns[name]
        assert source["n"] == len(loss) == sum(source["counts"]) + source["below"] + source["above"]
        inside = loss[(loss >= edges[0]) & (loss < edges[20])]
        assert sum(source["counts"][:20]) == len(inside)
    still = losses({"still": np.zeros(9)})
    assert sum(still["sources"]["still"]["counts"]) == 9


def test_clustering_is_that_of_the_paths(content):
    for name, values in content["clustering"]["absolute"].items():
        assert values == pytest.approx(absolute_autocorrelation(study()[0].paths[name]))
    assert list(content["clustering"]["absolute"]) == ["held out", "generated", "history", "gaussian"]
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4_000, 8, 1))
    assert np.abs(clustering({"noise": noise})["absolute"]["noise"]).max() < 0.03
    calm_and_wild = noise * rng.choice([1, 5], (4_000, 1, 1))
    assert clustering({"x": calm_and_wild})["absolute"]["x"] == pytest.approx(absolute_autocorrelation(calm_and_wild))
    assert clustering({"x": calm_and_wild})["absolute"]["x"].min() > 0.3


def test_the_card_and_the_cards_are_the_formatted_json(content, page):
    card = content["realism"]["vae"]["measures"]
    for row, (name, figures) in zip(table_of(page, "card"), card.items(), strict=True):
        assert row[0].endswith(name)
        assert row[1:6] == [fmt.number(figures[key]) for key in ("real", "generated", "distance", "floor", "limit")]
        assert row[6:] == [fmt.p_value(figures["p"]), "yes" if figures["passed"] else "no"]
    cards = list(content["realism"].values()) + list(content["realism_later"].values())
    assert head_of(page, "cards")[1:] == [*content["realism"], *content["realism_later"]]
    *rows, total = table_of(page, "cards")
    for (_, *shown), name in zip(rows, card, strict=True):
        figures = [found["measures"][name] for found in cards]
        assert shown == [f"{'✓' if f['passed'] else '✗'} {fmt.ratio(f['distance'] / f['limit'])}" for f in figures]
    assert total[1:] == [f"{found['n_passed']} of {len(found['measures'])}" for found in cards]


def test_blue_cells_passed_and_orange_ones_failed(page):
    body = re.search(r'<table id="cards">.*?</table>', page, re.DOTALL)
    assert body
    cells = re.findall(r'<td class="heat heat (\w+)".*?>\s*([✓✗])', body[0], re.DOTALL)
    assert {pair for pair in cells} == {("plus", "✓"), ("minus", "✗")}


def test_losses_their_lines_and_the_table_are_the_risk_of_the_json(content, page):
    for shown, row in zip(table_of(page, "risk-sources"), content["risk"], strict=True):
        assert shown[:3] == [row["source"], fmt.percent(row["level"], 0), fmt.count(row["n"])]
        assert shown[3:] == [
            f"{fmt.percent(row[key])} {fmt.interval([row[f'{key}_low'], row[f'{key}_high']], fmt.percent)}"
            for key in ("var", "cvar")
        ]
    charts = specs(page)
    for i, (name, source) in enumerate(content["losses"]["sources"].items()):
        bars_, *lines = charts[f"loss-{i}"]["data"]
        assert [y or 0.0 for y in bars_["y"]] == pytest.approx([c / source["n"] for c in source["counts"]], rel=1e-4)
        expected = [row[key] for row in content["risk"] if row["source"] == name for key in ("var", "cvar")]
        assert [line["x"][0] for line in lines] == expected
        low, high = charts[f"loss-{i}"]["layout"]["xaxis"]["range"]
        assert low < min(expected) < max(expected) < high


def test_fans_and_curves_draw_what_was_counted(content, page):
    charts = specs(page)
    real = content["fan"]["quantiles"]["historical"]
    for i, name in enumerate(("generated", "stressed 2x")):
        *bands, median, one, five, ninety_five, ninety_nine, middle = charts[f"fan-{i}"]["data"]
        quantiles = content["fan"]["quantiles"][name]
        for band, (low, high) in zip(bands, ((0, 6), (1, 5), (2, 4)), strict=True):
            assert band["y"] == pytest.approx([*quantiles[low], *quantiles[high][::-1]], rel=1e-4, abs=1e-12)
            assert band["x"] == [*range(9), *range(8, -1, -1)]
        assert median["y"] == pytest.approx(quantiles[3], rel=1e-4, abs=1e-12)
        for line, place in ((one, 0), (five, 1), (ninety_five, 5), (ninety_nine, 6), (middle, 3)):
            assert line["y"] == pytest.approx(real[place], rel=1e-4, abs=1e-12)
        assert f"{name}: one path in twenty ends below {fmt.percent(quantiles[1][-1])}" in seen(page)
    for trace, name in zip(charts["clustering"]["data"], ("held out", "generated", "history", "gaussian"), strict=True):
        assert trace["y"] == pytest.approx(content["clustering"]["absolute"][name], rel=1e-4)
    rows = {(row[0], row[1]): row[2:] for row in table_of(page, "fan-table")}
    assert rows["historical", "8"] == [fmt.percent(levels[-1]) for levels in real]
    assert len(rows) == 3 * 4
    shares = table_of(page, "losses-table")
    for place, source in enumerate(content["losses"]["sources"].values(), 1):
        inside = [sum(source["counts"][k : k + 4]) for k in range(0, 40, 4)]
        assert [row[place] for row in shares] == [fmt.percent(c / source["n"]) for c in (source["below"], *inside, source["above"])]


def test_the_head_names_what_passes_and_the_stressed_loss(content, page):
    card = content["realism"]["vae"]
    said = headline(content)
    assert said[0].startswith(
        f"vae passes {card['n_passed']} of 8 measures of realism against {card['n_real']} paths that it was not trained on"
    )
    history = content["realism"]["history"]["n_passed"]
    assert said[1].startswith(f"Controls on the same card: the training history itself {history} of 8, Gaussian paths ")
    later = content["realism_later"]
    assert f"it passes {later['vae']['n_passed']} of 8 against the last 30" in said[2]
    row = next(row for row in content["risk"] if row["source"] == "stressed 2x" and row["level"] == 0.99)
    interval = fmt.interval([row["var_low"], row["var_high"]], fmt.percent)
    assert f"The portfolio's 99\u202f% VaR over 8h is {fmt.percent(row['var'])} {interval} stressed 2x, generated " in said[3]
    assert said[3].endswith(f"beyond it the stressed 2x mean loss is {fmt.percent(row['cvar'])}.")
    assert seen(page).index(said[0]) < seen(page).index("Do generated paths look real?")


def test_without_a_later_card_nothing_is_said_of_it(content):
    alone = content | {"realism_later": {}}
    text = seen(ScenarioReport(alone, "").to_html())
    assert "last 30" not in text
    assert len(headline(alone)) == 3


def test_the_folder_holds_page_and_json_of_the_same_numbers(tmp_path):
    save_scenarios(*study(), {"horizon": "8h"}, tmp_path, "foreshock scenarios x.toml")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert {"model.safetensors", "report.html", "scenarios.json", "scenarios.parquet"} <= set(names)
    content = json.loads((tmp_path / "scenarios.json").read_text(), parse_constant=pytest.fail)
    assert (tmp_path / "report.html").read_text() == ScenarioReport(content, "foreshock scenarios x.toml").to_html()

"""Scenarios: generators against what they learned from, stress, stressed risk, and the verb."""

import json
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import foreshock as fs
from foreshock.cli import root as cli
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.simulate.market import simulate_market
from foreshock.detectors.neural.scenarios.load import SHIPPED
from foreshock.detectors.neural.scenarios.model import VOLATILITY_REGIMES, held_returns, trailing_volatility
from foreshock.detectors.neural.scenarios.nets import PathVAE, correlation_factor
from foreshock.engine.realism import gaussian_paths, phase_shuffled_paths
from foreshock.scenarios.scenarios import cut_paths, hold_out
from tests.market import make_bars, quiet_bars

SMALL = {"n_steps": 8, "latent": 3, "hidden": 12, "batch_size": 64, "max_windows": 2_000}


@pytest.fixture(scope="module")
def bars() -> fs.Bars:
    return quiet_bars(5, 4_000, 3)


@pytest.fixture(scope="module")
def models(bars) -> dict:
    """One of each kind, trained briefly."""
    found = (
        fs.VAEScenarios(epochs=20, **SMALL),
        fs.ConditionalVAEScenarios(epochs=20, **SMALL),
        fs.GANScenarios(epochs=6, **SMALL),
    )
    return {model.name: model.fit(bars) for model in found}


NAMES = ("vae", "conditional_vae", "gan")


def test_the_shipped_model_passes_more_measures_than_gaussian_and_phase_shuffled_paths():
    card = json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))
    market = card["data"]["simulate_market"]
    cut, n_days = 24 * card["data"]["train_days"], card["data"]["train_days"] + card["data"]["test_days"]
    returns = simulate_market(**market, n_bars=24 * n_days + 1).bars.returns()[1:]
    before, after = cut_paths(returns[:cut], 24), cut_paths(returns[cut:], 24)
    model = fs.load_scenario_model()
    passed = fs.realism(after, model.sample(600, seed=1), n_splits=20).n_passed
    controls = [control(before, len(after), 1) for control in (gaussian_paths, phase_shuffled_paths)]
    others = [fs.realism(after, paths, n_splits=20).n_passed for paths in controls]
    assert passed >= 6
    assert max(others) <= 4
    assert fs.realism(after, before, n_splits=20).n_passed >= 7


@pytest.mark.parametrize("name", NAMES)
def test_more_stress_is_more_volatility_and_more_loss(models, name):
    weights = np.full(3, 1 / 3)
    steps = [fs.generate_scenarios(models[name], 400, stress, seed=2) for stress in (1.0, 1.3, 2.0, 4.0, 8.0)]
    for level in (0.95, 0.99):
        risk = fs.scenario_risk({str(s.stress): s.portfolio_returns(weights) for s in steps}, [level], n_bootstrap=50)
        assert (np.diff(risk["var"]) > 0).all()
        assert (np.diff(risk["cvar"]) > 0).all()
    assert [s.tilt for s in steps] == sorted(s.tilt for s in steps)
    assert steps[0].tilt == 0
    assert steps[0].scale == 1
    # Once the tilt has reached its limit, the scale does the rest.
    assert steps[4].tilt == pytest.approx(steps[3].tilt)
    assert steps[4].scale == pytest.approx(2 * steps[3].scale)
    unit = [np.sqrt(((s.paths / models[name].scale_) ** 2).mean()) for s in steps]
    candidates = models[name].sample(4_000, seed=2) / models[name].scale_
    base = np.sqrt((candidates**2).mean())
    np.testing.assert_allclose(np.array(unit[1:]) / base, [1.3, 2.0, 4.0, 8.0], rtol=0.05)


def test_no_stress_is_the_law_itself(models):
    np.testing.assert_array_equal(fs.generate_scenarios(models["vae"], 50, seed=4).paths, models["vae"].sample(50, seed=4))


def test_paths_have_the_scale_and_the_correlation_of_the_bars(bars, models):
    returns = bars.returns()[1:]
    for name in ("vae", "conditional_vae"):
        rows = models[name].sample(3_000, seed=1).reshape(-1, 3)
        np.testing.assert_allclose(rows.std(axis=0), returns.std(axis=0), rtol=0.15)
        np.testing.assert_allclose(np.corrcoef(rows.T), np.corrcoef(returns.T), atol=0.1)


def test_regimes_are_ordered_by_volatility(models):
    spread = [models["conditional_vae"].sample(800, 1, regime).std() for regime in VOLATILITY_REGIMES]
    assert spread == sorted(spread)
    assert spread[2] > 1.2 * spread[0]
    with pytest.raises(ConfigError, match="regime of vae must be None, since this model has no regimes, got 'calm'"):
        models["vae"].sample(10, regime="calm")
    with pytest.raises(ConfigError, match="must be one of calm, normal, high volatility, got 'wild'"):
        models["conditional_vae"].sample(10, regime="wild")


@pytest.mark.parametrize("name", NAMES)
def test_saved_models_draw_the_same_paths_and_tampered_ones_are_refused(models, name, tmp_path):
    path = tmp_path / "model.safetensors"
    models[name].save(path)
    again = fs.load_scenario_model(path)
    np.testing.assert_array_equal(again.sample(60, seed=3), models[name].sample(60, seed=3))
    assert not np.array_equal(again.sample(60, seed=4), models[name].sample(60, seed=3))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="was changed after it was saved"):
        fs.load_scenario_model(path)


def test_a_file_of_something_else_is_refused(bars, tmp_path):
    path = tmp_path / "detector.safetensors"
    fs.make_detector("pca").fit(fs.ohlcv_features(bars)).save(path)
    with pytest.raises(DataError, match="holds a pca, not a scenario model; pass one of vae, conditional_vae, gan"):
        fs.load_scenario_model(path)


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_train_equal_models(bars, name):
    short = bars.head(900)
    params = {**SMALL, "batch_size": 32, "epochs": 4}
    kinds = {"vae": fs.VAEScenarios, "conditional_vae": fs.ConditionalVAEScenarios, "gan": fs.GANScenarios}
    first, again, other = (kinds[name](**params, seed=seed).fit(short).sample(20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("n_steps", "n_assets"), [(2, 1), (1, 2)])
def test_the_likelihood_is_the_density_of_the_sampled_paths(n_steps, n_assets):
    torch.manual_seed(3)
    net = PathVAE(n_steps, n_assets, 0, 1, 8)
    # Roots of even steps are dense where the density is high.
    axis = torch.sinh(torch.linspace(-6, 6, 801))
    width = torch.gradient(axis)[0]
    paths = torch.cartesian_prod(axis, axis).reshape(-1, n_steps, n_assets)
    code = torch.full((len(paths), 1), 0.5)
    with torch.no_grad():
        log_density = net.log_likelihood(paths, code, torch.empty(len(paths), 0))
        mass = torch.exp(log_density) * torch.outer(width, width).ravel()
        assert float(mass.sum()) == pytest.approx(1, abs=0.01)
        drawn = net.sample(code[:40_000], torch.empty(40_000, 0), torch.Generator().manual_seed(0))
        # The mean log density of draws is minus the entropy; and draws fall into a quadrant as often as its mass says.
        found = net.log_likelihood(drawn, code[:40_000], torch.empty(40_000, 0))
        assert float(found.mean()) == pytest.approx(float((mass * log_density).sum()), abs=0.03)
    both_high = (paths > 0.3).flatten(1).all(dim=1)
    assert float((drawn > 0.3).flatten(1).all(dim=1).float().mean()) == pytest.approx(float(mass[both_high].sum()), abs=0.01)


def test_correlation_factors_are_factors_of_correlation_matrices():
    raw = torch.randn((20, 10), generator=torch.Generator().manual_seed(0))
    factor = correlation_factor(raw, 4)
    matrix = factor @ factor.transpose(1, 2)
    torch.testing.assert_close(torch.diagonal(matrix, dim1=1, dim2=2), torch.ones(20, 4))
    assert (torch.triu(factor, 1) == 0).all()
    assert float(matrix.abs().max()) <= 1 + 1e-6


def test_held_returns_compound_each_asset():
    paths = np.log1p(np.array([[[0.1, -0.5], [0.1, 0.0]]]))
    assert held_returns(paths, np.array([0.25, 0.75]))[0] == pytest.approx(0.25 * 0.21 - 0.75 * 0.5)
    with pytest.raises(ConfigError, match="weights must be one finite number for each of 2 assets"):
        held_returns(paths, np.ones(3))


def test_held_out_rows_are_in_no_training_window():
    returns = np.arange(25.0 * 14 * 20)[:, None]
    train, held = hold_out(returns, 24, seed=1)
    rows = np.flatnonzero(~np.isnan(held[:, 0]))
    assert len(rows) / len(returns) == pytest.approx(1 / 3, abs=0.03)
    near = (rows[:, None] + np.arange(-24, 25)).ravel()
    near = near[(near >= 0) & (near < len(returns))]
    assert np.isnan(train[near]).all()
    free = np.setdiff1d(np.arange(len(returns)), near)
    np.testing.assert_array_equal(train[free], returns[free])


def test_unknown_returns_are_in_no_training_window(bars):
    returns = bars.returns()
    returns[::8, 1] = np.nan
    with pytest.raises(
        DataError, match=r"needs 200 windows of 8 bars with every return of every asset known, got 0 .* has the fewest"
    ):
        fs.VAEScenarios(**SMALL).fit_returns(returns, bars.symbols, bars.interval)


def test_trailing_volatility_uses_the_past():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(50, 2))
    found = trailing_volatility(unit, 10)
    assert np.isnan(found[:9]).all()
    assert found[20] == pytest.approx(np.abs(unit[11:21]).mean())
    np.testing.assert_array_equal(trailing_volatility(unit[:30], 10), found[:30])


def test_scenario_risk_is_the_tail_of_the_returns():
    returns = np.arange(-100, 900) / 1_000
    risk = fs.scenario_risk({"historical": returns, "other": returns}, [0.95]).set_index("source")
    assert risk.loc["other", "var"] == pytest.approx(0.05)
    assert risk.loc["other", "cvar"] == pytest.approx(0.0755)
    assert risk.loc["other", "var_low"] < 0.05 < risk.loc["other", "var_high"]
    # Runs of sorted returns move together: their interval is wider.
    width = risk["var_high"] - risk["var_low"]
    assert width["historical"] > 1.5 * width["other"]


def test_a_collapsed_model_fails_with_a_remedy(bars):
    with pytest.raises(ConfigError, match=r"vae has collapsed: none of its 3 latent units varies .* lower beta \(now 1000\)"):
        fs.VAEScenarios(beta=1_000, epochs=3, **SMALL).fit(bars)


def test_what_cannot_work_is_refused(bars, models):
    with pytest.raises(ConfigError, match="n_steps of vae must be at least 8, got 4"):
        fs.VAEScenarios(n_steps=4).fit(bars)
    with pytest.raises(ConfigError, match=r"stress must lie between 1 \(no stress\) and 20, got 0\.5"):
        fs.generate_scenarios(models["vae"], 10, 0.5)
    with pytest.raises(ConfigError, match="n must be a whole number of at least 1, got 0"):
        fs.generate_scenarios(models["vae"], 0)
    with pytest.raises(ConfigError, match="vae is not fitted"):
        fs.VAEScenarios().sample(3)
    with pytest.raises(ConfigError, match="no such scenario model: 'flow'"):
        fs.scenario_study(bars, "flow")
    with pytest.raises(ConfigError, match="weights name XRP, but the bars have"):
        fs.scenario_study(bars, weights={"XRP": 1.0})
    with pytest.raises(DataError, match=r"realism needs 96 held-out paths of 24h .* got \d+ from 3999 bars"):
        fs.scenario_study(bars)


def test_the_verb_prints_and_writes_card_and_risk(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # Four sources are compared with what was held out, by as few splits as there may be.
    monkeypatch.setattr("foreshock.scenarios.scenarios.realism", partial(fs.realism, n_splits=20))
    make_bars(4_200, 2, seed=1).to_frame().to_csv("bars.csv", index=False)
    text = 'detectors = ["zscore"]\n[data]\npath = "bars.csv"\n[scenarios]\nhorizon = "8h"\nlater = false\n'
    (tmp_path / "study.toml").write_text(text)
    monkeypatch.setattr("sys.argv", ["foreshock", "scenarios", "study.toml", "--n", "200", "--stress", "2", "--out", "out"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert re.search(r"Realism of vae against \d+ held-out paths", printed)
    assert re.search(r"stressed 2x +95% +200", printed)
    content = json.loads((tmp_path / "out/scenarios.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert content["config"]["stress"] == 2
    assert set(content["realism"]) == {"vae", "history", "gaussian", "phase_shuffled"}
    risk = pd.DataFrame(content["risk"]).set_index(["source", "level"])
    assert risk.loc[("stressed 2x", 0.99), "var"] > risk.loc[("generated", 0.99), "var"] > 0
    assert printed.rstrip().endswith("report: out/report.html")
    page = (tmp_path / "out/report.html").read_text()
    assert "<pre><code>foreshock scenarios study.toml --n 200 --stress 2</code></pre>" in page
    table = pd.read_parquet(tmp_path / "out/scenarios.parquet")
    assert len(table) == 200 * 8 * 2
    model = fs.load_scenario_model(tmp_path / "out/model.safetensors")
    paths = table["log_return"].to_numpy().reshape(200, 8, 2)
    np.testing.assert_array_equal(fs.generate_scenarios(model, 200, 2.0, seed=0).paths, paths)
    # The pictures are of the paths that the tables are of.
    ends = {name: [levels[-1] for levels in found] for name, found in content["fan"]["quantiles"].items()}
    assert ends["stressed 2x"] == pytest.approx(np.quantile(held_returns(paths, np.full(2, 0.5)), content["fan"]["levels"]))
    for name in ("historical", "generated"):
        assert -ends[name][1] == pytest.approx(risk.loc[(name, 0.95), "var"], rel=0.05)
        assert content["fan"]["n"][name] == risk.loc[(name, 0.95), "n"]
    shown = {name: np.mean(values) for name, values in content["clustering"]["absolute"].items()}
    assert shown["held out"] == pytest.approx(content["realism"]["vae"]["measures"]["acf_absolute"]["real"])
    for name, card in (("generated", "vae"), ("history", "history"), ("gaussian", "gaussian")):
        assert shown[name] == pytest.approx(content["realism"][card]["measures"]["acf_absolute"]["generated"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('model = "flow"', "key 'scenarios.model'"),
        ('horizon = "7h"', "horizon must be at least 8 bars of 1h, got 7h"),
        ("levels = [1.5]", "key 'scenarios.levels.0'"),
        ("weights = { X = 1.0 }", "weights name X, but the bars have A, B"),
    ],
)
def test_a_wrong_study_is_refused_in_a_sentence(tmp_path, monkeypatch, capsys, line, said):
    monkeypatch.chdir(tmp_path)
    make_bars(300, 2).to_frame().to_csv("bars.csv", index=False)
    (tmp_path / "study.toml").write_text(f'detectors = ["zscore"]\n[data]\npath = "bars.csv"\n[scenarios]\n{line}\n')
    monkeypatch.setattr("sys.argv", ["foreshock", "scenarios", "study.toml"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1

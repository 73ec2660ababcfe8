"""Made-up scenarios and their cards of realism, and their page."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

import foreshock as fs
from foreshock.detectors.neural.scenarios.model import held_returns
from foreshock.engine.realism.card import MEASURES
from foreshock.reports.scenarios.page import ScenarioReport
from foreshock.scenarios.output import scenario_results
from tests.market import make_bars

WEIGHTS = np.array([0.7, 0.3])


def card(seed: int, n_passed: int) -> fs.RealismCard:
    """A made-up card: the first measures pass, and one has no figure of one set alone."""
    rng = np.random.default_rng(seed)
    limit, passed = rng.uniform(0.1, 1, 8), np.arange(8) < n_passed
    figures = {
        "real": rng.normal(size=8),
        "generated": rng.normal(size=8),
        "floor": limit / 3,
        "limit": limit,
        "p": rng.uniform(size=8),
    }
    figures["real"][0] = np.nan
    table = pd.DataFrame(figures | {"distance": limit * np.where(passed, 0.6, 1.7), "passed": passed}, index=pd.Index(MEASURES))
    return fs.RealismCard(table, 0.25, 120, 300, 50, 0.95, seed)


@cache
def study(first: str = "BTC/USDT", second: str = "ETH/USDT") -> tuple[fs.ScenarioStudy, fs.Bars]:
    """A study as ``scenario_study`` returns it, of drawn paths and made-up cards: the page is the same, and quick."""
    bars = replace(make_bars(900, 2, seed=1), symbols=(first, second))
    model = fs.VAEScenarios(n_steps=8, latent=3, hidden=12, epochs=8, batch_size=64, learning_rate=1e-2, beta=0.1).fit(bars)
    rng = np.random.default_rng(3)
    wild = rng.choice([0.5, 2.0], (700, 1, 1))
    paths = {
        "historical": 0.01 * rng.standard_t(4, (400, 8, 2)),
        "held out": 0.01 * (rng.normal(size=(120, 8, 2)) * wild[:120]),
        "generated": 0.01 * (rng.normal(size=(300, 8, 2)) * wild[:300]),
        "history": 0.01 * rng.standard_t(4, (250, 8, 2)),
        "gaussian": 0.01 * rng.normal(size=(120, 8, 2)),
    }
    scenarios = fs.generate_scenarios(model, 300, 2.0, seed=1)
    returns = {name: held_returns(paths[name], WEIGHTS) for name in ("historical", "generated")}
    returns["stressed 2x"] = scenarios.portfolio_returns(WEIGHTS)
    cards = {"vae": card(1, 7), "history": card(2, 8), "gaussian": card(3, 3), "phase_shuffled": card(4, 2)}
    risk = fs.scenario_risk(returns, n_bootstrap=99)
    weights = dict(zip((first, second), WEIGHTS.tolist(), strict=True))
    later = {"vae": card(5, 4), "history": card(6, 5)}
    return fs.ScenarioStudy(model, scenarios, cards, later, risk, 120, weights, 0, paths, returns), bars


@cache
def content_of(*names: str) -> dict:
    return json.loads(json.dumps(scenario_results(*study(*names), {"horizon": "8h"}), allow_nan=False))


def page_of(*names: str) -> str:
    """The page of two symbols of these names."""
    return ScenarioReport(content_of(*names), "foreshock scenarios study.toml").to_html()

"""Latent factors of a simulated market by PCA, twice under two names, and their page."""

import json
from dataclasses import replace
from functools import cache

import foreshock as fs
from foreshock.reports.factors.page import FactorReport
from foreshock.study.factors.factors import factor_content

SPLITS = fs.WalkForward("30D", "10D", "1D")
N_FACTORS = 2


def bars_of(first: str = "BTC/USDT", second: str = "ETH/USDT") -> fs.Bars:
    bars = fs.simulate_market(seed=2, n_symbols=4, n_bars=1_600).bars
    return replace(bars, symbols=(first, second, *bars.symbols[2:]))


@cache
def content_of(*names: str) -> dict:
    found = factor_content(bars_of(*names), SPLITS, ["pca"], N_FACTORS, 0, {"n": N_FACTORS, "models": ["pca"]})
    # What a network finds has the same form, and would take longer.
    found["models"]["autoencoder"] = found["models"]["pca"]
    return json.loads(json.dumps(found, allow_nan=False))


@cache
def page_of(*names: str) -> str:
    return FactorReport(content_of(*names), "foreshock factors study.toml").to_html()

"""Bars with holes, random alerts and regimes, and the page of their prices."""

from dataclasses import replace

import numpy as np

from foreshock.data.bars import PRICES, Bars
from foreshock.reports.price.chart import PriceHistory
from tests.market import make_bars

REGIMES = ("calm", "high volatility", "bearish")


def gappy(n_bars: int = 600, n_symbols: int = 2, decimals: int | None = 4) -> Bars:
    """Bars with a tick, a hole in the first symbol, and a late start of the second."""
    bars = make_bars(n_bars, n_symbols)
    fields = {name: getattr(bars, name) if decimals is None else getattr(bars, name).round(decimals) for name in PRICES}
    fields["high"] = np.maximum.reduce(list(fields.values()))
    fields["low"] = np.minimum.reduce(list(fields.values()))
    fields["volume"] = bars.volume.copy()
    for values in fields.values():
        values[100:140, 0] = np.nan
        values[:50, 1:] = np.nan
    return replace(bars, **fields)


def watched(bars: Bars, detectors: tuple[str, ...] = ("zscore", "pca"), share: float = 0.1) -> PriceHistory:
    """A history with scores and regimes drawn at random; some regimes are not known."""
    rng = np.random.default_rng(2)
    alerts = {}
    for name in detectors:
        scores = np.where(np.isnan(bars.close), np.nan, rng.standard_normal(bars.close.shape))
        alerts[name] = (scores > np.nanquantile(scores, 1 - share), scores)
    labels = rng.integers(-1, len(REGIMES), bars.close.shape).astype(np.int8)
    return PriceHistory(bars, alerts, (REGIMES, labels))


def page_of(*names: str) -> str:
    """The page of three symbols and three detectors, which share these names."""
    bars = gappy(2_000, 3)
    # As they might come from a file that checks nothing.
    object.__setattr__(bars, "symbols", (*names, *bars.symbols[len(names) :]))
    return watched(bars, names or ("zscore", "pca")).to_html(bars.symbols[0])

"""A simulated history with faults, what exploring it finds, and its page."""

from dataclasses import replace
from functools import cache

import numpy as np

import foreshock as fs
from foreshock.data.bars import FIELDS, Bars
from foreshock.data.simulate.market import simulate_market
from foreshock.reports.exploration.page import EdaReport


def history(first: str = "BTC/USDT", second: str = "ETH/USDT") -> Bars:
    """Two symbols with a gap, a jump, zero volumes, and bars in another unit."""
    market = simulate_market(seed=5, n_symbols=2, n_bars=1_920).bars
    fields = {name: getattr(market, name).copy() for name in FIELDS}
    for name, values in fields.items():
        values[400:406, 1] = np.nan
        if name != "volume":
            values[1_000:, 1] *= 4
            values[1_500:1_510, 0] *= 1000
    fields["volume"][700:703, 0] = 0.0
    return replace(market, symbols=(first, second), extras={}, **fields)


@cache
def exploration(first: str = "BTC/USDT", second: str = "ETH/USDT"):
    return fs.explore(history(first, second), title=f"About {first}")


@cache
def page_of(first: str = "BTC/USDT", second: str = "ETH/USDT") -> str:
    found = exploration(first, second)
    return EdaReport(found.title, found.results, f"foreshock eda {first}.csv").to_html()

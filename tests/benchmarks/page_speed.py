"""How large and how quick the pages of a long history are: ``python -m tests.benchmarks.page_speed``.

Half a million minutes of one symbol, with three detectors and four regimes: the page of prices, the exploration of the same
bars, and a study of these bars with all its sections. Of each its size, the seconds that building it takes and, in
Chromium without a window, the time from opening the file to the first paint and to the last chart drawn: the best and the
worst of the repeats. In the page of prices the first paint has the picture of the price, and the last chart is that of candles.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.exploration.exploration import explore
from foreshock.reports.exploration.page import EdaReport
from foreshock.reports.price.chart import PriceHistory
from tests.made.study import full_report
from tests.reading.browser import chromium, visit

TIMES = """() => {
  const paint = performance.getEntriesByType("paint").find(entry => entry.name === "first-contentful-paint").startTime;
  const loaded = performance.getEntriesByType("navigation")[0].loadEventEnd;
  return [paint, Math.max(loaded, ...performance.getEntriesByType("mark").map(mark => mark.startTime))];
}"""
REGIMES = ("calm", "high volatility", "bullish momentum", "bearish")


def minutes(n: int, n_symbols: int) -> Bars:
    """Minutes of a price at 6e4 with two decimals, and a gap of a day."""
    rng = np.random.default_rng(0)
    close = np.round(6e4 * np.exp(np.cumsum(rng.normal(0, 4e-4, (n, n_symbols)), axis=0)), 2)
    open_ = np.vstack([close[:1], close[:-1]])
    high, low = (np.round(edge(open_, close) * np.exp(sign * rng.exponential(2e-4, close.shape)), 2)
                 for edge, sign in ((np.maximum, 1), (np.minimum, -1)))  # fmt: skip
    fields = [open_, high, low, close, rng.lognormal(3, 1, close.shape).round(3)]
    for values in fields:
        values[n // 3 : n // 3 + 1_440] = np.nan
    time = np.datetime64("2024-01-01", "us") + np.arange(n) * np.timedelta64(1, "m")
    return Bars(time, tuple(f"COIN{k}/USDT" for k in range(n_symbols)), *fields, np.timedelta64(1, "m"))


def watched(bars: Bars) -> PriceHistory:
    """The bars with one alert in a hundred of three detectors that know nothing, and regimes of some hours."""
    rng = np.random.default_rng(1)
    scores = {name: rng.standard_t(4, bars.close.shape) for name in ("zscore", "isolation_forest", "pca")}
    blocks = rng.integers(0, len(REGIMES), (bars.n_bars // 300 + 1, bars.n_symbols))
    labels = np.repeat(blocks, 300, axis=0)[: bars.n_bars].astype(np.int8)
    return PriceHistory(bars, {name: (s > np.quantile(s, 0.99), s) for name, s in scores.items()}, (REGIMES, labels))


def study(bars: Bars) -> str:
    report = full_report()
    steps = np.diff(np.log(bars.close[:, 0]), prepend=np.nan)
    equity = np.exp(np.nancumsum(steps))
    index = pd.DatetimeIndex(bars.time + bars.interval)
    table = pd.DataFrame({name: equity for name in report.equity.columns}, index=index)
    return replace(report, equity=table, exposure=0 * table + 0.8, prices=watched(bars)).to_html()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=500_000, help="bars of all symbols together")
    parser.add_argument("--symbols", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    wanted = parser.parse_args()
    bars = minutes(wanted.bars // wanted.symbols, wanted.symbols)
    builders: dict[str, Callable[[], str]] = {
        "prices": lambda: watched(bars).to_html(),
        "exploration": lambda: EdaReport("History", explore(bars).results, "").to_html(),
        "study": lambda: study(bars),
    }
    print(f"{wanted.bars:,} bars of {wanted.symbols} symbols, {wanted.repeats} repeats\n")
    print(f"{'page':12} {'MB':>6} {'built, s':>9} {'first paint, s':>15} {'all drawn, s':>15}")
    with tempfile.TemporaryDirectory() as folder, chromium({}) as browser:
        for name, build in builders.items():
            began = perf_counter()
            page = build()
            built, path = perf_counter() - began, Path(folder) / f"{name}.html"
            path.write_text(page, encoding="utf-8")
            times = []
            for _ in range(wanted.repeats):
                with visit(browser, path) as opened:
                    times.append(opened.look(TIMES))
            columns = (f"{min(column) / 1e3:.2f} to {max(column) / 1e3:.2f}" for column in zip(*times, strict=True))
            print(f"{name:12} {len(page.encode()) / 1e6:6.2f} {built:9.2f} " + " ".join(f"{column:>15}" for column in columns))


if __name__ == "__main__":
    main()

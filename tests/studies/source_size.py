"""Size and power of the deciding test on windows and on books: ``python -m tests.studies.source_size --out sources.csv``.

Histories have a hidden volatility that number, value and size of trades, rush orders, depth, spread and flows follow, and nothing
else. Detectors on prices count at both rungs, those that see the marks at the second alone, because marks know the hidden
volatility. With ``--times 1.5`` alerts from outside come at random, and volatility is larger for half an hour after each: the share
of histories in which they are told to add information is the power. A run goes on where it was stopped.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from foreshock.data.books.orderbook import N_LEVELS, Book
from foreshock.data.trades.windows import TradeWindows
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.sources.books import BookSource
from foreshock.engine.sources.source import Source
from foreshock.engine.sources.windows import WindowSource
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.result import RUNGS
from foreshock.engine.validation.rungs.rungs import RungTable
from tests.studies.parts.nulls import LAWS
from tests.studies.parts.resumable import parser_of, resume

KINDS = ("windows", "book")
STEP = np.timedelta64(20_000_000, "us")
START = np.datetime64("2024-01-01", "us")
HORIZONS = ("1m", "5m", "30m")
LASTING = 90
NULLS = ("long memory", "news", "markov", "rough")
RULE = RollingQuantile(0.98, "4h")
FIRST_SEED = 3_000_000
ALERTS_A_HUNDRED = 0.8
FIELDS = ("kind", "null", "n_rows", "times", "seed", "detector", "rung", "horizon", "n_events", "z_raw", "z", "p", "q")


def simulated(kind: str, null: str, n: int, times: float, seed: int) -> tuple[Source, np.ndarray]:
    """A source without information, and alerts from outside, (n,), after which volatility is ``times`` as large."""
    rng = np.random.default_rng([seed, NULLS.index(null), KINDS.index(kind)])
    law = np.minimum(LAWS[null](n, rng), 4.0)
    alerts = rng.random(n) < ALERTS_A_HUNDRED / 100
    since = np.arange(n) - np.maximum.accumulate(np.where(alerts, np.arange(n), -n))
    effect = np.where((since > 0) & (since <= LASTING), times, 1.0)
    steps = rng.standard_t(5, (n, 12)) * np.sqrt(0.6 / 12) * (0.001 * np.exp(law) * effect)[:, None]
    path = 100 * np.exp(np.cumsum(steps.ravel()).reshape(n, 12))
    source = _windows(path, law, rng) if kind == "windows" else _book(path[:, -1], law, rng)
    return source, alerts


def _windows(path: np.ndarray, law: np.ndarray, rng: np.random.Generator) -> WindowSource:
    n = len(law)
    count = 2.0 + rng.poisson(10 * np.exp(np.minimum(0.5 * law, 3.0)))
    volume = count * rng.lognormal(0, 0.3, n)
    buys = rng.binomial(count.astype(int), rng.beta(8, 8, n)).astype(float)
    opened = np.concatenate([[path[0, 0]], path[:-1, -1]])
    close = path[:, -1]
    windows = TradeWindows(
        time=START + np.arange(n) * STEP,
        interval=STEP,
        trade_count=count,
        volume=volume,
        quote_volume=volume * close,
        buy_count=buys,
        buy_volume=volume * buys / count,
        buy_quote_volume=volume * buys / count * close,
        rush_orders=rng.poisson(0.1 * buys).astype(float),
        open=opened,
        high=np.maximum(path.max(axis=1), opened),
        low=np.minimum(path.min(axis=1), opened),
        close=close,
        mean_price=path.mean(axis=1),
        log_return=np.log(close / opened),
        volatility=path.std(axis=1) / path.mean(axis=1),
    )
    return WindowSource(windows)


def _book(price: np.ndarray, law: np.ndarray, rng: np.random.Generator) -> BookSource:
    n = len(law)
    calm = np.exp(-0.3 * law)[:, None, None]
    gaps = np.cumsum(rng.exponential(1e-4, (n, 2, N_LEVELS)) / calm + 1e-6, axis=2)
    shape = (n, 2, N_LEVELS)
    resting = 1e4 * calm * rng.lognormal(0, 0.5, shape)
    flows = {
        name: resting * rate * rng.lognormal(0, 0.5, shape) * np.exp(np.minimum(0.3 * law, 2.0))[:, None, None]
        for name, rate in (("cancel_notional", 0.3), ("limit_notional", 0.4), ("market_notional", 0.1))
    }
    traded = flows["market_notional"].sum(axis=2)
    return BookSource(
        Book(
            time=START + np.arange(n) * STEP,
            midpoint=price,
            spread=price * (gaps[:, 0, 0] + gaps[:, 1, 0]),
            buys=traded[:, 1],
            sells=traded[:, 0],
            distance=np.stack([-gaps[:, 0], gaps[:, 1]], axis=1),
            notional=resting,
            interval=STEP,
            **flows,
        )
    )


def detector_scores(source: Source, first: int) -> tuple[dict[str, Scores], set[str]]:
    """Scores of six detectors, and the names of those that see marks."""
    bars, every = source.bars, source.features
    returns = pd.DataFrame(bars.returns())
    columns = [returns, returns.rolling(20).std(), returns.rolling(20).sum(), pd.DataFrame(np.log(bars.high / bars.low))]
    names = ("log_return", "volatility_20", "return_20", "range")
    prices = Features(bars.time, bars.symbols, names, np.stack([one.to_numpy() for one in columns], axis=2), bars.interval)
    wanted = {
        "zscore": ("zscore", {"columns": ("log_return",)}, prices),
        "forest": ("isolation_forest", {}, prices),
        "svm": ("one_class_svm", {}, prices),
        "forest with marks": ("isolation_forest", {}, every),
        "regimes with marks": ("kmeans_regime", {}, every),
        "tails with marks": ("joint_tail", {}, every),
    }
    found = {
        label: make_detector(name, **params).fit(seen.rows(slice(0, first))).score(seen)
        for label, (name, params, seen) in wanted.items()
    }
    return found, {label for label in wanted if "marks" in label}


def one_history(kind: str, null: str, n_rows: int, times: float, seed: int) -> list[dict[str, Any]]:
    with threadpool_limits(limits=1):
        source, alerts = simulated(kind, null, n_rows, times, seed)
        bars, first = source.bars, n_rows // 4
        signals = {}
        if times == 1:
            signals = {name: scores.signals(RULE) for name, scores in detector_scores(source, first)[0].items()}
        else:
            active, decided = alerts[:, None] & (np.arange(n_rows)[:, None] >= first), np.arange(n_rows)[:, None] >= first
            unknown = np.full(bars.shape, np.nan)
            signals["outside"] = Signals(bars.time, bars.symbols, active, unknown, decided, bars.interval)
        setting = Judging(HORIZONS, HORIZONS[-1], first=first)
        test = RungTable(bars, setting, RULE, marks=source.marks).test(signals)
    about = dict(zip(FIELDS[:5], (kind, null, n_rows, times, seed), strict=True))
    return [
        about | {"detector": label, "rung": rung, "horizon": name} | {key: getattr(found, key) for key in FIELDS[8:]}
        for label, by_rung in test.found.items()
        for rung, by_horizon in by_rung.items()
        for name, found in by_horizon.items()
    ]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Any finding a history, by kind and effect, with its 95 % interval, and the share of single tests at 5 %."""
    rows = rows[~(rows["detector"].str.contains("marks") & (rows["rung"] == RUNGS[0]))]
    lines = []
    for (kind, times), part in rows.groupby(["kind", "times"], sort=False):
        for null, own in [*part.groupby("null", sort=False), ("all", part)]:
            found = int((own.groupby(["null", "seed"])["q"].min() <= 0.05).sum())
            n = own.groupby(["null", "seed"]).ngroups
            low, high = wilson(found, n)
            figures = {"histories": n, "any": found / n, "low": low, "high": high, "single": float((own["p"] <= 0.05).mean())}
            lines.append({"kind": kind, "times": times, "null": null} | figures | {"events": own["n_events"].median()})
    return pd.DataFrame(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, 25)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--times", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    options = parser.parse_args(arguments)
    wanted = (
        (kind, null, options.rows, options.times, FIRST_SEED + k)
        for k in range(options.histories)
        for kind in options.kinds
        for null in NULLS
    )
    rows = resume(options.out, FIELDS[:5], FIELDS, wanted, one_history, options.jobs)
    with pd.option_context("display.width", 220, "display.max_columns", 20, "display.precision", 3):
        print(summary(rows).to_string(index=False))


if __name__ == "__main__":
    main()

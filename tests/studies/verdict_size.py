"""Size of the deciding test: ``python -m tests.studies.verdict_size --out size.csv``.

Eight detectors, three horizons and both rungs on fresh histories of each null: the share of histories in which any of them is told
to add information, that volume tells, or to be calmer than expected, at 5 % over all of them together. The file has the figures of
every test, and a run goes on where it was stopped. Volume follows the hidden volatility, so a detector that watches it may rightly
be told that volume tells, and counts at the second rung alone; the others see prices alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from foreshock.data.bars import Bars
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, ohlcv_features
from foreshock.engine.scores import Scores
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.result import RUNGS
from foreshock.engine.validation.rungs.rungs import RungTable
from tests.studies.parts.nulls import FOUR_SYMBOLS, LAWS, history
from tests.studies.parts.resumable import parser_of, resume

HORIZONS = ("1h", "6h", "24h")
ON_PRICES = ("zscore", "mad", "isolation_forest", "one_class_svm")
WATCHES_VOLUME = ("volume", "forest with volume", "regimes with volume")
FIRST_SEED = 1_000_000
RULE = RollingQuantile(0.98, "20D")
FIELDS = ("null", "n_bars", "n_symbols", "seed", "detector", "rung", "horizon", "n_events", "z_raw", "z", "p", "q")


def detector_scores(bars: Bars, first: int) -> dict[str, Scores]:
    """Scores of eight detectors, fitted on the rows before ``first`` where they are fitted."""
    of_prices = [name for name in OHLCV_FEATURES if "volume" not in name and "amihud" not in name]
    prices, features = ohlcv_features(bars, of_prices), ohlcv_features(bars, OHLCV_FEATURES)
    returns = {"columns": ("log_return",)}
    detectors = {name: (make_detector(name, **(returns if name in ("zscore", "mad") else {})), prices) for name in ON_PRICES}
    detectors["forest with volume"] = make_detector("isolation_forest"), features
    detectors["regimes with volume"] = make_detector("kmeans_regime"), features
    found = {name: detector.fit(seen.rows(slice(0, first))).score(seen) for name, (detector, seen) in detectors.items()}
    size, volume = (pd.DataFrame(values) for values in (np.abs(bars.returns()), bars.close * bars.volume))
    plain = {
        "volume": volume / volume.rolling(168, min_periods=48).mean(),
        "calm": -size.rolling(12, min_periods=6).mean() / size.rolling(168, min_periods=48).mean(),
    }
    for name, values in plain.items():
        array = values.to_numpy()
        found[name] = Scores(bars.time, bars.symbols, np.where(np.isfinite(array), array, np.nan), bars.interval)
    return found


def one_history(null: str, n_bars: int, n_symbols: int, seed: int) -> list[dict[str, Any]]:
    with threadpool_limits(limits=1):
        bars = history(null, n_bars, seed, n_symbols)
        first = n_bars // 4
        signals = {name: scores.signals(RULE) for name, scores in detector_scores(bars, first).items()}
        test = RungTable(bars, Judging(HORIZONS, "24h", first=first), RULE).test(signals)
    about = {"null": null, "n_bars": n_bars, "n_symbols": n_symbols, "seed": seed}
    return [
        about | {"detector": label, "rung": rung, "horizon": name} | {key: getattr(found, key) for key in FIELDS[7:]}
        for label, by_rung in test.found.items()
        for rung, by_horizon in by_rung.items()
        for name, found in by_horizon.items()
    ]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Any finding a history, by null, bars and symbols, with its 95 % interval; and the largest share of one cell."""
    rows = rows[~(rows["detector"].isin(WATCHES_VOLUME) & (rows["rung"] == RUNGS[0]))]
    keys = ["null", "n_bars", "n_symbols"]
    lines = []
    for key, part in [*rows.groupby(keys, sort=False), (("pooled", 0, 0), rows)]:
        by_history = part.groupby(["null", "n_bars", "n_symbols", "seed"])
        found = int((by_history["q"].min() <= 0.05).sum())
        raw = int((by_history["z_raw"].apply(lambda z: np.abs(z).max()) > 3.1).sum())
        n = by_history.ngroups
        cells = part.assign(hit=part["p"] <= 0.05).groupby(["detector", "rung", "horizon"])["hit"].mean()
        low, high = wilson(found, n)
        figures = {"histories": n, "any": found / n, "low": low, "high": high, "raw beyond 3.1": raw / n}
        figures |= {"single": float((part["p"] <= 0.05).mean())}
        figures |= {"largest cell": " ".join(map(str, cells.idxmax())), "its share": cells.max()}
        lines.append(dict(zip(keys, key, strict=True)) | figures)
    return pd.DataFrame(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, 200)
    parser.add_argument("--bars", type=int, default=4_000)
    parser.add_argument("--nulls", nargs="*", default=list(LAWS))
    parser.add_argument("--symbols", type=int, default=1)
    options = parser.parse_args(arguments)
    nulls = [null for null in options.nulls if options.symbols == 1 or null in FOUR_SYMBOLS]
    wanted = ((null, options.bars, options.symbols, FIRST_SEED + k) for k in range(options.histories) for null in nulls)
    rows = resume(options.out, FIELDS[:4], FIELDS, wanted, one_history, options.jobs)
    with pd.option_context("display.width", 220, "display.max_columns", 20, "display.precision", 3):
        print(summary(rows).to_string(index=False))


if __name__ == "__main__":
    main()

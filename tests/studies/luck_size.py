"""Size of the comparison with random timings: ``python -m tests.studies.luck_size --out luck.csv``.

In markets whose prices are martingales no exit is better than chance, so the strategy should lie outside the central 95 % of its
random timings in 5 % of histories. Four symbols of 4,000 hourly bars, of which 480 warm up the threshold; alerts are 2 % of the
last 20 days: of random numbers, of absolute returns, or of their mean over a day. A run goes on where it was stopped.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.simulate.market import simulate_market
from foreshock.engine.scores import Scores
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.totals import total_returns
from foreshock.strategies.baselines import RandomAvoidance
from foreshock.strategies.luck import luck
from tests.studies.parts.resumable import parser_of, resume

N_BARS, N_SYMBOLS, WARM_UP = 4_000, 4, 480
N_DRAWS = 200
# Fresh seeds: none was used when the matching was chosen.
FIRST_SEED = 5_000_000


class Null(NamedTuple):
    """A market without information: independent returns or GJR-GARCH, listings a quarter of the history apart or at once."""

    returns: str
    late: bool
    alerts: str


NULLS = (
    Null("iid", False, "random"),
    Null("garch", False, "returns"),
    Null("garch", False, "volatility"),
    Null("iid", True, "random"),
    Null("garch", True, "random"),
    Null("garch", True, "returns"),
    Null("garch", True, "volatility"),
)


def market(null: Null, seed: int) -> Bars:
    nothing = {"n_flash_crashes": 0, "n_pumps": 0, "n_foreshocks": 0, "n_decoys": 0}
    bars = simulate_market(seed=seed, n_symbols=N_SYMBOLS, n_bars=N_BARS, **nothing)  # pyright: ignore[reportArgumentType]
    bars = bars.bars
    if null.returns == "iid":
        rng = np.random.default_rng(seed)
        common, own = rng.standard_t(6, (N_BARS, 1)), rng.standard_t(6, (N_BARS, N_SYMBOLS))
        moves = 0.0065 * (np.sqrt(0.6) * common + np.sqrt(0.4) * own)
        close = 100 * np.exp(np.cumsum(moves, axis=0))
        open_ = np.vstack([np.full((1, N_SYMBOLS), 100.0), close[:-1]])
        bars = replace(bars, open=open_, high=np.maximum(open_, close), low=np.minimum(open_, close), close=close)
    if null.late:
        unlisted = np.arange(N_BARS)[:, None] < np.arange(N_SYMBOLS) * N_BARS // N_SYMBOLS
        bars = replace(bars, **{name: np.where(unlisted, np.nan, getattr(bars, name)) for name in FIELDS})
    return bars


def percentile(null: Null, seed: int) -> float:
    """Share of the random timings that earned less than the strategy."""
    bars = market(null, FIRST_SEED + seed)
    values = pd.DataFrame(np.abs(bars.returns()))
    if null.alerts == "random":
        values = values.mask(values.notna(), np.random.default_rng([seed, 1]).random(values.shape))
    elif null.alerts == "volatility":
        values = values.rolling(24).mean()
    signals = Scores(bars.time, bars.symbols, values.to_numpy(), bars.interval).signals(RollingQuantile(0.98, "20D"))
    tested = slice(WARM_UP, None)
    bars, signals = bars.rows(tested), signals.rows(tested)
    own = total_returns(bars, [AnomalyAvoidance().weights(bars, signals)])[0]
    share = luck(RandomAvoidance(N_DRAWS, seed), bars, signals, own).percentile
    return 0.5 if share is None else share


def one_history(*piece: Any) -> list[dict[str, Any]]:
    null, seed = Null(*piece[:-1]), piece[-1]
    return [null._asdict() | {"seed": seed, "percentile": percentile(null, seed)}]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser_of(__doc__, 300).parse_args(arguments)
    wanted = ((*null, seed) for seed in range(options.histories) for null in NULLS)
    fields = [*Null._fields, "seed", "percentile"]
    rows = resume(options.out, fields[:4], fields, wanted, one_history, options.jobs)
    for key, part in rows.groupby(list(Null._fields), sort=False):
        null = Null(*key)
        outside = int(((part["percentile"] < 0.025) | (part["percentile"] > 0.975)).sum())
        low, high = wilson(outside, len(part))
        print(
            f"{null.returns:<6} {'late' if null.late else 'listed':<7} {null.alerts:<11} "
            f"outside 95 % in {outside / len(part):.3f} [{low:.3f}, {high:.3f}] of {len(part)} histories"
        )


if __name__ == "__main__":
    main()

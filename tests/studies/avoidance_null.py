"""Size of the comparison with volatility targeting: ``python -m tests.studies.avoidance_null``.

GARCH histories without drift, in which alerts say nothing beyond volatility, are traded by avoidance after large moves and by the
volatility target of the same mean exposure, both with the costs given. The share of histories in which the two do not differ at 5 %
should be 95 %; costs are a real difference, so without them it is the size of the test, with them what a user sees.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from foreshock.data.bars import Bars
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.surrogates.calibration import Planted, simulate_history
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.assess.comparison import matched_target, paired_difference
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest

N_BARS = 4_000


def alerts(bars: Bars) -> Signals:
    """The largest moves of the last 20 days, 2 % of them."""
    return Scores(bars.time, bars.symbols, np.abs(bars.returns()), bars.interval).signals(RollingQuantile(0.98, "20D"))


def differs(seed: int, costs: Costs, n_bootstrap: int = 499) -> bool:
    bars = simulate_history(Planted(N_BARS, "gjr"), 9_000_011 + seed)
    strategy = AnomalyAvoidance("24h")
    avoidance = backtest(bars, strategy.weights(bars, alerts(bars)), costs)
    matched = matched_target(bars, float(avoidance.exposure.mean()), costs=costs)
    baseline = backtest(bars, matched.weights(bars), costs)
    return paired_difference(avoidance, baseline, 24, n_bootstrap, seed).p_value <= 0.05


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args(arguments)
    for label, costs in (("no costs", Costs(0.0, 0.0)), ("taker 5 bp, slippage 2 bp", Costs())):
        found: Any = Parallel(options.jobs)(delayed(differs)(seed, costs) for seed in range(options.histories))
        same = options.histories - sum(found)
        low, high = wilson(same, options.histories)
        print(f"{label}: no difference in {same / options.histories:.3f} [{low:.3f}, {high:.3f}] of {options.histories} histories")


if __name__ == "__main__":
    main()

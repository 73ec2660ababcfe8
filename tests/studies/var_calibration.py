"""Size and power of the tests of VaR and CVaR forecasts: ``python -m tests.studies.var_calibration``.

Size: returns are GARCH(1,1) with Student-t shocks, and the forecasts those of the process itself; each test should be wrong in
5 % of the runs. Power: shocks are Student-t whose volatility switches, and the forecasts one figure, the historical VaR and CVaR
of 1,000 calm bars. ``higher``: volatility has doubled for good. ``alternating``: 100 bars of calm, 100 of threefold volatility,
in turn.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from foreshock.engine.risk.estimators.filtered import student_tail
from foreshock.engine.risk.estimators.value_at_risk import historical_cvar, historical_var
from foreshock.engine.risk.forecasts.var_tests import var_backtest
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.volatility.garch import Garch

NU = 5.0
CALM = 0.01
PROCESS = Garch(CALM**2 * 0.03, 0.1, 0.0, 0.87, NU, CALM**2, 0.0, np.full(1, CALM**2))
BURN_IN = 500
CALM_BARS = 1_000
TESTS = (
    "kupiec",
    "christoffersen_independence",
    "christoffersen_conditional",
    "dynamic_quantile",
    "acerbi_szekely_z1",
    "acerbi_szekely_z2",
)


def shocks(n: int, rng: np.random.Generator) -> np.ndarray:
    """Student-t of variance 1."""
    return rng.standard_t(NU, n) * np.sqrt((NU - 2) / NU)


def right_forecasts(n: int, level: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns of the process, and the VaR and CVaR that it has in each bar."""
    returns, deviation = PROCESS.simulate(shocks(n + BURN_IN, rng), 0, rng)
    q, tail = student_tail(NU, level)
    return returns[BURN_IN:], deviation[BURN_IN:] * q, deviation[BURN_IN:] * tail


def static_forecasts(n: int, level: float, regime: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns after a switch of regime, and the historical VaR and CVaR of the calm before it."""
    calm = CALM * shocks(CALM_BARS, rng)
    volatility = np.full(n, 2.0) if regime == "higher" else np.where(np.arange(n) // 100 % 2 == 0, 1.0, 3.0)
    returns = CALM * volatility * shocks(n, rng)
    return returns, np.full(n, historical_var(calm, level)), np.full(n, historical_cvar(calm, level))


def one_run(k: int, n: int, level: float, regime: str | None, n_simulations: int = 999) -> pd.DataFrame:
    """p and asymptotic p of each test in one run."""
    rng = np.random.default_rng([k, n, round(1e4 * level)])
    made = right_forecasts(n, level, rng) if regime is None else static_forecasts(n, level, regime, rng)
    returns, var, es = made
    found = var_backtest(returns, var, level, es, n_simulations, seed=k).set_index("test")
    return found.reindex(TESTS)[["p", "p_asymptotic"]]


def rejected(runs: int, n: int, level: float, regime: str | None = None, jobs: int = 1, n_simulations: int = 999) -> pd.DataFrame:
    """Share of the runs in which a test rejects at 5 %, by Monte Carlo and by asymptotic p; a test without a p does not reject.

    ``runs`` is how many runs gave a p; NaN stands where no run did.
    """
    found: Any = Parallel(jobs)(delayed(one_run)(k, n, level, regime, n_simulations) for k in range(runs))
    p = np.stack([table.to_numpy() for table in found])
    share = np.where(np.isnan(p).all(axis=0), np.nan, (p <= 0.05).mean(axis=0))
    table = pd.DataFrame(share, index=pd.Index(TESTS, name="test"), columns=["p", "p_asymptotic"])
    table["runs"] = (~np.isnan(p[:, :, 0])).sum(axis=0)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 1_000])
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args(arguments)
    print(f"rejected at 5 % in {options.runs} runs, [95 % interval], and by asymptotic p")
    for regime in (None, "higher", "alternating"):
        for n in options.rows:
            for level in (0.95, 0.99):
                found = rejected(options.runs, n, level, regime, options.jobs)
                print(f"\n{regime or 'right forecasts'}, {n} bars, level {level}")
                for test, row in found.iterrows():
                    low, high = wilson(round(row["p"] * options.runs), options.runs)
                    beside = "" if np.isnan(row["p_asymptotic"]) else f"   asymptotic {row['p_asymptotic']:.3f}"
                    print(f"  {test:<28} {row['p']:.3f} [{low:.3f}, {high:.3f}]{beside}", flush=True)


if __name__ == "__main__":
    main()

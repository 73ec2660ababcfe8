"""Total returns without vectorbt are those of the backtest."""

import numpy as np
import pytest

from foreshock.data.simulate.market import simulate_market
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.backtest.totals import total_returns
from foreshock.strategies.baselines import RandomAvoidance
from tests.market import bars_of


@pytest.mark.parametrize("costs", [Costs(), Costs(impact=1.0), Costs(borrow=0.1)])
@pytest.mark.parametrize("account", [Account(), Account(cash_yield=0.05), Account(leverage=2.0), Account(band=0.02)])
def test_total_returns_are_those_of_the_backtest(costs, account):
    simulated = simulate_market(seed=3, n_symbols=3, n_bars=700).bars
    close = simulated.close.copy()
    # A late listing, an early end and a gap.
    close[:200, 1], close[600:, 2], close[400:403, 0] = np.nan, np.nan, np.nan
    bars = bars_of(close)
    signals = Scores(bars.time, bars.symbols, np.abs(bars.returns()), bars.interval).signals(RollingQuantile(0.95, "5D"))
    draws = list(RandomAvoidance(4, hold="6h").draws(bars, signals))
    assert len({draw.tobytes() for draw in draws}) == 4
    expected = [backtest(bars, draw, costs, account=account).equity[-1] - 1 for draw in draws]
    np.testing.assert_array_equal(total_returns(bars, draws, costs, account), expected)

from .account import Account as Account
from .account import MarketLimits as MarketLimits
from .costs import Costs as Costs
from .portfolio import backtest as backtest
from .portfolio import backtest_many as backtest_many
from .result import BacktestResult as BacktestResult
from .signals import backtest_signals as backtest_signals

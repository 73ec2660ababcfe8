"""Models of volatility: GARCH, HAR and stochastic volatility, fitted to one symbol's log returns.

Each model has ``variance(returns)``, the variance of every bar given the previous bars, with one value more than there are bars:
the last is the forecast for the next bar; and ``simulate(shocks, ...)``, returns made of unit-variance shocks. An unknown bar (NaN)
changes the variance as a squared return equal to its expectation would.
"""

from foreshock.engine.volatility.ewma import Ewma
from foreshock.engine.volatility.garch import Garch
from foreshock.engine.volatility.har import Har
from foreshock.engine.volatility.model import NotConvergedError, VolatilityModel
from foreshock.engine.volatility.stochastic import StochasticVolatility

__all__ = ["Ewma", "Garch", "Har", "NotConvergedError", "StochasticVolatility", "VolatilityModel"]

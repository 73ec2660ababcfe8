"""Models of volatility: GARCH, HAR and stochastic volatility, fitted to one symbol's log returns.

Each model has ``variance(returns)``: the variance of every bar given the bars before it, one value more than there are bars, the
last being the forecast for the bar to come; and ``simulate(shocks, ...)``: returns made of unit-variance shocks. A bar that is
unknown (NaN) moves the variance as its expectation would.
"""

from foreshock.engine.volatility.ewma import Ewma
from foreshock.engine.volatility.garch import Garch
from foreshock.engine.volatility.har import Har
from foreshock.engine.volatility.model import NotConvergedError, VolatilityModel
from foreshock.engine.volatility.stochastic import StochasticVolatility

__all__ = ["Ewma", "Garch", "Har", "NotConvergedError", "StochasticVolatility", "VolatilityModel"]

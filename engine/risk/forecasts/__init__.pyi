from .forecasts import RiskForecast as RiskForecast
from .forecasts import risk_forecast as risk_forecast
from .path import RiskPath as RiskPath
from .path import risk_path as risk_path
from .var_tests import var_backtest as var_backtest

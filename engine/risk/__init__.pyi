from .annual_sharpe import AnnualSharpe as AnnualSharpe
from .conditional import conditional_risk as conditional_risk
from .decomposition import risk_contributions as risk_contributions
from .drawdowns import DrawdownRisk as DrawdownRisk
from .drawdowns import drawdown_risk as drawdown_risk
from .exposures import FactorExposures as FactorExposures
from .exposures import factor_exposures as factor_exposures
from .exposures import market_factors as market_factors

"""The strategies by name."""

from __future__ import annotations

from strategies.anomaly_avoidance import AnomalyAvoidance
from strategies.base import Strategy
from strategies.baselines import BuyAndHold, EqualWeight
from strategies.event import EventTrade
from strategies.factor_portfolio import FactorPortfolio
from strategies.momentum import TimeSeriesMomentum
from strategies.regime_exposure import RegimeExposure
from strategies.volatility_target import VolatilityTarget

# RandomAvoidance is no strategy: its draws are comparisons made with hindsight.
STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        AnomalyAvoidance,
        BuyAndHold,
        EqualWeight,
        EventTrade,
        FactorPortfolio,
        RegimeExposure,
        TimeSeriesMomentum,
        VolatilityTarget,
    )
}

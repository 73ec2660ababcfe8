"""foreshock: is the anomaly a foreshock, or only an aftershock?

Backtesting and signal validation for crypto-market anomaly detectors. The public names are loaded when they are first
used, because vectorbt and scikit-learn take seconds to import.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreshock.version import __version__ as __version__

if TYPE_CHECKING:
    from data.archive import Archive as Archive
    from data.bars import Bars as Bars
    from data.book_flows import book_flows as book_flows
    from data.book_flows import book_from_ccxt as book_from_ccxt
    from data.errors import ConfigError as ConfigError
    from data.errors import DataError as DataError
    from data.errors import ExchangeError as ExchangeError
    from data.errors import ForeshockError as ForeshockError
    from data.files import read_bars as read_bars
    from data.merge import MergedBars as MergedBars
    from data.merge import merge_exchanges as merge_exchanges
    from data.orderbook import BOOK_COLUMNS as BOOK_COLUMNS
    from data.orderbook import Book as Book
    from data.orderbook import read_book as read_book
    from data.quality import QualityReport as QualityReport
    from data.quality import clean as clean
    from data.series import SeriesKey as SeriesKey
    from data.simulate import SimulatedMarket as SimulatedMarket
    from data.simulate import simulate_market as simulate_market
    from data.simulate_book import SimulatedBook as SimulatedBook
    from data.simulate_book import simulate_book as simulate_book
    from data.simulate_trades import bar_trades as bar_trades
    from data.store import Store as Store
    from data.trade_bars import TradeBars as TradeBars
    from data.trade_bars import dollar_bars as dollar_bars
    from data.trade_bars import volume_bars as volume_bars
    from data.trades import Trades as Trades
    from data.trades import read_trades as read_trades
    from data.trades import scan_trades as scan_trades
    from data.windows import TradeWindows as TradeWindows
    from data.windows import trade_windows as trade_windows
    from data.windows import window_size_study as window_size_study
    from detectors.base import Detector as Detector
    from detectors.contract import check_detector as check_detector
    from detectors.neural.denoise import denoise_book as denoise_book
    from detectors.neural.latent import LatentFactors as LatentFactors
    from detectors.neural.latent import latent_factors as latent_factors
    from detectors.neural.scenario_gan import GANScenarios as GANScenarios
    from detectors.neural.scenario_load import load_scenario_model as load_scenario_model
    from detectors.neural.scenario_vae import ConditionalVAEScenarios as ConditionalVAEScenarios
    from detectors.neural.scenario_vae import VAEScenarios as VAEScenarios
    from detectors.neural.scenarios import Scenarios as Scenarios
    from detectors.neural.scenarios import generate_scenarios as generate_scenarios
    from detectors.regimes import Regimes as Regimes
    from detectors.regimes import walk_forward_regimes as walk_forward_regimes
    from detectors.registry import detectors as detectors
    from detectors.registry import load_detector as load_detector
    from detectors.registry import make_detector as make_detector
    from detectors.registry import register_detector as register_detector
    from engine.book_features import BOOK_FEATURES as BOOK_FEATURES
    from engine.book_features import LEVEL_FEATURES as LEVEL_FEATURES
    from engine.book_features import BookStream as BookStream
    from engine.book_features import book_features as book_features
    from engine.causality import Audit as Audit
    from engine.causality import audit as audit
    from engine.cross_validation import combinatorial_scores as combinatorial_scores
    from engine.detection import DetectionReport as DetectionReport
    from engine.detection import Events as Events
    from engine.detection import auc_pr as auc_pr
    from engine.detection import detection_report as detection_report
    from engine.detection import match_events as match_events
    from engine.detection import vus_pr as vus_pr
    from engine.features import Features as Features
    from engine.hold_out import HoldOut as HoldOut
    from engine.ledger import Ledger as Ledger
    from engine.ohlcv import OHLCV_FEATURES as OHLCV_FEATURES
    from engine.ohlcv import OhlcvStream as OhlcvStream
    from engine.ohlcv import ohlcv_features as ohlcv_features
    from engine.realism import RealismCard as RealismCard
    from engine.realism import realism as realism
    from engine.risk.annual_sharpe import AnnualSharpe as AnnualSharpe
    from engine.risk.annual_sharpe import annual_sharpe as annual_sharpe
    from engine.risk.conditional import conditional_risk as conditional_risk
    from engine.risk.decomposition import risk_contributions as risk_contributions
    from engine.risk.drawdowns import DrawdownRisk as DrawdownRisk
    from engine.risk.drawdowns import drawdown_risk as drawdown_risk
    from engine.risk.exposures import FactorExposures as FactorExposures
    from engine.risk.exposures import factor_exposures as factor_exposures
    from engine.risk.exposures import market_factors as market_factors
    from engine.risk.forecasts import RiskForecast as RiskForecast
    from engine.risk.forecasts import risk_forecast as risk_forecast
    from engine.risk.performance import performance as performance
    from engine.risk.report import risk_report as risk_report
    from engine.risk.var_tests import var_backtest as var_backtest
    from engine.scores import Scores as Scores
    from engine.scores import Signals as Signals
    from engine.splits import WalkForward as WalkForward
    from engine.splits_combinatorial import CombinatorialSplits as CombinatorialSplits
    from engine.threshold_conformal import AdaptiveConformal as AdaptiveConformal
    from engine.threshold_contract import check_threshold_rule as check_threshold_rule
    from engine.threshold_registry import make_threshold as make_threshold
    from engine.threshold_registry import register_threshold as register_threshold
    from engine.threshold_registry import threshold_kinds as threshold_kinds
    from engine.threshold_tail import PeaksOverThreshold as PeaksOverThreshold
    from engine.threshold_volatility import VolatilityScaled as VolatilityScaled
    from engine.threshold_volatility import standardise_by_volatility as standardise_by_volatility
    from engine.thresholds import Fixed as Fixed
    from engine.thresholds import RollingQuantile as RollingQuantile
    from engine.thresholds import TrainQuantile as TrainQuantile
    from engine.validation.event_study import EventStudy as EventStudy
    from engine.validation.event_study import event_study as event_study
    from engine.validation.evidence import evidence as evidence
    from engine.validation.forward import ForwardMoves as ForwardMoves
    from engine.validation.forward import forward_moves as forward_moves
    from engine.validation.lead_lag import LeadLag as LeadLag
    from engine.validation.lead_lag import lead_lag as lead_lag
    from engine.validation.model_comparison import model_confidence_set as model_confidence_set
    from engine.validation.model_comparison import superior_models as superior_models
    from engine.validation.model_comparison import superior_predictive_ability as superior_predictive_ability
    from engine.validation.multiple import benjamini_hochberg as benjamini_hochberg
    from engine.validation.multiple import benjamini_yekutieli as benjamini_yekutieli
    from engine.validation.multiple import romano_wolf as romano_wolf
    from engine.validation.overfitting import overfitting_probability as overfitting_probability
    from engine.validation.ranks import RankComparison as RankComparison
    from engine.validation.ranks import compare_ranks as compare_ranks
    from engine.validation.sharpe import deflated_sharpe as deflated_sharpe
    from engine.validation.sharpe import expected_max_sharpe as expected_max_sharpe
    from engine.validation.sharpe import min_track_record as min_track_record
    from engine.validation.sharpe import probabilistic_sharpe as probabilistic_sharpe
    from engine.validation.sharpe import sharpe_estimate as sharpe_estimate
    from engine.validation.surrogate_test import Rescorer as Rescorer
    from engine.validation.surrogate_test import SurrogateTest as SurrogateTest
    from engine.validation.surrogate_test import surrogate_test as surrogate_test
    from engine.validation.surrogates import Surrogates as Surrogates
    from engine.validation.surrogates import fit_surrogates as fit_surrogates
    from engine.validation.verdict import Verdict as Verdict
    from engine.walk_forward import walk_forward as walk_forward
    from engine.window_features import WINDOW_FEATURES as WINDOW_FEATURES
    from engine.window_features import WindowStream as WindowStream
    from engine.window_features import window_features as window_features
    from foreshock.books import Recorded as Recorded
    from foreshock.books import load_book as load_book
    from foreshock.books import record_book as record_book
    from foreshock.config import StudyConfig as StudyConfig
    from foreshock.config import load_study as load_study
    from foreshock.exploration import Exploration as Exploration
    from foreshock.exploration import explore as explore
    from foreshock.history import load_bars as load_bars
    from foreshock.history import load_trades as load_trades
    from foreshock.history import stream_trades as stream_trades
    from foreshock.ledger import deflate_study as deflate_study
    from foreshock.ledger import record_study as record_study
    from foreshock.scenarios import ScenarioStudy as ScenarioStudy
    from foreshock.scenarios import scenario_risk as scenario_risk
    from foreshock.scenarios import scenario_study as scenario_study
    from foreshock.study import Study as Study
    from foreshock.study_result import StudyResult as StudyResult
    from foreshock.validation import Validation as Validation
    from foreshock.validation import validate as validate
    from reports.price_chart import PriceHistory as PriceHistory
    from strategies.account import Account as Account
    from strategies.account import MarketLimits as MarketLimits
    from strategies.anomaly_avoidance import AnomalyAvoidance as AnomalyAvoidance
    from strategies.baselines import BuyAndHold as BuyAndHold
    from strategies.baselines import EqualWeight as EqualWeight
    from strategies.baselines import RandomAvoidance as RandomAvoidance
    from strategies.closed_trades import closed_trades as closed_trades
    from strategies.comparison import AvoidanceComparison as AvoidanceComparison
    from strategies.comparison import PairedDifference as PairedDifference
    from strategies.comparison import avoided_moves as avoided_moves
    from strategies.comparison import compare_avoidance as compare_avoidance
    from strategies.comparison import paired_difference as paired_difference
    from strategies.contract import check_strategy as check_strategy
    from strategies.cost_sweep import break_even_cost as break_even_cost
    from strategies.cost_sweep import cost_sweep as cost_sweep
    from strategies.costs import Costs as Costs
    from strategies.event import EventTrade as EventTrade
    from strategies.factor_portfolio import FactorPortfolio as FactorPortfolio
    from strategies.grid import GridResult as GridResult
    from strategies.grid import backtest_grid as backtest_grid
    from strategies.momentum import TimeSeriesMomentum as TimeSeriesMomentum
    from strategies.portfolio import backtest as backtest
    from strategies.regime_exposure import RegimeExposure as RegimeExposure
    from strategies.registry import make_strategy as make_strategy
    from strategies.registry import register_strategy as register_strategy
    from strategies.registry import strategy_names as strategy_names
    from strategies.result import BacktestResult as BacktestResult
    from strategies.signals import backtest_signals as backtest_signals
    from strategies.stability import StabilityGrid as StabilityGrid
    from strategies.stability import WalkForwardChoice as WalkForwardChoice
    from strategies.stability import choose_walk_forward as choose_walk_forward
    from strategies.stability import stability_grid as stability_grid
    from strategies.volatility_target import VolatilityTarget as VolatilityTarget

_HOMES = {
    "data.archive": ("Archive",),
    "data.bars": ("Bars",),
    "data.book_flows": ("book_flows", "book_from_ccxt"),
    "data.errors": ("ConfigError", "DataError", "ExchangeError", "ForeshockError"),
    "data.files": ("read_bars",),
    "data.merge": ("MergedBars", "merge_exchanges"),
    "data.orderbook": ("BOOK_COLUMNS", "Book", "read_book"),
    "data.quality": ("QualityReport", "clean"),
    "data.series": ("SeriesKey",),
    "data.simulate": ("SimulatedMarket", "simulate_market"),
    "data.simulate_book": ("SimulatedBook", "simulate_book"),
    "data.simulate_trades": ("bar_trades",),
    "data.store": ("Store",),
    "data.trade_bars": ("TradeBars", "dollar_bars", "volume_bars"),
    "data.trades": ("Trades", "read_trades", "scan_trades"),
    "data.windows": ("TradeWindows", "trade_windows", "window_size_study"),
    "detectors.base": ("Detector",),
    "detectors.contract": ("check_detector",),
    "detectors.neural.denoise": ("denoise_book",),
    "detectors.neural.latent": ("LatentFactors", "latent_factors"),
    "detectors.neural.scenario_gan": ("GANScenarios",),
    "detectors.neural.scenario_load": ("load_scenario_model",),
    "detectors.neural.scenario_vae": ("ConditionalVAEScenarios", "VAEScenarios"),
    "detectors.neural.scenarios": ("Scenarios", "generate_scenarios"),
    "detectors.registry": ("detectors", "load_detector", "make_detector", "register_detector"),
    "detectors.regimes": ("Regimes", "walk_forward_regimes"),
    "engine.book_features": ("BOOK_FEATURES", "LEVEL_FEATURES", "BookStream", "book_features"),
    "engine.causality": ("Audit", "audit"),
    "engine.cross_validation": ("combinatorial_scores",),
    "engine.detection": ("DetectionReport", "Events", "auc_pr", "detection_report", "match_events", "vus_pr"),
    "engine.features": ("Features",),
    "engine.hold_out": ("HoldOut",),
    "engine.ledger": ("Ledger",),
    "engine.ohlcv": ("OHLCV_FEATURES", "OhlcvStream", "ohlcv_features"),
    "engine.realism": ("RealismCard", "realism"),
    "engine.risk.annual_sharpe": ("AnnualSharpe", "annual_sharpe"),
    "engine.risk.conditional": ("conditional_risk",),
    "engine.risk.decomposition": ("risk_contributions",),
    "engine.risk.drawdowns": ("DrawdownRisk", "drawdown_risk"),
    "engine.risk.exposures": ("FactorExposures", "factor_exposures", "market_factors"),
    "engine.risk.forecasts": ("RiskForecast", "risk_forecast"),
    "engine.risk.performance": ("performance",),
    "engine.risk.report": ("risk_report",),
    "engine.risk.var_tests": ("var_backtest",),
    "engine.scores": ("Scores", "Signals"),
    "engine.splits": ("WalkForward",),
    "engine.splits_combinatorial": ("CombinatorialSplits",),
    "engine.threshold_conformal": ("AdaptiveConformal",),
    "engine.threshold_contract": ("check_threshold_rule",),
    "engine.threshold_registry": ("make_threshold", "register_threshold", "threshold_kinds"),
    "engine.threshold_tail": ("PeaksOverThreshold",),
    "engine.threshold_volatility": ("VolatilityScaled", "standardise_by_volatility"),
    "engine.thresholds": ("Fixed", "RollingQuantile", "TrainQuantile"),
    "engine.validation.event_study": ("EventStudy", "event_study"),
    "engine.validation.evidence": ("evidence",),
    "engine.validation.forward": ("ForwardMoves", "forward_moves"),
    "engine.validation.lead_lag": ("LeadLag", "lead_lag"),
    "engine.validation.model_comparison": ("model_confidence_set", "superior_models", "superior_predictive_ability"),
    "engine.validation.multiple": ("benjamini_hochberg", "benjamini_yekutieli", "romano_wolf"),
    "engine.validation.overfitting": ("overfitting_probability",),
    "engine.validation.ranks": ("RankComparison", "compare_ranks"),
    "engine.validation.sharpe": (
        "deflated_sharpe",
        "expected_max_sharpe",
        "min_track_record",
        "probabilistic_sharpe",
        "sharpe_estimate",
    ),
    "engine.validation.surrogate_test": ("Rescorer", "SurrogateTest", "surrogate_test"),
    "engine.validation.surrogates": ("Surrogates", "fit_surrogates"),
    "engine.validation.verdict": ("Verdict",),
    "engine.walk_forward": ("walk_forward",),
    "engine.window_features": ("WINDOW_FEATURES", "WindowStream", "window_features"),
    "foreshock.books": ("Recorded", "load_book", "record_book"),
    "foreshock.config": ("StudyConfig", "load_study"),
    "foreshock.exploration": ("Exploration", "explore"),
    "foreshock.history": ("load_bars", "load_trades", "stream_trades"),
    "foreshock.ledger": ("deflate_study", "record_study"),
    "foreshock.scenarios": ("ScenarioStudy", "scenario_risk", "scenario_study"),
    "foreshock.study": ("Study",),
    "foreshock.study_result": ("StudyResult",),
    "foreshock.validation": ("Validation", "validate"),
    "reports.price_chart": ("PriceHistory",),
    "strategies.account": ("Account", "MarketLimits"),
    "strategies.anomaly_avoidance": ("AnomalyAvoidance",),
    "strategies.baselines": ("BuyAndHold", "EqualWeight", "RandomAvoidance"),
    "strategies.closed_trades": ("closed_trades",),
    "strategies.comparison": (
        "AvoidanceComparison",
        "PairedDifference",
        "avoided_moves",
        "compare_avoidance",
        "paired_difference",
    ),
    "strategies.contract": ("check_strategy",),
    "strategies.cost_sweep": ("break_even_cost", "cost_sweep"),
    "strategies.costs": ("Costs",),
    "strategies.event": ("EventTrade",),
    "strategies.factor_portfolio": ("FactorPortfolio",),
    "strategies.grid": ("GridResult", "backtest_grid"),
    "strategies.momentum": ("TimeSeriesMomentum",),
    "strategies.portfolio": ("backtest",),
    "strategies.regime_exposure": ("RegimeExposure",),
    "strategies.registry": ("make_strategy", "register_strategy", "strategy_names"),
    "strategies.result": ("BacktestResult",),
    "strategies.signals": ("backtest_signals",),
    "strategies.stability": ("StabilityGrid", "WalkForwardChoice", "choose_walk_forward", "stability_grid"),
    "strategies.volatility_target": ("VolatilityTarget",),
}
_PACKAGES = ("data", "detectors", "engine", "reports", "strategies")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def _check_packages() -> None:
    """Whether each package is ours: a ``data.py`` beside the user's script would be taken instead."""
    root = Path(__file__).resolve().parent.parent
    for name in _PACKAGES:
        spec = find_spec(name)
        place = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if place is None:
            raise ImportError(f"foreshock's package {name!r} is not there; install foreshock again")
        if place.parent.parent != root:
            raise ImportError(f"{place} hides foreshock's package {name!r}; rename it, or run from another folder")


_check_packages()


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'foreshock' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])

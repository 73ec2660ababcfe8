"""Random markets, target weights and accounts: with gaps, late listings, halts and delistings."""

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.scores import Signals
from foreshock.strategies.backtest.account import Account, MarketLimits
from foreshock.strategies.backtest.costs import Costs
from tests.market import NAN, bars_of, signals_of

FREE = Costs(taker=0.0, slippage=0.0)


def random_bars(rng: np.random.Generator, n_bars: int, n_symbols: int, holes: bool) -> Bars:
    """Prices from 1e-6 to 6e4, gaps between close and next open, and (with holes) late listings, halts and delistings."""
    moves = rng.standard_t(4, (2 * n_bars, n_symbols)) * 0.01
    path = np.exp(np.cumsum(moves, axis=0)) * 10.0 ** rng.choice([-6, 0, 4.8], n_symbols)
    open_, close = path[::2].copy(), path[1::2].copy()
    if holes:
        # The first symbol trades throughout.
        for col in range(1, n_symbols):
            missing = rng.random(n_bars) < 0.05
            missing[: rng.integers(0, n_bars // 3)] = True
            missing[rng.integers(n_bars // 2, n_bars + 1) :] = True
            open_[missing, col] = close[missing, col] = NAN
    return bars_of(open_, close)


def random_weights(rng: np.random.Generator, n_bars: int, n_symbols: int) -> np.ndarray:
    """Rows that are fully invested, partly invested, in cash, or no order at all."""
    weights = rng.dirichlet(np.full(n_symbols, 0.7), n_bars) * rng.choice([1.0, 1.0, 0.6], (n_bars, 1))
    weights[rng.random((n_bars, n_symbols)) < 0.1] = 0.0
    weights[rng.random(n_bars) < 0.05] = 0.0
    weights[rng.random(n_bars) < rng.choice([0.0, 0.5, 0.9])] = NAN
    return weights


def random_market(seed: int, n_bars: int = 120, n_symbols: int = 3) -> tuple[Bars, Signals]:
    """Random walks with late listings, holes, delistings, and signals of which some are not decided."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (n_bars, n_symbols)), axis=0))
    for col in range(1, n_symbols):
        close[: rng.integers(0, 40), col] = NAN
        close[rng.integers(60, n_bars) :, col] = NAN
    close[rng.random(close.shape) < 0.05] = NAN
    bars = bars_of(close, start="2024-01-01T05")
    decided = np.arange(n_bars)[:, None] >= rng.integers(0, 20, n_symbols)
    return bars, signals_of(bars, rng.random(close.shape) < 0.04, decided)


def random_case(seed: int, n_bars: int = 60, n_symbols: int = 4) -> tuple[Bars, np.ndarray, Costs, Account]:
    """A wild market with late listings, halts and delistings, and an account with every cost and rule."""
    rng = np.random.default_rng(seed)
    shape = (n_bars, n_symbols)
    moves = rng.standard_t(3, (2 * n_bars, n_symbols)) * rng.choice([0.01, 0.03, 0.1])
    path = np.exp(np.cumsum(moves, axis=0)) * 10.0 ** rng.choice([-6, 0, 4.8], n_symbols)
    open_, close = path[::2].copy(), path[1::2].copy()
    high = np.maximum(open_, close) * np.exp(rng.exponential(0.01, shape))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.01, shape))
    volume = rng.exponential(1e5, shape) * (rng.random(shape) > 0.02) / path[::2]
    for col in range(1, n_symbols):
        missing = rng.random(n_bars) < 0.05
        missing[: rng.integers(0, n_bars // 3)] = True
        missing[rng.integers(n_bars // 2, n_bars + 1) :] = True
        for values in (open_, high, low, close, volume):
            values[missing, col] = NAN
    funding = np.where((np.arange(n_bars) % 8 == 3)[:, None], rng.normal(0, 1e-3, shape), NAN)
    bars = bars_of(open_, close, high, low, funding=funding, volume=volume)

    leverage = float(rng.choice([1.0, 2.0, 5.0]))
    weights = rng.dirichlet(np.full(n_symbols, 0.7), n_bars) * rng.choice([1.0, 0.5], (n_bars, 1)) * leverage
    weights *= rng.choice([-1.0, 1.0], weights.shape) * (rng.random(weights.shape) > 0.1)
    weights[rng.random(n_bars) < rng.choice([0.0, 0.5, 0.9])] = NAN
    # A waiting order of a halted symbol would ask for room that the others have taken: that is refused, and tested apart.
    weights *= 0.5
    costs = Costs(
        taker=rng.choice([5e-4, 5e-3]),
        slippage=rng.choice([2e-4, 5e-3]),
        maker=-1e-4,
        maker_share=0.3,
        impact=1.0,
        impact_window="4h",
        funding=True,
        borrow=0.2,
    )
    capital = 10.0 ** rng.integers(2, 7)
    limits = MarketLimits(dict.fromkeys(bars.symbols, 5.0), dict(zip(bars.symbols, 1e-3 / np.nanmean(path, axis=0), strict=True)))
    band = float(rng.choice([0.0, 0.02]))
    account = Account(leverage, True, 0.05, 0.01, cash_yield=0.04, band=band, capital=capital, limits=limits)
    return bars, weights, costs, account

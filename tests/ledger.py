"""The account of `fs.backtest`, kept slowly and plainly: one loop over bars, one over orders."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import Costs

LINES = ("fee", "slippage", "funding", "borrow", "interest", "liquidation", "forgiven")
FREE = Costs(taker=0.0, slippage=0.0)


def ledger(open_: np.ndarray, close: np.ndarray, weights: np.ndarray, taker: float, slippage: float) -> dict[str, np.ndarray]:
    """Equity, exposure, turnover and costs per bar of a book without credit that starts with a cash of 1.

    Parameters
    ----------
    open_, close, weights : ndarray, shape (n_bars, n_symbols)
    """
    high, low = np.fmax(open_, close), np.fmin(open_, close)
    prices = {"open": open_, "high": high, "low": low, "close": close}
    return full_ledger(prices, weights, Costs(taker=taker, slippage=slippage))


def full_ledger(
    prices: Mapping[str, np.ndarray],
    weights: np.ndarray,
    costs: Costs = FREE,
    account: Account = DEFAULT_ACCOUNT,
    symbols: Sequence[str] = (),
    years_per_bar: float = 1 / 8760,
) -> dict[str, np.ndarray]:
    """The same with every cost and rule, from ``open``, ``high``, ``low``, ``close``, ``volume`` and ``funding_rate``.

    ``costs.impact_window`` is taken to be 4 bars.
    """
    open_, high, low, close = (prices[name] for name in ("open", "high", "low", "close"))
    n_bars, n_symbols = open_.shape
    everyone = range(n_symbols)
    fee_rate = costs.taker * (1 - costs.maker_share) + costs.maker * costs.maker_share
    cash = 1.0
    units = [0.0] * n_symbols
    last_close = [math.nan] * n_symbols
    waiting: dict[int, float] = {}
    ends = [max((t for t in range(n_bars) if not math.isnan(open_[t, s])), default=-1) + 1 for s in everyone]
    book = {name: np.zeros(n_bars) for name in ("equity", "exposure", "turnover", "costs", "gross", "liquidated", *LINES)}

    def spend(t: int, line: str, amount: float) -> None:
        nonlocal cash
        cash -= amount
        book[line][t] -= amount

    def impact(t: int, s: int, value: float) -> float:
        if not costs.impact:
            return 0.0
        past = [k for k in range(max(0, t - 4), t) if not math.isnan(close[k, s])]
        traded = np.mean([prices["volume"][k, s] * close[k, s] for k in past]) if past else 0.0
        if traded == 0:
            return 0.1
        spread = np.mean([(high[k, s] - low[k, s]) / close[k, s] for k in past])
        return min(costs.impact * spread * math.sqrt(value * account.capital / traded), 0.1)

    def fill(t: int, s: int, size: float, price: float, slip: float, value: float) -> None:
        nonlocal cash
        paid = price * (1 + slip) if size > 0 else price * (1 - slip)
        cash -= size * price
        spend(t, "slippage", abs(size) * price * slip)
        spend(t, "fee", abs(size) * paid * fee_rate)
        units[s] = 0.0 if size == -units[s] else units[s] + size
        book["turnover"][t] += abs(size) * price / value if value > 0 else 0.0

    def worth(at: Mapping[int, float]) -> float:
        return cash + sum(units[s] * at[s] for s in everyone if units[s])

    def gross(at: Mapping[int, float]) -> float:
        return sum(abs(units[s]) * at[s] for s in everyone if units[s])

    def liquidate(t: int, now: Mapping[int, float], worst: Mapping[int, float]) -> None:
        """Close all at the point of the way from the prices of now to the worst where the margin is used up."""
        nonlocal cash

        def margin(at: Mapping[int, float]) -> float:
            return worth(at) - account.maintenance * gross(at)

        in_debt = cash < 0 or any(size < 0 for size in units)
        if not any(units) or not in_debt or margin(worst) > 0:
            return
        way = margin(now) / (margin(now) - margin(worst)) if margin(now) > 0 else 0.0
        value = worth(now)
        for s in everyone:
            if units[s]:
                price = now[s] + way * (worst[s] - now[s])
                spend(t, "liquidation", abs(units[s]) * price * account.liquidation_fee)
                fill(t, s, -units[s], price, 0.0, value)
        if cash < 0:
            spend(t, "forgiven", cash)
        book["liquidated"][t] = 1

    for t in range(n_bars):
        # Newest decisions, known at the close before.
        for s in everyone:
            if t > 0 and not math.isnan(weights[t - 1, s]):
                waiting[s] = weights[t - 1, s]
        # Prices to trade and to value at, in this open.
        quote, slip, targets = {}, {}, {}
        for s in everyone:
            if not math.isnan(open_[t, s]):
                quote[s], slip[s] = open_[t, s], costs.slippage
                if s in waiting:
                    targets[s] = waiting.pop(s)
            elif not math.isnan(last_close[s]):
                quote[s], slip[s] = last_close[s], 0.0
                if t == ends[s]:
                    targets[s] = 0.0
        if costs.funding:
            for s in everyone:
                rate = prices["funding_rate"][t, s]
                if units[s] and not math.isnan(rate):
                    spend(t, "funding", units[s] * quote[s] * rate)
        liquidate(t, quote, quote)

        value = worth(quote)
        changes = sorted((abs(targets[s] * value) - abs(units[s] * quote[s]), s) for s in targets)
        for _, s in changes:
            if value <= 0:
                continue
            settling = t == ends[s] and math.isnan(open_[t, s])
            wanted = -units[s] if targets[s] == 0 else targets[s] * value / quote[s] - units[s]
            if targets[s] != 0 and abs(targets[s] - units[s] * quote[s] / value) < account.band:
                continue
            side = 1 if wanted > 0 else -1
            size = abs(wanted)
            closes = min(size, abs(units[s])) if side * units[s] < 0 else 0.0
            if size > closes:
                # What is opened may bring the gross value to the limit: solve limit * (equity after costs) = gross.
                now = slip[s] + impact(t, s, size * quote[s])
                cost = now + fee_rate * (1 + side * now)
                equity = worth(quote) - closes * quote[s] * cost
                room = account.leverage * equity - (gross(quote) - closes * quote[s])
                opens = min(size - closes, max(room, 0.0) / (quote[s] * (1 + account.leverage * cost)))
                size = closes + opens
            if size * quote[s] <= max(1e-12 * value, 1e-18):
                continue
            if account.limits and not settling:
                lot, least = account.limits.lot[symbols[s]], account.limits.min_notional[symbols[s]]
                lots = size * account.capital / lot
                if abs(lots - round(lots)) > 1e-9 * max(lots, 1):
                    size = math.floor(lots) * lot / account.capital
                elif targets[s] != 0:
                    size = round(lots) * lot / account.capital
                if size == 0 or size * quote[s] * account.capital < least * (1 - 1e-9):
                    continue
            fill(t, s, side * size, quote[s], slip[s] + (0.0 if settling else impact(t, s, size * quote[s])), value)

        worst = {s: quote[s] if math.isnan(open_[t, s]) else (low if units[s] > 0 else high)[t, s] for s in quote}
        liquidate(t, quote, worst)

        for s in everyone:
            if not math.isnan(close[t, s]):
                last_close[s] = close[t, s]
        known = dict(enumerate(last_close))
        short = sum(-units[s] * known[s] for s in everyone if units[s] < 0)
        free = cash - short
        spend(t, "borrow", costs.borrow * years_per_bar * (short + max(-free, 0.0)))
        spend(t, "interest", -account.cash_yield * years_per_bar * max(free, 0.0))
        held = worth(known) - cash
        book["equity"][t] = cash + held
        book["exposure"][t] = held / (cash + held) if cash + held > 0 else 0.0
        book["gross"][t] = gross(known) / (cash + held) if cash + held > 0 else 0.0
        book["costs"][t] = -book["fee"][t] - book["slippage"][t]
    return book

"""Latent factors of a market, walk-forward: codes, portfolios that mimic them, and what they explain out of sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypedDict, Unpack

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.options import check_options
from foreshock.data.show.facts import Shown, counted, span_facts, symbols_fact
from foreshock.detectors.neural.latent.characteristics import Characteristics
from foreshock.detectors.neural.latent.fold import FittedFold, slopes_on, squared_error
from foreshock.detectors.neural.latent.models import CrossSections
from foreshock.detectors.neural.latent.registry import make_factor_model
from foreshock.engine.kernels.recursive import ewma_nb
from foreshock.engine.out_of_sample.splits import WalkForward

CHARACTERISTICS = ("return_24", "return_168", "volatility_24", "volume_ratio_24", "market_beta_168", "amihud_24")
# Span in bars of the volatility by which returns are divided, and of its warm-up.
VOLATILITY_WINDOW = 168
# A symbol takes part in a fold if at least this share of the training rows has its return.
LEAST_TRAINED = 0.5


@dataclass(frozen=True, repr=False)
class LatentFactors(Shown):
    """Factors of the returns of a market; every figure is out of sample.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_rows,)
        Open times of the rows, UTC.
    symbols : tuple of str
        Names of the symbols of the market.
    model : str
        Name of the factor model.
    codes : ndarray, shape (n_rows, n_factors)
        Codes known at the close of the row; NaN before the first test block and where fewer than half of the symbols are known.
        In each fold the codes are ordered by the returns that they explain in training, and signed to rise with the market there.
        The codes of different folds come from different models.
    weights : ndarray, shape (n_rows, n_factors, n_symbols)
        Weights of the portfolios that mimic the codes, known at the close of the previous row, as fractions of capital; absolute
        weights sum to 1. NaN for a symbol that is not in the fold, 0 for a symbol that has ended since.
    factor_returns : ndarray, shape (n_rows, n_factors)
        Simple returns of those portfolios over the row, without costs; NaN where a symbol with weight has no return, as in the
        bar in which it ends.
    loadings : ndarray, shape (n_rows, n_symbols, n_factors)
        Loadings of each symbol's return on the codes, known at the close of the previous row.
    variance : DataFrame
        By factor: ``share`` of the squared returns that the factor explains in addition to the factors before it, and
        ``cumulative``, their sum so far.
    correlation : DataFrame
        Correlations of codes (rows) and returns of symbols (columns), averaged over folds.
    disentanglement : DataFrame
        By factor: ``market`` and ``own``, the R2 of the code on the mean return and on the returns of the symbols without their
        market part, and ``purity``, ``|market - own| / (market + own)``, which is 1 if the code depends on only one of them. In
        ``attrs``: ``market_gap``, the R2 on the market of the best code less that of the second best.
    fit : Series
        ``total_r2`` (returns rebuilt from codes of the same row), ``left_out_r2`` (each symbol rebuilt from codes of the others),
        ``predictive_r2`` (from the mean code of training), ``mse``, ``n``, ``fit_seconds``. R2 is 1 - sum of squared errors over
        sum of squared returns, with returns in units of the volatility known before.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=3, n_bars=1_500).bars
    >>> splits = fs.WalkForward(train="30D", test="10D", embargo="1D")
    >>> factors = fs.latent_factors(bars, "pca", n_factors=1, splits=splits)
    >>> factors.codes.shape, factors.weights.shape
    ((1500, 1), (1500, 1, 3))
    >>> round(float(factors.fit["total_r2"]), 2)
    0.67
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    model: str
    codes: np.ndarray
    weights: np.ndarray
    factor_returns: np.ndarray
    loadings: np.ndarray
    variance: pd.DataFrame
    correlation: pd.DataFrame
    disentanglement: pd.DataFrame
    fit: pd.Series

    @property
    def n_factors(self) -> int:
        return self.codes.shape[1]

    def _facts(self) -> Iterator[str]:
        yield self.model
        yield counted(self.n_factors, "factor")
        yield symbols_fact(self.symbols)
        yield counted(len(self.time), "row")
        yield from span_facts(self.time)

    def _preview(self) -> pd.DataFrame:
        return self.variance

    def to_frame(self) -> pd.DataFrame:
        """``codes`` by time (UTC), one column per factor."""
        return pd.DataFrame(self.codes, pd.DatetimeIndex(self.time, name="time", tz="UTC"), self.variance.index)


class LatentOptions(TypedDict, total=False):
    """Further keywords of ``latent_factors``, which documents them."""

    device: str
    on_fold: Callable[[], None] | None


@door
def latent_factors(
    bars: Bars,
    model: str = "conditional_autoencoder",
    n_factors: int = 3,
    splits: WalkForward | None = None,
    *,
    epochs: int = 30,
    beta: float | None = None,
    hidden: Sequence[int] | None = None,
    characteristics: Sequence[str] = CHARACTERISTICS,
    seed: int = 0,
    **options: Unpack[LatentOptions],
) -> LatentFactors:
    """Factors of the cross-section of returns, refitted before each test block on the rows before it.

    Log returns are divided by the volatility known at the previous close, the root of the exponentially weighted mean square of
    168 bars, so that a quiet symbol counts as much as a volatile one. A symbol takes part in a fold if half of its training rows
    have a return; before its listing and after its end its returns are unknown, never zero. A row has a code if half of the
    fold's symbols are known in it.

    ===========================  =============================================================================================
    pca                          principal components: the linear baseline
    autoencoder, vae, beta_vae   networks of the returns of a row and of which returns are known (beta 1 and 4)
    sparse_autoencoder           the autoencoder with few large codes in a row: it also minimises the mean absolute code, at a
                                 variance of 1, which turns the codes to factors that are seldom far from zero, at the price
                                 of what they explain (of eight coins 74 %, where the autoencoder explains 81 %)
    denoising_autoencoder        the autoencoder of returns with added noise of 0.3 volatilities, which it learns to take out
    conditional_autoencoder      loadings are a network of characteristics of the previous row, factors are portfolios [1]_
    ===========================  =============================================================================================

    The portfolios of the conditional autoencoder are its factors; those of the other models are the regression of the code on the
    returns of the training rows.

    Parameters
    ----------
    bars : Bars
        Bars of at least two symbols.
    model : str
        Name of the model, see the table.
    n_factors : int
        Number of factors, from 1 to one less than the number of symbols.
    splits : WalkForward, optional
        Lengths of training and test windows; by default a year of training, tests of 90 days and an embargo of a day.
    epochs : int
        Largest number of training epochs of a network.
    beta : float, optional
        Weight of the divergence of the VAEs; by default 1 for ``vae`` and 4 for ``beta_vae``.
    hidden : sequence of int, optional
        Sizes of the hidden layers of a network's encoder, which its decoder has in reverse; by default (32,), and (32, 16) for the
        loadings of the conditional autoencoder.
    characteristics : sequence of str
        What the conditional autoencoder knows of each symbol, all of the previous row: names of bar features and of columns of
        ``bars.extras``, such as ``"funding_rate"``, as ranks over the symbols; ``"btc"`` or ``"market:SYMBOL"``, the 24-bar return
        and volatility of that symbol as ranks among its last 168 rows, which are the same for all symbols; ``"hour"``, sine and
        cosine of the hour of the day and of the week (UTC); ``"regime"``, the regime of the symbol, one of the four that
        ``kmeans_regime`` finds in the training rows.
    seed : int
        Seed of the networks.
    device : {"auto", "cpu", "cuda"}
        Where networks are trained; ``"auto"`` uses the GPU if there is one.
    on_fold : callable, optional
        Called without arguments after each fold.

    Returns
    -------
    LatentFactors

    Raises
    ------
    ConfigError
        If a parameter is out of range, a characteristic or its symbol is unknown, or codes collapse.
    DataError
        If no fold has enough rows.
    TypeError
        If a keyword is unknown.

    References
    ----------
    .. [1] Gu, Kelly and Xiu (2021), Autoencoder asset pricing models.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=3, n_bars=1_500).bars
    >>> splits = fs.WalkForward(train="30D", test="10D", embargo="1D")
    >>> factors = fs.latent_factors(bars, "pca", n_factors=1, splits=splits)
    >>> factors.variance["share"].round(2).to_dict()
    {'factor_1': 0.65}
    """
    check_options(latent_factors, options, LatentOptions)
    device, on_fold = options.get("device", "auto"), options.get("on_fold")
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    check_whole("n_factors", n_factors, 1)
    check_whole("epochs", epochs, 1)
    if bars.n_symbols < 2:
        raise ConfigError(f"latent factors need bars of at least 2 symbols, got {bars.n_symbols}; pass more symbols")
    if not n_factors < bars.n_symbols:
        raise ConfigError(f"n_factors must lie between 1 and {bars.n_symbols - 1} for {bars.n_symbols} symbols, got {n_factors}")
    splits = splits or WalkForward(train="365D", test="90D", embargo="1D")
    known = (model, n_factors, epochs, beta, hidden, seed, device)
    make_factor_model(*known)
    volatility = lagged_volatility(bars.returns())
    returns, about = bars.returns() / volatility, Characteristics(bars, characteristics, seed)
    out = _Tables(bars, n_factors)
    for fold in splits.folds(bars.n_bars, bars.interval, origin=bars.start_row):
        known_before = about.of_fold(fold.train)
        train, test = (CrossSections(returns[rows], known_before(rows)) for rows in (fold.train, fold.test))
        cols = np.flatnonzero(train.known().mean(axis=0) >= LEAST_TRAINED)
        if len(cols) > n_factors:
            train, test = train.columns(cols), test.columns(cols)
            began = perf_counter()
            fitted = FittedFold(make_factor_model(*known), train)
            out.add(fitted, test, fold.test, cols, volatility[fold.test][:, cols], perf_counter() - began)
        if on_fold is not None:
            on_fold()
    return out.result(model)


def lagged_volatility(returns: np.ndarray) -> np.ndarray:
    """Volatility per bar known at the close of the previous row; NaN for a flat symbol and until 168 of its returns are known."""
    mean_square = ewma_nb(returns**2, 2 / (VOLATILITY_WINDOW + 1))
    enough = np.cumsum(np.logical_not(np.isnan(returns)), axis=0) >= VOLATILITY_WINDOW
    volatility = np.full_like(returns, np.nan)
    volatility[1:] = np.where(enough & (mean_square > 0), np.sqrt(mean_square), np.nan)[:-1]
    return volatility


class _Tables:
    """Collects the results of the folds."""

    def __init__(self, bars: Bars, n_factors: int) -> None:
        n, m, k = bars.n_bars, bars.n_symbols, n_factors
        self.bars = bars
        self.simple = bars.returns(log=False)
        self.codes, self.factor_returns = np.full((n, k), np.nan), np.full((n, k), np.nan)
        self.weights, self.loadings = np.full((n, k, m), np.nan), np.full((n, m, k), np.nan)
        self.sums = {name: 0.0 for name in ("squares", "total", "left_out", "predictive", "left_squares", "n")}
        self.explained = np.zeros(k)
        self.seconds = 0.0
        self.correlations: list[np.ndarray] = []
        self.parts: list[tuple[int, np.ndarray, np.ndarray]] = []

    def add(
        self, fold: FittedFold, test: CrossSections, rows: slice, cols: np.ndarray, volatility: np.ndarray, seconds: float
    ) -> None:
        self.seconds += seconds
        codes = fold.encode(test)
        self.codes[rows] = codes
        # A symbol that has ended, or is not listed yet, has no volatility and gets weight 0.
        weights = np.where(np.isnan(volatility)[:, None], 0.0, fold.weights(test) / volatility[:, None])
        size = np.abs(weights).sum(axis=2, keepdims=True)
        weights = weights / np.where(size > 0, size, np.nan)
        simple = self.simple[rows][:, cols]
        missing = np.isnan(weights) | (np.isnan(simple)[:, None] & (weights != 0))
        factor_returns = np.where(missing.any(axis=2), np.nan, np.nansum(weights * simple[:, None], axis=2))
        self.factor_returns[rows] = factor_returns
        at = np.ix_(np.arange(rows.start, rows.stop), np.arange(codes.shape[1]), cols)
        self.weights[at] = weights
        self.loadings[np.ix_(np.arange(rows.start, rows.stop), cols, np.arange(codes.shape[1]))] = fold.loadings(test)
        self._measure(fold, test, codes, cols)

    def _measure(self, fold: FittedFold, test: CrossSections, codes: np.ndarray, cols: np.ndarray) -> None:
        usable: np.ndarray = np.logical_not(np.isnan(codes).any(axis=1))
        if usable.sum() < 50:
            return
        test, codes = test.rows(usable), codes[usable]
        rebuilt = fold.decode(codes, test)
        known = test.known() & np.logical_not(np.isnan(rebuilt))
        returns = np.where(known, test.returns, 0.0)
        expected = fold.decode(np.broadcast_to(fold.mean, codes.shape).copy(), test)
        self.sums["n"] += known.sum()
        self.sums["squares"] += (returns**2).sum()
        for name, guess in (("total", rebuilt), ("predictive", expected)):
            self.sums[name] += (np.where(known, returns - guess, 0.0) ** 2).sum()
        for i in range(returns.shape[1]):
            others = test.without(i)
            guess = fold.decode(fold.encode(others), others)[:, i]
            seen = known[:, i] & ~np.isnan(guess)
            self.sums["left_out"] += ((returns[seen, i] - guess[seen]) ** 2).sum()
            self.sums["left_squares"] += (returns[seen, i] ** 2).sum()
        for k in range(codes.shape[1]):
            # The explained part of the first k + 1 factors, by regressions on the training rows, gives what each factor adds.
            slopes = slopes_on(fold.codes[:, : k + 1], fold.filled, fold.known)
            self.explained[k] += (returns**2).sum() - squared_error(codes[:, : k + 1], returns, known, slopes)
        market = returns.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        self.correlations.append(_correlations(codes, np.where(known, returns, np.nan), cols, self.bars.n_symbols))
        self.parts.append((len(codes), *_market_and_own(codes, returns, known, market)))

    def result(self, model: str) -> LatentFactors:
        sums = self.sums
        if not self.parts:
            raise DataError(
                "no test block has latent factors: no training window has enough symbols with half of their returns known; "
                "lengthen the history or shorten train"
            )
        names = pd.Index([f"factor_{k + 1}" for k in range(self.codes.shape[1])], name="factor")
        cumulative = self.explained / sums["squares"]
        variance = pd.DataFrame({"share": np.diff(cumulative, prepend=0.0), "cumulative": cumulative}, index=names)
        symbols = self.bars.symbols
        with np.errstate(invalid="ignore"):
            known = [np.logical_not(np.isnan(found)) for found in self.correlations]
            mean = np.nansum(self.correlations, axis=0) / np.where(np.sum(known, axis=0) > 0, np.sum(known, axis=0), np.nan)
        correlation = pd.DataFrame(mean, index=names, columns=pd.Index(symbols))
        sizes = np.array([n for n, _, _ in self.parts], dtype=float)
        market, own = (sizes @ np.array(parts) / sizes.sum() for parts in list(zip(*self.parts, strict=True))[1:])
        purity = np.abs(market - own) / np.maximum(market + own, 1e-12)
        disentanglement = pd.DataFrame({"market": market, "own": own, "purity": purity}, index=names)
        best = np.sort(market)[::-1]
        disentanglement.attrs["market_gap"] = float(best[0] - (best[1] if len(best) > 1 else 0.0))
        fit = pd.Series(
            {
                "total_r2": 1 - sums["total"] / sums["squares"],
                "left_out_r2": 1 - sums["left_out"] / sums["left_squares"],
                "predictive_r2": 1 - sums["predictive"] / sums["squares"],
                "mse": sums["total"] / sums["n"],
                "n": sums["n"],
                "fit_seconds": self.seconds,
            },
            name=model,
        )
        parts = (self.codes, self.weights, self.factor_returns, self.loadings, variance, correlation, disentanglement, fit)
        return LatentFactors(self.bars.time, symbols, model, *parts)


def _correlations(codes: np.ndarray, returns: np.ndarray, cols: np.ndarray, n_symbols: int) -> np.ndarray:
    """Correlations of codes and known returns, (n_factors, n_symbols); NaN outside the fold or with under 50 returns."""
    found = np.full((codes.shape[1], n_symbols), np.nan)
    for i, col in enumerate(cols):
        rows = ~np.isnan(returns[:, i])
        if rows.sum() >= 50 and returns[rows, i].std() > 0:
            found[:, col] = np.corrcoef(codes[rows].T, returns[rows, i])[-1, :-1]
    return found


def _market_and_own(codes: np.ndarray, returns: np.ndarray, known: np.ndarray, market: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R2 of each code on the market, and on the symbols' returns without their market part; shape (n_factors,) each."""
    slope = (returns * market[:, None]).sum(axis=0) / np.maximum((known * market[:, None] ** 2).sum(axis=0), 1e-12)
    own = np.where(known, returns - slope * market[:, None], 0.0)
    return _r2(codes, market[:, None]), _r2(codes, own)


def _r2(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """R2 of the regression of each column of y on x and a constant."""
    design = np.column_stack([np.ones(len(x)), x])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - residual.var(axis=0) / np.maximum(y.var(axis=0), 1e-12)

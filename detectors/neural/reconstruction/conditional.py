"""The conditional autoencoder, in which normal rows depend on the state of the market."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown
from foreshock.detectors.clusters.regimes import TREND, VOLATILITY, KMeansRegime
from foreshock.detectors.neural.conditions import (
    BTC,
    HOUR,
    N_CLOCK,
    N_REGIMES,
    REGIME,
    SYMBOL,
    clock,
    one_hot,
    row_before,
    symbol_of,
)
from foreshock.detectors.neural.reconstruction.autoencoder import Autoencoder
from foreshock.detectors.neural.windows import Windows
from foreshock.engine.features.features import Features
from foreshock.engine.features.roles import default_column, role_of
from foreshock.engine.kernels.rolling import rolling_mean_nb

MARKET = "market"


class ConditionalAutoencoder(Autoencoder):
    """Mean squared error of rebuilding a row from a short code and what was known before it.

    score = |z - g(f(z, s), s)|^2 / n_features. The condition s of row t is made of the rows before t, and of the time of t:

    =================  ==========================================================================================================
    market             one value for each standardised feature: the mean over the rows t - state_window .. t - 1 of its median
                       over symbols, so how volatile, busy or rising the market was, whatever the symbol did
    a feature          that value of this feature alone; a column of ``bars.extras``, such as ``funding_rate``, is a feature if it
                       is among the names of ``fs.ohlcv_features``
    btc                the mean over the same rows of the named symbol's standardised returns and volatilities, or of all its
    market:SYMBOL      features if none is a return or a volatility
    hour               sine and cosine of the hour of the day and of the week (UTC)
    regime             the regime of the market in row t - 1, one of the four that ``kmeans_regime`` finds in the medians over
                       symbols of the training rows
    =================  ==========================================================================================================

    Nothing of the row itself is in s; otherwise, in a market of one symbol, s would reveal to the decoder what to rebuild. A score
    may use earlier rows of other symbols. A row gets NaN if its window has an unknown value, or its condition has, because no
    symbol was known in one of these rows. The other parameters are those of ``autoencoder``.

    That loadings depend on what was known before is the idea of [1]_, whose latent factors of returns are ``fs.latent_factors``.

    Parameters
    ----------
    state_window : int
        Number of rows over which the state is averaged, at least 1.
    condition : tuple of str
        Names of the table above, at least one.

    References
    ----------
    .. [1] Gu, Kelly and Xiu (2021), Autoencoder asset pricing models.
    """

    name = "conditional_autoencoder"
    market_wide = True

    def __init__(self, *, state_window: int = 24, condition: tuple[str, ...] = (MARKET,), **shared: Any) -> None:
        super().__init__(**shared)
        self.state_window = state_window
        self.condition = condition

    @property
    def learned(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride] - depends on the condition
        return (*Autoencoder.learned, "regimes_") if REGIME in self.condition else Autoencoder.learned

    @property
    def lookback(self) -> int:
        return max(self.window - 1, self.state_window)

    def _check(self, features: Features) -> None:
        super()._check(features)
        if self.state_window < 1:
            raise ConfigError(f"state_window must be at least 1 row, got {self.state_window}; raise it")
        if not self.condition:
            raise ConfigError(f"condition must name at least one thing, got none; {MARKET!r} is usual")
        for name in self.condition:
            if symbol_of(name, features.symbols) is None and name not in (MARKET, HOUR, REGIME, *features.names):
                raise ConfigError(
                    f"condition must be {MARKET}, {BTC}, {SYMBOL}SYMBOL, {HOUR}, {REGIME} or a feature, got {shown(name)}; "
                    f"features are {few(features.names, 20)}, and a column of extras is one if fs.ohlcv_features was asked for it"
                )

    def _learn_scales(self, features: Features) -> None:
        super()._learn_scales(features)
        # A rescaled copy keeps the regimes that were learned.
        if REGIME in self.condition and not hasattr(self, "regimes_"):
            medians = self._market(self.scaler.transform(features), features)
            self.regimes_ = KMeansRegime(N_REGIMES, seed=self.seed).fit(medians).state()

    def _training_windows(self, features: Features) -> list[Windows]:
        vars(self).pop("regimes_", None)
        return super()._training_windows(features)

    def _windows_of(self, values: np.ndarray, features: Features) -> Windows:
        return Windows.of(values, self.window, np.concatenate(list(self._conditions(values, features)), axis=1))

    def _conditions(self, values: np.ndarray, features: Features) -> Iterator[np.ndarray]:
        """What each name says of each row, (n_rows, n) each."""
        state = self._context(values, features.start_row)
        for name in self.condition:
            if name == MARKET:
                yield state
            elif name == HOUR:
                yield clock(features.time)
            elif name == REGIME:
                fitted = KMeansRegime(N_REGIMES, seed=self.seed).restore(self.regimes_)
                yield row_before(one_hot(fitted.regimes(self._market(values, features)).labels[:, 0]))
            elif (col := symbol_of(name, features.symbols)) is not None:
                yield self._before(np.ascontiguousarray(values[:, col][:, _of_symbol(self.names_)]), features.start_row)
            else:
                yield state[:, [self.names_.index(name)]]

    def _market(self, values: np.ndarray, features: Features) -> Features:
        """Medians over symbols of the standardised features by which regimes are named, as features of one symbol."""
        columns = list(dict.fromkeys(default_column(features, name) for name in (VOLATILITY, TREND)))
        medians = median_over_symbols(values[:, :, [self.names_.index(name) for name in columns]])
        return Features(features.time, ("market",), tuple(columns), medians[:, None], features.interval)

    def _n_context(self, n_features: int) -> int:
        n = {MARKET: n_features, HOUR: N_CLOCK, REGIME: N_REGIMES}
        of_symbol = len(_of_symbol(self.names_))
        return sum(n.get(name, of_symbol if name == BTC or name.startswith(SYMBOL) else 1) for name in self.condition)

    def _context(self, values: np.ndarray, start_row: int) -> np.ndarray:
        return self._before(median_over_symbols(values), start_row)

    def _before(self, values: np.ndarray, start_row: int) -> np.ndarray:
        """Means over the rows of the state."""
        return rolling_mean_nb(row_before(values), self.state_window, start_row % self.state_window)


def _of_symbol(names: Sequence[str]) -> list[int]:
    """Positions of the features that say how a named symbol moved: its returns and volatilities, or else all."""
    found = [k for k, name in enumerate(names) if role_of(name) in ("return", "volatility")]
    return found or list(range(len(names)))


def median_over_symbols(values: np.ndarray) -> np.ndarray:
    """Median over the known symbols of each row and feature: (n_rows, n_symbols, n_features) to (n_rows, n_features).

    >>> median_over_symbols(np.array([[[1.0], [5.0], [np.nan]], [[np.nan], [np.nan], [np.nan]]])).ravel()
    array([ 3., nan])
    """
    ordered = np.sort(values, axis=1)
    n_known = np.logical_not(np.isnan(values)).sum(axis=1)[:, None]
    # NaN sorts last, so both positions hold NaN if no symbol is known.
    low, high = (np.take_along_axis(ordered, at, axis=1)[:, 0] for at in (np.maximum(n_known - 1, 0) // 2, n_known // 2))
    return 0.5 * (low + high)

"""Exposure of returns to the market and to other factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from foreshock.data.checks import check_array, check_most, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from foreshock.engine.risk.estimators.value_at_risk import known_returns
from foreshock.engine.risk.labels import check_same_index, named_series
from foreshock.engine.statistics.variation import exceeds_rounding, varies
from foreshock.engine.validation.moves.bands import covariance_root


@dataclass(frozen=True, repr=False)
class FactorExposures(Shown):
    """Betas of returns on factors, estimated on all rows: a description of the past, not a forecast.

    Parameters
    ----------
    table : DataFrame
        One row for ``alpha`` (per bar) and for each factor: ``beta``, ``error`` (Newey-West), ``t``, ``p`` (two-sided, normal).
    r2 : float
        Share of the variance that the factors explain.
    parts : dict of str to ndarray, shape (n_bars,)
        ``beta * factor`` of each factor, and ``residual``, which includes alpha; they sum to the returns. NaN in rows left out.
        Can be passed to ``risk_contributions``.
    n, n_missing, lags : int
        Rows used, rows left out, and autocovariances in the errors.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> market = np.array([0.01, -0.02, 0.03, -0.01, 0.02, -0.03])
    >>> found = fs.factor_exposures(0.5 * market + 0.001 * np.array([1, 1, 1, 1, 1, 2]), {"market": market})
    >>> found.to_frame()["beta"].round(3).to_dict()
    {'alpha': 0.001, 'market': 0.489}
    """

    table: pd.DataFrame
    r2: float
    parts: dict[str, np.ndarray]
    n: int
    n_missing: int
    lags: int

    def _facts(self) -> Iterator[str]:
        yield few(self.table.index.drop("alpha"))
        yield f"R2 {self.r2:.3g}"
        yield f"n {self.n:,}"

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row for ``alpha`` and for each factor."""
        return self.table.copy()


@door
def factor_exposures(
    returns: np.ndarray | pd.Series, factors: Mapping[str, np.ndarray | pd.Series] | pd.DataFrame, lags: int | None = None
) -> FactorExposures:
    """Least squares of returns on factors, ``r = alpha + sum_k beta_k f_k + e``, with Newey-West errors [1]_.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns of a strategy, fractions.
    factors : dict of str to ndarray, shape (n_bars,), or DataFrame
        Returns of the factors in the same bars, such as those of ``market_factors``; no factor may be named alpha or residual.
        Rows with a NaN in any series are left out. All Series must have the same index.
    lags : int, optional
        Autocovariances in the errors, with Bartlett weights; ``floor(4 (n / 100)^(2/9))`` by default, at most a quarter of the
        known rows.

    Raises
    ------
    ConfigError
        If shapes or indexes differ, there is no factor or one named alpha or residual, a value is infinite, a return is below -1,
        or lags is out of its range.
    DataError
        If there are fewer known rows than coefficients plus two, or a factor does not vary or is a combination of the others.

    References
    ----------
    .. [1] Newey and West (1987), A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent
       covariance matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> market = np.array([0.01, -0.02, 0.03, -0.01, 0.02, -0.03])
    >>> found = fs.factor_exposures(0.5 * market + 0.001 * np.array([1, 1, 1, 1, 1, 2]), {"market": market})
    >>> found.table["beta"].round(3).to_dict(), round(found.r2, 3)
    ({'alpha': 0.001, 'market': 0.489}, 0.999)
    """
    check_array("returns", returns)
    factors = named_series("factors", factors)
    check_same_index({"returns": returns} | {f"factor {name!r}": factor for name, factor in factors.items()})
    returns = np.asarray(returns, dtype=np.float64)
    known_returns(returns)
    if taken := [name for name in ("alpha", "residual") if name in factors]:
        raise ConfigError(f"no factor may be named {shown(taken[0])}, a name the result uses itself; rename it")
    if not factors:
        raise ConfigError("factors must be at least one, such as {'market': ...}, got none")
    for name, factor in factors.items():
        if np.shape(factor) != returns.shape or np.isinf(factor).any():
            raise ConfigError(f"factor {shown(name)} must be finite, one value per return, got the shape {np.shape(factor)}")
    if lags is not None:
        check_whole("lags", lags, 0)
    x = np.column_stack([np.ones(len(returns)), *factors.values()])
    keep = ~np.isnan(returns) & ~np.isnan(x).any(axis=1)
    n, k = int(keep.sum()), x.shape[1]
    if n < k + 2:
        raise DataError(f"{k} coefficients need at least {k + 2} known rows, got {n}; pass more rows, or fewer factors")
    if lags is not None:
        check_most("lags", lags, n // 4, f"a quarter of the {n} known rows, because longer autocovariances cannot be estimated")
    y, x = returns[keep], x[keep]
    # Scaled to equal size, so that the rank check does not treat factors with small returns as dependent.
    unit = x / np.sqrt((x**2).mean(axis=0).clip(np.finfo(float).tiny))
    if np.linalg.matrix_rank(unit, tol=1e-8 * np.sqrt(n)) < k:
        names = ", ".join(map(str, factors))
        raise DataError(f"factors must vary and not be combinations of each other, got {names}; leave one out")
    inverse = np.linalg.pinv(x)
    beta = inverse @ y
    residual = y - x @ beta
    used = min(int(4 * (n / 100) ** (2 / 9)) if lags is None else lags, n - 1)
    root = covariance_root(inverse.T * residual[:, None], used)
    error = np.sqrt((root**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = beta / error
    table = pd.DataFrame(
        {"beta": beta, "error": error, "t": t, "p": 2 * stats.norm.sf(np.abs(t))},
        index=pd.Index(["alpha", *factors], name="factor"),
    )
    parts = {name: np.where(keep, b * np.asarray(factors[name]), np.nan) for name, b in zip(factors, beta[1:], strict=True)}
    rest = np.full(len(returns), np.nan)
    rest[keep] = residual + beta[0]
    spread = float(np.sum((y - y.mean()) ** 2))
    r2 = 1 - float(residual @ residual) / spread if varies(y, level=1.0) else float("nan")
    return FactorExposures(table, r2, {**parts, "residual": rest}, n, len(returns) - n, used)


@door
def market_factors(returns: np.ndarray, n_components: int = 0) -> dict[str, np.ndarray]:
    """The equal-weight market and the first principal components of the returns of several symbols.

    Components are those of the correlation matrix over the rows where every symbol is known, expressed as returns of portfolios
    whose absolute weights sum to 1 and whose weights sum to at least 0. They are computed from all rows, so they describe the past
    and must not be traded on.

    Parameters
    ----------
    returns : ndarray, shape (n_bars, n_symbols)
        Simple returns, fractions.
    n_components : int
        Number of components, at most the number of symbols.

    Returns
    -------
    dict of str to ndarray, shape (n_bars,)
        ``market``, the mean over the symbols known in a row (NaN where none is known), and ``pca_1`` and so on (NaN where any
        symbol is unknown).

    Raises
    ------
    ConfigError
        If returns are not a table, are infinite or below -1, or have fewer symbols than components.
    DataError
        If components are asked for and fewer than ``n_symbols + 1`` rows know every symbol, or a symbol does not vary.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> returns = np.array([[0.01, 0.03], [-0.01, -0.01], [0.02, np.nan], [0.00, 0.01]])
    >>> {name: factor.round(4).tolist() for name, factor in fs.market_factors(returns, 1).items()}
    {'market': [0.02, -0.01, 0.02, 0.005], 'pca_1': [0.0167, -0.01, nan, 0.0033]}
    """
    check_array("returns", returns)
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim != 2 or not returns.shape[1]:
        raise ConfigError(f"returns must have the shape (n_bars, n_symbols), got {returns.shape}")
    known_returns(returns.ravel())
    check_whole("n_components", n_components, 0)
    if n_components > returns.shape[1]:
        raise ConfigError(f"n_components must be at most the {returns.shape[1]} symbols, got {n_components}; ask for fewer")
    known = ~np.isnan(returns)
    count = known.sum(axis=1)
    factors = {"market": np.where(count > 0, np.where(known, returns, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)}
    if n_components == 0:
        return factors
    complete = known.all(axis=1)
    x = returns[complete]
    if len(x) <= x.shape[1] or not exceeds_rounding(np.ptp(x, axis=0), np.abs(x).max(axis=0), level=1.0).all():
        raise DataError(f"components need more rows than symbols with every symbol known and moving, got {len(x)}; leave one out")
    deviation = x.std(axis=0)
    _, _, loadings = np.linalg.svd((x - x.mean(axis=0)) / deviation, full_matrices=False)
    for k in range(n_components):
        weights = loadings[k] / deviation
        weights *= (1 if weights.sum() >= 0 else -1) / np.abs(weights).sum()
        factors[f"pca_{k + 1}"] = np.where(complete, np.where(known, returns, 0.0) @ weights, np.nan)
    return factors

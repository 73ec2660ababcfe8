"""Euler contributions of the parts of a return to its risk; they sum to the total risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from foreshock.data.checks import check_array, check_levels
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import few, shown
from foreshock.engine.risk.estimators.value_at_risk import loss_tail
from foreshock.engine.risk.labels import check_same_index, named_series
from foreshock.engine.statistics.variation import varies


@door
def risk_contributions(
    parts: Mapping[str, np.ndarray | pd.Series] | pd.DataFrame, levels: Sequence[float] = (0.95, 0.99)
) -> pd.DataFrame:
    """Contributions of the parts of a return to its volatility, historical VaR and CVaR.

    Each of these risks R is homogeneous: doubling every part doubles the risk. R is therefore the sum over the parts of the
    derivatives of R with respect to the size of the part [1]_. With r = sum_i r_i and L = -r,

    ===========  ================================================================================================
    volatility   cov(r_i, r) / std(r)
    VaR          E[-r_i | L = VaR]: the mean of -r_i over the rows sorted by L, with the weights of Harrell and Davis [2]_
                 for that quantile (a beta density in the rank), scaled so that the contributions sum to historical VaR
    CVaR         E[-r_i | L in the tail]: the mean of -r_i over the worst 1 - level of the rows
    ===========  ================================================================================================

    Parameters
    ----------
    parts : dict of str to ndarray, shape (n_bars,), or DataFrame
        Returns that sum to the total return: weight times return of each position, or ``FactorExposures.parts``. Rows with a NaN
        in any part are left out. Series must have the same index.
    levels : sequence of float
        Levels of VaR and CVaR, between 0 and 1.

    Returns
    -------
    DataFrame
        One row for each part and ``total``; columns ``volatility`` (per bar, n - 1), and ``var_95``, ``cvar_95`` and so on. Losses
        are positive; a negative contribution lowers the risk. The contributions to a VaR that is not positive are NaN.

    Raises
    ------
    ConfigError
        If there is no part, a part is named ``total``, lengths or indexes differ, a value is infinite or a level is out of range.
    DataError
        If fewer than two rows are known.

    References
    ----------
    .. [1] Tasche (1999), Risk contributions and performance measurement.
    .. [2] Harrell and Davis (1982), A new distribution-free quantile estimator; Mausser (2003), Calculating quantile-based risk
       analytics with L-estimators.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> parts = {"a": np.array([0.01, -0.02, 0.01, 0.0]), "b": np.array([0.0, -0.02, 0.0, 0.02])}
    >>> fs.risk_contributions(parts, [0.9]).round(4)
           volatility  var_90  cvar_90
    part
    a          0.0123  0.0193     0.02
    b          0.0148  0.0207     0.02
    total      0.0271  0.0400     0.04
    """
    parts = named_series("parts", parts)
    for name, part in parts.items():
        check_array(f"part {shown(name, 40)}", part)
    if not parts or "total" in parts:
        raise ConfigError(f"parts must be at least one, none of them named 'total', got {few(parts)}")
    levels = check_levels(levels)
    check_same_index({f"part {name!r}": part for name, part in parts.items()})
    shapes = {np.shape(part) for part in parts.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise ConfigError(f"parts must be series of equal length, got the shapes {few(map(str, sorted(shapes)))}")
    x = np.column_stack([np.asarray(part, dtype=np.float64) for part in parts.values()])
    if np.isinf(x).any():
        raise ConfigError("parts must be finite or NaN, got an infinite one")
    x = x[~np.isnan(x).any(axis=1)]
    n = len(x)
    if n < 2:
        raise DataError(f"contributions need at least 2 rows with every part known, got {n}; pass more rows")
    total = x.sum(axis=1)
    centred = total - total.mean()
    std = float(total.std(ddof=1)) if varies(total, level=1.0) else 0.0
    columns = {"volatility": (x - x.mean(axis=0)).T @ centred / (n - 1) / std if std > 0 else np.full(x.shape[1], np.nan)}
    totals = {"volatility": std}
    worst_last = np.argsort(-total, kind="stable")
    loss = -x[worst_last]
    for level in levels:
        name = f"{100 * level:g}"
        var, cvar = loss_tail(-total, level)
        edges = stats.beta.cdf(np.arange(n + 1) / n, (n + 1) * level, (n + 1) * (1 - level))
        near = np.diff(edges) @ loss
        columns[f"var_{name}"] = near * var / near.sum() if var > 0 and near.sum() > 0 else np.full(x.shape[1], np.nan)
        totals[f"var_{name}"] = var
        # The tail weighs exactly 1 - level: the row at the quantile gets the remaining fraction.
        weight = np.clip(n * (1 - level) - np.arange(n)[::-1], 0, 1)
        columns[f"cvar_{name}"] = weight @ loss / weight.sum()
        totals[f"cvar_{name}"] = cvar
    table = pd.DataFrame(columns, index=pd.Index(parts, name="part"))
    table.loc["total"] = totals
    return table

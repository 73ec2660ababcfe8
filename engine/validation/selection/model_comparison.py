"""Comparison of models or strategies by their losses: SPA, the model confidence set, step-down superiority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from foreshock.data.checks import check_array, check_integer, check_level, check_names, check_number
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from foreshock.engine.validation.selection.multiple import StepDown, romano_wolf

LARGEST_LOSS = 1e150


@dataclass(frozen=True, repr=False)
class SuperiorAbility(Shown):
    """p-values of the null that no model beats the benchmark.

    Parameters
    ----------
    lower, consistent, upper : float
        Bounds of Hansen's p, and the consistent p between them, which is the one to report.
    best : int
        Column of the model with the largest studentised gain.
    n_models, n_rows, n_draws, block : int
        Models, rows, bootstrap draws, and mean block length in rows.
    """

    lower: float
    consistent: float
    upper: float
    best: int
    n_models: int
    n_rows: int
    n_draws: int
    block: int


@dataclass(frozen=True, repr=False)
class ConfidenceSet(Shown):
    """Set of models that contains the best one with probability ``1 - level``.

    Parameters
    ----------
    names : tuple of str
        All models.
    p_values : ndarray, shape (n_models,)
        Largest level at which the model stays in the set.
    included : tuple of str
        Models that stay at ``level``, in the order of ``names``.
    level : float
        Probability that the best model is left out.
    n_rows, n_draws, block : int
        Rows, bootstrap draws, and mean block length in rows.
    """

    names: tuple[str, ...]
    p_values: np.ndarray
    included: tuple[str, ...]
    level: float
    n_rows: int
    n_draws: int
    block: int


@door
def superior_predictive_ability(
    benchmark: np.ndarray, models: np.ndarray, *, block: int | None = None, n_draws: int = 999, seed: int = 0
) -> SuperiorAbility:
    """Test the null that none of many models beats a benchmark [1]_, by ``arch``.

    Gains ``benchmark - models`` are divided by their standard error over the stationary bootstrap before ``arch`` sees them:
    its own SPA compares raw means, where one noisy model drowns the gains of all others.

    Parameters
    ----------
    benchmark : ndarray, shape (n_rows,)
        Losses, lower is better; for returns, pass their negative.
    models : ndarray, shape (n_rows, n_models)
        Losses of the models.
    block : int, optional
        Mean block of the stationary bootstrap, in rows; ``sqrt(n_rows)`` by default. Use at least the horizon of the losses.
    n_draws, seed : int
        Bootstrap draws, at least 99, and their seed.

    Raises
    ------
    DataError
        If a loss is not known, or a model's losses are those of the benchmark plus a constant.

    References
    ----------
    .. [1] Hansen (2005), A test for superior predictive ability.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> noise = np.random.default_rng(0).standard_normal((500, 3))
    >>> found = fs.superior_predictive_ability(np.zeros(500), noise + [-1.0, -0.3, 0.0], block=1, n_draws=99)
    >>> found.best, round(found.consistent, 2)
    (0, 0.01)
    """
    check_array("models", models)
    from arch.bootstrap import SPA

    gains = _gains(benchmark, models)
    block = _block(block, len(gains))
    _check_draws(n_draws)
    scaled = gains / _standard_errors(gains, block)
    test = SPA(np.zeros(len(gains)), -scaled, block_size=block, reps=n_draws, seed=seed)
    test.compute()
    lower, consistent, upper = _with_observed(test.pvalues[["lower", "consistent", "upper"]].to_numpy(float), n_draws).tolist()
    best = int(scaled.mean(axis=0).argmax())
    return SuperiorAbility(lower, consistent, upper, best, gains.shape[1], len(gains), n_draws, block)


@door
def model_confidence_set(
    losses: np.ndarray,
    names: Sequence[str],
    *,
    level: float = 0.10,
    block: int | None = None,
    n_draws: int = 999,
    seed: int = 0,
) -> ConfidenceSet:
    """The models that cannot be distinguished from the best one [1]_, by ``arch`` (range statistic).

    Parameters
    ----------
    losses : ndarray, shape (n_rows, n_models)
        Losses, lower is better; for returns, pass their negative.
    names : sequence of str
        Names of the models.
    level : float
        Probability of leaving out the best model, at most.
    block, n_draws, seed : int
        See ``superior_predictive_ability``.

    Raises
    ------
    DataError
        If a loss is not known, or two models differ by a constant only.

    References
    ----------
    .. [1] Hansen, Lunde and Nason (2011), The model confidence set.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> losses = np.random.default_rng(0).standard_normal((500, 3)) + [0.0, 0.0, 1.0]
    >>> fs.model_confidence_set(losses, ["a", "b", "c"], block=1, n_draws=99).included
    ('a',)
    """
    if block is not None:
        check_number("block", block)
    check_integer("n_draws", n_draws)
    check_names("names", names)
    check_array("losses", losses)
    from arch.bootstrap import MCS

    losses = _matrix(losses, "losses")
    names = tuple(names)
    if losses.shape[1] < 2 or len(names) != losses.shape[1] or len(set(names)) < len(names):
        got = f"{losses.shape[1]} with names {few(names)}"
        raise ConfigError(f"a confidence set needs two models or more with a name each, got {got}")
    check_level(level, 0.05)
    _check_draws(n_draws)
    block = _block(block, len(losses))
    for i in range(len(names)):
        for j in range(i):
            if _is_constant(losses[:, i] - losses[:, j]):
                raise DataError(f"models {shown(names[j])} and {shown(names[i])} differ by a constant only; leave one of them out")
    test = MCS(losses, level, reps=n_draws, block_size=block, method="R", seed=seed)
    test.compute()
    p_values = _with_observed(test.pvalues["Pvalue"].reindex(range(len(names))).to_numpy(float), n_draws)
    included = tuple(name for name, p in zip(names, p_values, strict=True) if p > level)
    return ConfidenceSet(names, p_values, included, level, len(losses), n_draws, block)


@door
def superior_models(
    benchmark: np.ndarray, models: np.ndarray, *, level: float = 0.05, block: int | None = None, n_draws: int = 999, seed: int = 0
) -> StepDown:
    """Which of many models beat a benchmark, with the family-wise error rate kept at ``level`` [1]_.

    ``romano_wolf`` on studentised mean gains and their centred stationary bootstrap. All models may win, in one round or several.
    Returns a ``StepDown`` with adjusted p-values.

    Parameters
    ----------
    benchmark : ndarray, shape (n_rows,)
        Losses of the benchmark, lower is better.
    models : ndarray, shape (n_rows, n_models)
        Losses of the models.
    level : float
        Family-wise error rate.
    block, n_draws, seed : int
        See ``superior_predictive_ability``.

    Raises
    ------
    ConfigError
        If a shape or setting is out of its range.
    DataError
        If a loss is not known, or a model's losses are those of the benchmark plus a constant.

    References
    ----------
    .. [1] Romano and Wolf (2005), Stepwise multiple testing as formalized data snooping.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> noise = np.random.default_rng(0).standard_normal((500, 3))
    >>> fs.superior_models(np.zeros(500), noise + [-1.0, -0.3, 0.0], block=1).rejected
    array([ True,  True, False])
    """
    check_array("models", models)
    gains = _gains(benchmark, models)
    block = _block(block, len(gains))
    errors = _standard_errors(gains, block)
    means = bootstrap_means(gains, block, n_draws, seed)
    return romano_wolf(gains.mean(axis=0) / errors, (means - gains.mean(axis=0)) / errors, level)


def bootstrap_means(values: np.ndarray, block: int, n_draws: int, seed: int) -> np.ndarray:
    """Column means of stationary bootstrap draws, shape (n_draws, n_columns); all columns use the same rows in a draw [1]_.

    References
    ----------
    .. [1] Politis and Romano (1994), The stationary bootstrap.
    """
    _check_draws(n_draws)
    rng = np.random.default_rng(seed)
    n_rows = len(values)
    rows = np.arange(n_rows)
    means = np.empty((n_draws, values.shape[1]))
    for draw in range(n_draws):
        starts = rng.random(n_rows) < 1 / block
        starts[0] = True
        first = np.flatnonzero(starts)
        began = first[np.cumsum(starts) - 1]
        drawn = (rng.integers(0, n_rows, len(first))[np.cumsum(starts) - 1] + rows - began) % n_rows
        means[draw] = np.bincount(drawn, minlength=n_rows) @ values / n_rows
    return means


def _with_observed(p_values: np.ndarray, n_draws: int) -> np.ndarray:
    """p-values of ``arch`` with the observed statistic counted as a draw, so that no p is zero."""
    return (p_values * n_draws + 1) / (n_draws + 1)


def _standard_errors(gains: np.ndarray, block: int) -> np.ndarray:
    """Standard errors of column means under the stationary bootstrap, in closed form (Politis and Romano 1994, lemma 1)."""
    n_rows = len(gains)
    centred = gains - gains.mean(axis=0)
    size = next_fast_len(2 * n_rows, real=True)
    spectrum = np.abs(np.fft.rfft(centred, size, axis=0)) ** 2
    products = np.fft.irfft(spectrum, size, axis=0)[:n_rows] / n_rows
    lags = np.arange(1, n_rows)
    stay = 1 - 1 / block
    weights = (1 - lags / n_rows) * stay**lags + lags / n_rows * stay ** (n_rows - lags)
    return np.sqrt((products[0] + 2 * weights @ products[1:]) / n_rows)


def _gains(benchmark: np.ndarray, models: np.ndarray) -> np.ndarray:
    models = _matrix(models, "models")
    benchmark = np.asarray(benchmark, float)
    if benchmark.shape != (len(models),):
        raise ConfigError(f"benchmark must be one loss for each of {len(models)} rows, got the shape {benchmark.shape}")
    if not np.isfinite(benchmark).all():
        raise DataError(f"benchmark must be finite, got {int((~np.isfinite(benchmark)).sum())} rows that are not; leave them out")
    gains = benchmark[:, None] - models
    for column in range(gains.shape[1]):
        if _is_constant(gains[:, column]):
            raise DataError(f"model {column} differs from the benchmark by a constant only; leave it out")
    return gains


def _matrix(losses: np.ndarray, name: str) -> np.ndarray:
    losses = np.asarray(losses, float)
    if losses.ndim != 2 or losses.shape[1] < 1:
        raise ConfigError(f"{name} must have the shape (n_rows, n_models), got {losses.shape}")
    if len(losses) < 10:
        raise DataError(f"{name} must have at least 10 rows, got {len(losses)}; pass more data")
    # The square of a larger one is infinite, those of smaller ones are 0.
    if 0 < np.abs(losses).max() < 1 / LARGEST_LOSS:
        raise DataError(f"{name} must not all be below {1 / LARGEST_LOSS:g}, got {np.abs(losses).max():g}; multiply them")
    wrong = ~(np.abs(losses) < LARGEST_LOSS)
    if wrong.any():
        n_wrong = int(wrong.any(axis=1).sum())
        raise DataError(f"{name} must be finite, got {n_wrong} rows that are not, or beyond {LARGEST_LOSS:g}; leave them out")
    return losses


def _is_constant(x: np.ndarray) -> bool:
    return bool(np.ptp(x) <= 1e-12 * np.abs(x).max())


def _block(block: int | None, n_rows: int) -> int:
    if block is None:
        return max(int(np.sqrt(n_rows)), 1)
    if not 1 <= block < n_rows:
        raise ConfigError(f"block must lie between 1 and the {n_rows - 1} rows before the last, got {block}")
    return block


def _check_draws(n_draws: int) -> None:
    if n_draws < 99:
        raise ConfigError(f"n_draws must be at least 99, got {n_draws}; 999 is usual")

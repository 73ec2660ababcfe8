"""Latent factors of a cross-section: what they explain, what they are, what they earned, and whether they stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.detectors.neural.latent.factors import LatentFactors, latent_factors
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.plain import bars_section, plain, versions

VERSION = 1
# Figures of the fit that depend on the data alone, not on the machine.
FIGURES = ("total_r2", "left_out_r2", "predictive_r2", "mse", "n")
# Points of a curve of cumulated returns.
N_POINTS = 1_000


def factor_content(
    bars: Bars,
    splits: WalkForward,
    models: Sequence[str],
    n_factors: int,
    seed: int,
    config: Mapping[str, Any],
    on_fold: Callable[[str], None] = lambda _: None,
    hidden: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The content of ``factors.json``, in JSON types: fractions, no NaN.

    Parameters
    ----------
    bars : Bars
        Bars of at least two symbols.
    splits : WalkForward
        Lengths of training and test blocks.
    models : sequence of str
        Names of models of ``fs.latent_factors``.
    n_factors : int
        Number of factors of each.
    seed : int
        Seed of the networks.
    config : dict
        What was asked for, as it shall stand in the file.
    on_fold : callable
        Called with the name of the model after each fold.
    hidden : sequence of int, optional
        Sizes of the hidden layers of the networks; see ``fs.latent_factors``.

    Raises
    ------
    ConfigError
        If a parameter is out of range, or codes collapse.
    DataError
        If no fold has enough rows.
    """
    blocks = [fold.test for fold in splits.folds(bars.n_bars, bars.interval, origin=bars.start_row)]
    found = {}
    for model in models:
        layers = None if model == "pca" else hidden
        factors = latent_factors(
            bars, model, n_factors, splits, hidden=layers, seed=seed, on_fold=lambda model=model: on_fold(model)
        )
        found[model] = _section(factors, bars, blocks)
    content = {
        "version": VERSION,
        "config": config,
        "data": {**bars_section(bars), "test_start": str(bars.time[blocks[0].start])},
        "n_factors": n_factors,
        "models": found,
        "seeds": {"study": seed},
        "versions": versions(),
    }
    return plain(content)


def _section(factors: LatentFactors, bars: Bars, blocks: Sequence[slice]) -> dict[str, Any]:
    years = np.timedelta64(365, "D") / bars.interval
    returns = factors.factor_returns
    earned = {
        "n": (~np.isnan(returns)).sum(axis=0),
        "total_return": np.nanprod(1 + returns, axis=0) - 1,
        "volatility": [_std(column) * np.sqrt(years) for column in returns.T],
    }
    table = factors.variance.join(factors.disentanglement)
    return {
        "fit": {name: factors.fit[name] for name in FIGURES},
        "market_gap": factors.disentanglement.attrs["market_gap"],
        "factors": {
            str(name): {**row, **{key: values[k] for key, values in earned.items()}}
            for k, (name, row) in enumerate(table.to_dict("index").items())
        },
        "correlation": {str(name): row for name, row in factors.correlation.to_dict("index").items()},
        "cumulated": _cumulated(returns, bars, blocks[0].start),
        "stability": stability(factors.loadings, blocks, bars),
    }


def _std(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.std()) if len(known) else np.nan


def _cumulated(returns: np.ndarray, bars: Bars, first: int) -> dict[str, Any]:
    """Cumulated simple returns from the first test row on, thinned; a row without a return changes nothing."""
    paths = np.cumprod(1 + np.nan_to_num(returns[first:]), axis=0) - 1
    rows = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), N_POINTS)).round().astype(int))
    closes: np.ndarray = bars.time[first:][rows] + bars.interval
    time = np.datetime_as_string(closes.astype("datetime64[s]"), unit="s")
    return {"time": time, **{f"factor_{k + 1}": paths[rows, k] for k in range(paths.shape[1])}}


def stability(loadings: np.ndarray, blocks: Sequence[slice], bars: Bars) -> dict[str, Any]:
    """How alike the factors of every two adjacent test blocks are, by the mean loadings of each block.

    Parameters
    ----------
    loadings : ndarray, shape (n_rows, n_symbols, n_factors)
    blocks : sequence of slice
        Rows of the test blocks.
    bars : Bars
        For the times.

    Returns
    -------
    dict
        ``blocks``, one entry for every two adjacent blocks: ``start`` of the second, ``space``, the share of the one space of
        loadings that lies in the other (1 if the same factors, turned or exchanged, are in both), ``chance``, what random spaces
        share, and ``same``, the cosine of each factor with the one of its number. ``space`` and ``chance`` are also averaged.
        Symbols that a block does not know are left out.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=3, n_bars=4).bars
    >>> turned = np.array([[[1.0], [1.0], [0.0]]] * 2 + [[[1.0], [0.0], [0.0]]] * 2)
    >>> found = stability(turned, [slice(0, 2), slice(2, 4)], bars)
    >>> round(found["space"], 3), round(found["chance"], 3), found["blocks"][0]["same"].round(3)
    (0.5, 0.333, array([0.707]))
    """
    means = [_mean(loadings[block]) for block in blocks]
    found = []
    for at in range(1, len(blocks)):
        known = ~np.isnan(means[at - 1]).any(axis=1) & ~np.isnan(means[at]).any(axis=1)
        before, after = means[at - 1][known], means[at][known]
        n, k = before.shape
        entry: dict[str, Any] = {"start": str(bars.time[blocks[at].start]), "n_symbols": n}
        entry |= {"space": np.nan, "chance": np.nan, "same": np.full(k, np.nan)}
        # As many symbols as factors span everything: nothing could change.
        if n > k:
            first, second = (np.linalg.qr(part)[0] for part in (before, after))
            sizes = np.linalg.norm(before, axis=0) * np.linalg.norm(after, axis=0)
            same = np.divide((before * after).sum(axis=0), sizes, out=np.full(k, np.nan), where=sizes > 0)
            entry |= {"space": float(((first.T @ second) ** 2).sum() / k), "chance": k / n, "same": same}
        found.append(entry)
    known = [entry for entry in found if not np.isnan(entry["space"])]
    mean = {key: float(np.mean([entry[key] for entry in known])) if known else np.nan for key in ("space", "chance")}
    return {**mean, "blocks": found}


def _mean(loadings: np.ndarray) -> np.ndarray:
    """Mean over the rows where a loading is known, (n_symbols, n_factors); NaN where it nowhere is."""
    known = ~np.isnan(loadings)
    return np.where(known, loadings, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)

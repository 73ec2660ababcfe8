"""The realism score card: generated paths against real ones, and real ones against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_integer, check_number
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.engine.realism import measures as m

MEASURES = ("frechet", "mmd", "correlation", "tail_index", "kurtosis", "acf_absolute", "leverage", "discriminative")
N_BLOCKS = 24
MIN_PATHS, MIN_STEPS = 96, 8
# More paths than this are thinned evenly: kernels grow with their square.
MAX_PATHS = 2_000


@dataclass(frozen=True, repr=False)
class RealismCard(Shown):
    """How generated paths compare with real ones, by measure.

    Parameters
    ----------
    table : DataFrame
        Indexed by measure: ``real`` and ``generated`` (the statistic itself where there is one), ``distance`` (median over
        splits), ``floor`` (median of real half against real half), ``limit`` (upper quantile of that), ``p`` (share of
        real-half splits at least as far apart) and ``passed``, ``distance <= limit``.
    mmd_p : float
        Permutation p-value of the MMD test; it takes paths to be independent.
    n_real, n_generated, n_splits : int
    level : float
        Of the floor's upper quantile.
    seed : int
    """

    table: pd.DataFrame
    mmd_p: float
    n_real: int
    n_generated: int
    n_splits: int
    level: float
    seed: int

    @property
    def n_passed(self) -> int:
        return int(self.table["passed"].sum())

    @property
    def failed(self) -> tuple[str, ...]:
        """The measures whose distance lies above the limit."""
        return tuple(self.table.index[~self.table["passed"]])

    def _facts(self) -> Iterator[str]:
        yield f"{self.n_passed} of {counted(len(self.table), 'measure')} passed"
        yield f"{self.n_generated:,} generated against {counted(self.n_real, 'real path')}"
        yield f"p {self.mmd_p:.3g}"

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row a measure."""
        return self.table.copy()


def realism(
    real: np.ndarray, generated: np.ndarray, *, n_splits: int = 50, level: float = 0.95, n_permutations: int = 199, seed: int = 0
) -> RealismCard:
    """Compare generated paths of returns with real ones, held against what real paths score against each other.

    The real paths are cut into 24 blocks of neighbours. In each of ``n_splits`` random splits half of the blocks (A) is compared
    with the other half (B), which gives the *floor*, and with as many generated paths, which gives the *distance*. Blocks, not
    paths, are split, so that the floor has the months that differ from each other, as any sample of history has. A measure
    passes where the median distance is at most the ``level`` quantile of the floor.

    ================  ======================================================================================================
    frechet           Gaussian Frechet distance of embedded paths: ``foreshock.engine.realism.measures.EMBEDDING``, in real units
    mmd               unbiased squared MMD of flattened paths in units of each asset's standard deviation, through asinh; RBF
                      kernel, its width the median distance of real paths
    correlation       root mean squared difference of the assets' correlations
    tail_index        absolute log ratio of the Hill estimates
    kurtosis          absolute log ratio of the kurtosis
    acf_absolute      root mean squared difference of the autocorrelations of absolute returns
    leverage          the same for correlations of returns with later absolute returns
    discriminative    accuracy of a classifier on embedded paths, out of sample, less one half
    ================  ======================================================================================================

    Parameters
    ----------
    real : ndarray, shape (n_paths, n_steps, n_assets)
        Returns of paths that do not overlap, in the order of their time, that the generator was not trained on.
    generated : ndarray, shape (n_generated, n_steps, n_assets)
        At least half as many.
    n_splits : int
    level : float
    n_permutations : int
        Of the MMD test.
    seed : int

    Raises
    ------
    ConfigError
        If shapes do not fit, or there are fewer than 96 real paths or 8 steps.
    DataError
        If a return is unknown or infinite, or an asset's never changes.
    """
    check_integer("n_splits", n_splits)
    check_number("level", level)
    check_integer("seed", seed)
    check_array("real", real)
    check_array("generated", generated)
    real, generated = (np.asarray(paths, dtype=np.float64) for paths in (real, generated))
    _check(real, generated, n_splits, level)
    real, generated = _thin(real), _thin(generated)
    n, half = len(real), len(real) // 2
    rng = np.random.default_rng(seed)
    scale = real.std(axis=(0, 1))
    if not (scale > 0).all():
        raise DataError(f"asset {int(np.argmin(scale))} never moves in the real paths; leave it out")
    pooled = np.concatenate([real, generated])
    embedded = m.embed_paths(pooled / scale)
    embedded = (embedded - embedded[:n].mean(axis=0)) / np.maximum(embedded[:n].std(axis=0), 1e-9)
    kernel = m.rbf_kernel(np.arcsinh(pooled / scale), n)
    block_of = np.arange(n) * N_BLOCKS // n
    floors, distances = [], []
    for i in range(n_splits):
        # In random order, so that no half of a side is earlier than the other: the classifier learns on one of them.
        shuffled = [np.flatnonzero(block_of == block) for block in rng.permutation(N_BLOCKS)]
        a, b = np.concatenate(shuffled[: N_BLOCKS // 2]), np.concatenate(shuffled[N_BLOCKS // 2 :])
        g = n + rng.permutation(len(generated))[: min(half, len(generated))]
        floors.append(_distances(pooled, embedded, kernel, a, b, seed + i))
        distances.append(_distances(pooled, embedded, kernel, a, g, seed + i))
    floor, distance = np.array(floors), np.median(distances, axis=0)
    limit = np.quantile(floor, level, axis=0)
    figures = {"real": _statistics(real), "generated": _statistics(generated), "distance": distance}
    figures |= {"floor": np.median(floor, axis=0), "limit": limit, "p": (floor >= distance).mean(axis=0)}
    table = pd.DataFrame(figures | {"passed": distance <= limit}, index=pd.Index(MEASURES, name="measure"))
    if real.shape[2] == 1:
        table = table.drop("correlation")
    p = m.mmd_permutation_p(kernel, n, n_permutations, rng)
    return RealismCard(table, p, n, len(generated), n_splits, level, seed)


def _distances(
    pooled: np.ndarray, embedded: np.ndarray, kernel: np.ndarray, x: np.ndarray, y: np.ndarray, seed: int
) -> list[float]:
    """The distances of two sets of paths, given by their indices, in the order of ``MEASURES``."""
    a, b = pooled[x], pooled[y]
    return [
        m.frechet_distance(embedded[x], embedded[y]),
        m.mmd(kernel, x, y),
        _rms(m.correlations(a) - m.correlations(b)) if pooled.shape[2] > 1 else 0.0,
        abs(np.log(m.tail_index(a) / m.tail_index(b))),
        abs(m.log_kurtosis(a) - m.log_kurtosis(b)),
        _rms(m.absolute_autocorrelation(a) - m.absolute_autocorrelation(b)),
        _rms(m.leverage(a) - m.leverage(b)),
        m.discriminative_score(embedded[x], embedded[y], seed),
    ]


def _statistics(paths: np.ndarray) -> list[float]:
    """Mean correlation, tail index, kurtosis, mean autocorrelation and leverage; the rest has no figure of one set alone."""
    nan = np.nan
    together = float(m.correlations(paths).mean()) if paths.shape[2] > 1 else nan
    kurtosis, clustering = float(np.exp(m.log_kurtosis(paths))), float(m.absolute_autocorrelation(paths).mean())
    return [nan, nan, together, m.tail_index(paths), kurtosis, clustering, float(m.leverage(paths).mean()), nan]


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


def _thin(paths: np.ndarray) -> np.ndarray:
    """At most 2,000 paths, evenly spaced over their order."""
    return paths if len(paths) <= MAX_PATHS else paths[np.linspace(0, len(paths) - 1, MAX_PATHS).astype(int)]


def _check(real: np.ndarray, generated: np.ndarray, n_splits: int, level: float) -> None:
    if real.ndim != 3 or generated.ndim != 3 or real.shape[1:] != generated.shape[1:]:
        raise ConfigError(
            f"real and generated paths must have the shape (n_paths, n_steps, n_assets) with equal steps and assets, "
            f"got {real.shape} and {generated.shape}"
        )
    if len(real) < MIN_PATHS or real.shape[1] < MIN_STEPS:
        raise ConfigError(
            f"realism needs at least {MIN_PATHS} real paths of {MIN_STEPS} steps, got {len(real)} of {real.shape[1]}; "
            f"give a longer history, or shorter paths"
        )
    if len(generated) < len(real) // 2:
        raise ConfigError(f"realism needs at least half as many generated as real paths, got {len(generated)} for {len(real)}")
    if n_splits < 20 or not 0.5 < level < 1:
        raise ConfigError(f"n_splits must be at least 20 and level between 0.5 and 1, got {n_splits} and {level}")
    for name, paths in (("real", real), ("generated", generated)):
        if not np.isfinite(paths).all():
            raise DataError(f"{name} paths must be known and finite, got {int((~np.isfinite(paths)).sum())} others; leave them out")

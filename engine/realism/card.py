"""The realism score card: generated paths compared with real ones, and real ones with each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_integer, check_number
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.engine.realism import measures as m

MEASURES = ("frechet", "mmd", "correlation", "tail_index", "kurtosis", "acf_absolute", "leverage", "discriminative")
N_BLOCKS = 24
MIN_PATHS, MIN_STEPS = 96, 8
# Larger sets are thinned evenly, because kernel matrices grow with the square of the number of paths.
MAX_PATHS = 2_000


@dataclass(frozen=True, repr=False)
class RealismCard(Shown):
    """How generated paths compare with real ones, for each measure.

    Parameters
    ----------
    table : DataFrame
        Indexed by measure: ``real`` and ``generated`` (the statistic of each set, NaN where it needs two), ``distance`` (median
        over splits), ``floor`` (median between real halves), ``limit`` (upper quantile between real halves), ``p`` (share of
        splits with real halves at least that far apart) and ``passed``, ``distance <= limit``.
    mmd_p : float
        Permutation p-value of the MMD test, which assumes independent paths.
    n_real, n_generated, n_splits : int
        Paths of each kind, and random splits.
    level : float
        Level of the quantile in ``limit``.
    seed : int
        Seed of the splits.

    Examples
    --------
    A card is made by ``realism``. Built by hand:

    >>> import pandas as pd
    >>> import foreshock as fs
    >>> table = pd.DataFrame({"passed": [True, False]}, index=["mmd", "kurtosis"])
    >>> card = fs.RealismCard(table, mmd_p=0.4, n_real=96, n_generated=96, n_splits=20, level=0.95, seed=0)
    >>> card.n_passed, card.failed
    (1, ('kurtosis',))
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
        """The measures whose distance exceeds the limit."""
        return tuple(self.table.index[~self.table["passed"]])

    def _facts(self) -> Iterator[str]:
        yield f"{self.n_passed} of {counted(len(self.table), 'measure')} passed"
        yield f"{self.n_generated:,} generated against {counted(self.n_real, 'real path')}"
        yield f"p {self.mmd_p:.3g}"

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row per measure."""
        return self.table.copy()


@door
def realism(
    real: np.ndarray, generated: np.ndarray, *, n_splits: int = 50, level: float = 0.95, n_permutations: int = 199, seed: int = 0
) -> RealismCard:
    """Compare generated paths of returns with real ones, relative to how far real paths differ from each other.

    The real paths are cut into 24 contiguous blocks. In each of ``n_splits`` random splits half of the blocks (A) is compared
    with the other half (B), which gives the *floor*, and with as many generated paths, which gives the *distance*. Blocks are
    split instead of paths, so that the floor contains the differences between months that any sample of history has. A measure
    passes if the median distance is at most the ``level`` quantile of the floor.

    ================  ======================================================================================================
    frechet           Gaussian Frechet distance of embedded paths: ``engine.realism.measures.EMBEDDING``, in real units
    mmd               unbiased squared MMD of flattened paths, asinh of returns in units of each asset's standard deviation; RBF
                      kernel with the median distance of real paths as its width
    correlation       root mean squared difference of the correlations between assets
    tail_index        absolute log ratio of the Hill estimates
    kurtosis          absolute log ratio of the kurtosis
    acf_absolute      root mean squared difference of the autocorrelations of absolute returns
    leverage          the same for correlations of returns with later absolute returns
    discriminative    accuracy of a classifier on embedded paths, out of sample, less one half
    ================  ======================================================================================================

    Parameters
    ----------
    real : ndarray, shape (n_paths, n_steps, n_assets)
        Returns of paths that do not overlap, in time order, which the generator was not trained on.
    generated : ndarray, shape (n_generated, n_steps, n_assets)
        Generated returns; at least half as many paths as real ones.
    n_splits : int
        Random splits, at least 20.
    level : float
        Quantile of the floor that is the limit, between 0.5 and 1.
    n_permutations : int
        Permutations of the MMD test.
    seed : int
        Seed of splits, permutations and classifier.

    Raises
    ------
    ConfigError
        If shapes do not fit, or there are fewer than 96 real paths or 8 steps.
    DataError
        If a return is unknown or infinite, or the returns of an asset are constant.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> rng = np.random.default_rng(0)
    >>> real, generated = rng.standard_normal((96, 8, 2)), 2 * rng.standard_normal((96, 8, 2))
    >>> card = fs.realism(real, generated, n_splits=20, n_permutations=19)
    >>> bool(card.to_frame().loc["frechet", "passed"])
    False
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
        # Shuffled, so that neither half of a side is earlier than the other: the classifier trains on one of them.
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
    """Distances between two sets of paths, given by their indices, in the order of ``MEASURES``."""
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
    """Mean correlation, tail index, kurtosis, mean autocorrelation and leverage; other measures need two sets of paths."""
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
            f"pass a longer history, or shorter paths"
        )
    if len(generated) < len(real) // 2:
        raise ConfigError(f"realism needs at least half as many generated as real paths, got {len(generated)} for {len(real)}")
    if n_splits < 20 or not 0.5 < level < 1:
        raise ConfigError(f"n_splits must be at least 20 and level between 0.5 and 1, got {n_splits} and {level}")
    for name, paths in (("real", real), ("generated", generated)):
        if not np.isfinite(paths).all():
            raise DataError(f"{name} paths must be known and finite, got {int((~np.isfinite(paths)).sum())} others; leave them out")

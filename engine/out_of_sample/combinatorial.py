"""Combinatorial cross-validation: every choice of test groups, purged and embargoed, and the resulting paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from foreshock.data.checks import check_array, check_duration, check_integer, check_whole
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING, count_of
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in, parse_duration
from foreshock.data.show.facts import Shown

MAX_FOLDS = 20_000


@dataclass(frozen=True)
class CombinatorialFold:
    """Training rows and test rows of one choice of test groups.

    Parameters
    ----------
    train : tuple of slice
        Runs of training rows, in order; a detector's windows must not reach across their gaps.
    test : tuple of slice
        One block for each test group, in order.
    groups : tuple of int
        The test groups.
    """

    train: tuple[slice, ...]
    test: tuple[slice, ...]
    groups: tuple[int, ...]

    @property
    def train_rows(self) -> np.ndarray:
        """Row numbers, increasing."""
        return np.concatenate([np.arange(run.start, run.stop) for run in self.train])


@door(n_groups=ANYTHING, n_test_groups=ANYTHING, purge=ANYTHING)
@dataclass(frozen=True, repr=False)
class CombinatorialSplits(Shown):
    """Every choice of ``n_test_groups`` among ``n_groups`` consecutive groups as the test rows, the rest for training [1]_.

    Training rows may be later than test rows. The ``comb(n_groups - 1, n_test_groups - 1)`` paths through all rows show how much a
    result depends on the history it was found on. Verdicts must use ``WalkForward`` instead.

    Parameters
    ----------
    n_groups : int
        Number of groups; the first ``n_rows % n_groups`` are one row longer.
    n_test_groups : int
        Groups that are tested at a time.
    purge : int
        Rows left out on either side of each test block: the longest label horizon plus the detector's lookback. Labels of rows
        before the block overlap it, and so do labels of the block and windows of rows after it.
    embargo : str, optional
        Further gap after each test block, a duration; none by default.

    References
    ----------
    .. [1] Lopez de Prado (2018), Advances in financial machine learning, chapters 7 and 12.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> splits = fs.CombinatorialSplits(n_groups=4, n_test_groups=2, purge=1)
    >>> folds = splits.folds(12, np.timedelta64(1, "h"))
    >>> folds[1]
    CombinatorialFold(train=(slice(4, 5, None), slice(10, 12, None)), test=(slice(0, 3, None), slice(6, 9, None)), groups=(0, 2))
    >>> splits.paths()
    array([[0, 0, 1, 2],
           [1, 3, 3, 4],
           [2, 4, 5, 5]])
    """

    n_groups: int = 6
    n_test_groups: int = 2
    purge: int = 0
    embargo: str | None = None

    def __post_init__(self) -> None:
        if self.embargo is not None:
            check_duration("embargo", self.embargo)
        check_whole("n_groups", self.n_groups, 2)
        check_whole("n_test_groups", self.n_test_groups, 0)
        check_whole("purge", self.purge, 0)
        if not 1 <= self.n_test_groups < self.n_groups:
            got = f"{self.n_test_groups} of {self.n_groups} groups"
            raise ConfigError(f"n_test_groups must lie between 1 and n_groups - 1, got {got}; leave at least one group to train on")
        if self.n_folds > MAX_FOLDS:
            raise ConfigError(f"{self.n_test_groups} of {self.n_groups} groups make {self.n_folds:,} folds; take fewer groups")

    @property
    def n_folds(self) -> int:
        return math.comb(self.n_groups, self.n_test_groups)

    @property
    def n_paths(self) -> int:
        return math.comb(self.n_groups - 1, self.n_test_groups - 1)

    @door(n_rows=count_of(1, 100_000_000))
    def folds(self, n_rows: int, interval: np.timedelta64) -> list[CombinatorialFold]:
        """Folds over ``n_rows`` rows, in the order of ``itertools.combinations`` of the groups.

        Raises
        ------
        ConfigError
            If there are fewer rows than groups, or purge and embargo leave no row to train on.
        """
        check_integer("n_rows", n_rows)
        parse_duration(interval, "interval")
        if n_rows < self.n_groups:
            raise ConfigError(f"n_groups must not exceed the {n_rows} rows, got {self.n_groups}; take fewer groups")
        behind = self.purge + (bars_in(self.embargo, interval, "embargo") if self.embargo else 0)
        groups = self._groups(n_rows)
        folds = []
        for chosen in combinations(range(self.n_groups), self.n_test_groups):
            free = np.ones(n_rows, bool)
            for group in chosen:
                free[max(groups[group].start - self.purge, 0) : groups[group].stop + behind] = False
            # A run of free rows lies between a step from False to True and the next step back.
            edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]])))
            train = tuple(slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2))
            if not train:
                raise ConfigError(
                    f"no row is left to train on when groups {list(chosen)} are tested, with a purge of {self.purge} and a gap of "
                    f"{behind} rows behind blocks of {n_rows // self.n_groups}; take fewer groups, or pass more data"
                )
            folds.append(CombinatorialFold(train, tuple(groups[group] for group in chosen), chosen))
        return folds

    def paths(self) -> np.ndarray:
        """The fold that tests each group on each path, shape (n_paths, n_groups); a test group of a fold is on exactly one path."""
        tested_by: list[list[int]] = [[] for _ in range(self.n_groups)]
        for fold, chosen in enumerate(combinations(range(self.n_groups), self.n_test_groups)):
            for group in chosen:
                tested_by[group].append(fold)
        return np.array(tested_by).T

    def path_values(self, tested: Sequence[np.ndarray], n_rows: int) -> np.ndarray:
        """Out-of-sample values of all rows along each path, shape (n_paths, n_rows, ...).

        Parameters
        ----------
        tested : sequence of ndarray, each of shape (n_rows, ...)
            One for each fold with its values on its test rows; other rows are ignored.
        n_rows : int
            Number of rows.
        """
        check_array("tested", tested)
        check_integer("n_rows", n_rows)
        if len(tested) != self.n_folds or any(len(values) != n_rows for values in tested):
            raise ConfigError(
                f"tested must hold {self.n_folds} arrays of {n_rows} rows, one a fold, got {[len(values) for values in tested]}"
            )
        first = np.asarray(tested[0])
        out = np.empty((self.n_paths, *first.shape), first.dtype)
        for path, folds in enumerate(self.paths()):
            for group, fold in zip(self._groups(n_rows), folds, strict=True):
                out[path, group] = tested[fold][group]
        return out

    def _groups(self, n_rows: int) -> list[slice]:
        size, longer = divmod(n_rows, self.n_groups)
        starts = [group * size + min(group, longer) for group in range(self.n_groups + 1)]
        return [slice(start, stop) for start, stop in pairwise(starts)]

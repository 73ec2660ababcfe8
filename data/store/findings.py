"""What the store says of itself: a line for each series, and what a check of all partitions found."""

from __future__ import annotations

from dataclasses import dataclass

from foreshock.data.store.series import Range, SeriesKey


@dataclass(frozen=True)
class SeriesSummary:
    """One line about a series.

    Parameters
    ----------
    key : SeriesKey
    n_rows, n_bytes, n_partitions : int
        Of partitions that can be read.
    covered : list of (int, int)
        Half-open ranges in epoch ms in which nothing is missing.
    problems : tuple of str
        One sentence for each partition that cannot be read.
    """

    key: SeriesKey
    n_rows: int
    n_bytes: int
    n_partitions: int
    covered: list[Range]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoreReport:
    """What ``verify`` or ``repair`` found.

    Parameters
    ----------
    n_series, n_partitions, n_rows : int
        Of partitions that are whole.
    problems : tuple of str
        One sentence for each partition that is not.
    mended : tuple of str
        What ``repair`` did.
    """

    n_series: int
    n_partitions: int
    n_rows: int
    problems: tuple[str, ...]
    mended: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.problems

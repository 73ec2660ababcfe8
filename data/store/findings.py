"""What the store reports: a line for each series, and the result of checking all partitions."""

from __future__ import annotations

from dataclasses import dataclass

from foreshock.data.store.series import Range, SeriesKey


@dataclass(frozen=True)
class SeriesSummary:
    """Summary of one series.

    Parameters
    ----------
    key : SeriesKey
        The series.
    n_rows, n_bytes, n_partitions : int
        Totals over the partitions that can be read.
    covered : list of (int, int)
        Half-open ranges in epoch ms in which nothing is missing.
    problems : tuple of str
        One sentence for each partition that cannot be read.
    unit : str
        Currency of all amounts; empty for funding rates.
    """

    key: SeriesKey
    n_rows: int
    n_bytes: int
    n_partitions: int
    covered: list[Range]
    problems: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class StoreReport:
    """What ``verify`` or ``repair`` found.

    Parameters
    ----------
    n_series, n_partitions, n_rows : int
        Totals over the valid partitions.
    problems : tuple of str
        One sentence for each partition that is not valid.
    repaired : tuple of str
        One sentence for each action of ``repair``.
    """

    n_series: int
    n_partitions: int
    n_rows: int
    problems: tuple[str, ...]
    repaired: tuple[str, ...] = ()

    @property
    def mended(self) -> tuple[str, ...]:
        """``repaired`` by its earlier name."""
        return self.repaired

    @property
    def whole(self) -> bool:
        return not self.problems

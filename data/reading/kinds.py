"""What the columns of a file are: times, numbers, or words that stay as they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.errors import DataError


@dataclass(frozen=True)
class Kinds:
    """The kind of each column that a reader knows, by its name in lower case; other columns are of the kind that their values show.

    Parameters
    ----------
    times : tuple of str
        Times: timestamps, ISO 8601 or epochs.
    numbers : tuple of str
        Numbers, in which the words of ``UNKNOWN`` and an empty field are not known.
    words : tuple of str
        Text of few different values, such as symbols and sides.
    ids : tuple of str
        Text of many different values.
    """

    times: tuple[str, ...]
    numbers: tuple[str, ...]
    words: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        return frozenset((*self.times, *self.numbers, *self.words, *self.ids))


# Words for a number that is not known, as pandas and its peers write them.
UNKNOWN = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL"),
    *("NaN", "None", "n/a", "nan", "null"),
)


def lowered(name: object) -> str:
    """A column name as the readers know it."""
    return str(name).strip().lower()


def shown_names(columns: Iterable[object]) -> str:
    """Column names for a message: at most 12, each cut to 40 characters, and printable."""
    names = [str(name)[:40] for name in columns]
    shown = [name if name.isprintable() else ascii(name)[:40] for name in names[:12]]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def refuse_doubled(columns: Iterable[object]) -> None:
    """Refuse column names that are equal when written in lower case."""
    names = pd.Index([lowered(name) for name in columns])
    if names.has_duplicates:
        doubled = names[names.duplicated()].unique()
        raise DataError(f"columns are doubled, or differ only in case: {shown_names(doubled)}; rename or remove one")


def text_of(value: object) -> str:
    """A name as text, without the blanks around it; ``bytes`` are what Parquet files without a type of text hold."""
    return (value.decode("utf-8") if isinstance(value, bytes) else str(value)).strip()


def names_of(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """The number of each row's name in the order of first occurrence, -1 where there is none, and the names."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, labels = values.cat.codes.to_numpy(), values.cat.categories
        if len(labels) > 1 or (len(codes) and codes.min() < 0):
            codes, order = pd.factorize(np.where(codes < 0, len(labels), codes) if codes.min(initial=0) < 0 else codes)
            missing = order == len(labels)
            labels = [None if lost else labels[at] for at, lost in zip(order.tolist(), missing.tolist(), strict=True)]
    else:
        try:
            codes, labels = pd.factorize(values, use_na_sentinel=False)
        except TypeError:
            codes, labels = pd.factorize(values.astype(str))
    texts = ["" if pd.api.types.is_scalar(label) and pd.isna(label) else text_of(label) for label in labels]
    known = list(dict.fromkeys(text for text in texts if text))
    number = {text: i for i, text in enumerate(known)} | {"": -1}
    numbers = np.array([number[text] for text in texts], dtype=np.int64)
    if np.array_equal(numbers, np.arange(len(texts))):
        return np.asarray(codes), known
    return numbers[codes], known

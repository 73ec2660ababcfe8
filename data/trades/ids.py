"""Trade ids: numbers or words, each of which names one trade."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from foreshock.data.errors import DataError
from foreshock.data.reading.kinds import text_of
from foreshock.data.show.shown import shown

# A float64 holds every whole number below this one.
EXACT = 2.0**53


def ids_of(values: pd.Series) -> np.ndarray | None:
    """Ids as int64 if all are whole numbers, else as text, empty where there is none; None if no trade has one.

    ``007`` and ``7`` are two ids, ``7`` and ``7.0`` of a column of numbers are one.

    Raises
    ------
    DataError
        If ids are floats so large that they have lost digits.
    """
    if values.dtype.kind in "iu" and not (values.isna().any() or values.max() > np.iinfo(np.int64).max):
        return values.to_numpy(dtype=np.int64)
    if isinstance(values.dtype, pd.StringDtype):
        numbers = _numbers(values)
        if numbers is not None:
            return numbers
    values = values.reset_index(drop=True)
    missing = values.isna()
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if pd.api.types.is_numeric_dtype(values.dtype) and values.dtype.kind != "b":
        known = values[~missing]
        if values.dtype.kind == "f" and (np.abs(known) >= EXACT).any():
            raise DataError(
                f"column {values.name} must hold ids to the last digit, got numbers such as {shown(float(known.abs().max()))}, "
                f"which have lost digits; read it as text"
            )
        whole = (known == known.round()).all()
        texts = pd.Series([str(int(one)) if whole else str(one) for one in known.tolist()], index=known.index, dtype=str)
    elif isinstance(values.dtype, pd.StringDtype):
        texts = values[~missing].str.strip()
    else:
        texts = values[~missing].map(text_of).astype(str)
    # An empty field of a text is no id.
    texts = texts[texts != ""]
    if texts.empty:
        return None
    if texts.str.fullmatch(r"(0|[1-9]\d*)\.0").any() and texts.str.fullmatch(r"(0|[1-9]\d*)(\.0)?").all():
        # Whole numbers that a table with gaps has turned into floats, and then into text.
        texts = texts.str.removesuffix(".0")
    texts = texts.reindex(values.index, fill_value="") if len(texts) < len(values) else texts
    if texts.str.fullmatch(r"0|[1-9]\d{0,17}").all():
        return texts.astype("int64").to_numpy()
    return texts.to_numpy(dtype=object)


def _numbers(texts: pd.Series) -> np.ndarray | None:
    """Text of whole numbers as int64, if each is written as Python would write it."""
    words = pa.array(texts.array)
    try:
        numbers = pc.cast(words, pa.int64())
    except pa.ArrowInvalid:
        return None
    same = pc.equal(pc.cast(numbers, words.type), words)  # pyright: ignore[reportAttributeAccessIssue]
    return numbers.to_numpy() if pc.all(same, skip_nulls=False).as_py() else None  # pyright: ignore[reportAttributeAccessIssue]


def doubled(ids: np.ndarray, series: np.ndarray | None) -> np.ndarray:
    """Whether each trade has an id that an earlier trade of its series has, shape (n_trades,)."""
    if series is None and (ids[1:] > ids[:-1]).all():
        return np.zeros(len(ids), dtype=bool)
    keys = pd.Index(ids) if series is None else pd.MultiIndex.from_arrays([series, ids])
    if not keys.has_duplicates:
        return np.zeros(len(ids), dtype=bool)
    known = ids != "" if ids.dtype.kind in "UO" else True
    return keys.duplicated() & known


def refuse_doubled(ids: np.ndarray, series: np.ndarray | None = None) -> None:
    """Refuse ids that come twice in a series."""
    twice = doubled(ids, series)
    if twice.any():
        raise DataError(
            f"each trade id must come once, got {int(twice.sum())} doubled, the first {ids[int(np.argmax(twice))]}; "
            f"the source holds overlapping pages: keep each id once"
        )


class Boundary:
    """The ids of the last time of a run of trades, so that a trade which the next run repeats is found.

    Runs follow one another in time, so a trade of an earlier run can only come again at that time.
    """

    def __init__(self) -> None:
        self._known: tuple[np.datetime64, str, set[object]] | None = None

    def check(self, times: np.ndarray, ids: np.ndarray | None, series: np.ndarray | None) -> None:
        """Refuse a run that repeats an id of the run before it at the time that both have."""
        if ids is None:
            self._known = None
            return
        names = series if series is not None else np.full(len(times), "")
        if self._known is not None:
            time, name, seen = self._known
            again = [one for one in ids[(times == time) & (names == name)].tolist() if one != "" and one in seen]
            if again:
                raise DataError(
                    f"each trade id must come once, got {len(again)} doubled, the first {again[0]}; "
                    f"the source holds overlapping pages: keep each id once"
                )
        else:
            time, name, seen = times[-1], str(names[-1]), set()
        same = self._known is not None and (times[-1], str(names[-1])) == (time, name)
        last = ids[(times == times[-1]) & (names == names[-1])].tolist()
        self._known = (times[-1], str(names[-1]), (seen if same else set()) | set(last))

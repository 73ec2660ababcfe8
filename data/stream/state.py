"""The base of all streams: their state, out of memory and back, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from foreshock.data.checks import check_path, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.data.show.shown import shown
from foreshock.data.system.packed import pack, read_packed, unpack, write_packed

FORMAT = 1
KEY = "foreshock-stream"


@door
class Stream:
    """What takes one row at a time: ``update`` takes the next row and returns its values, ``state`` and ``restore`` carry it over.

    Features, detectors, thresholds and the pipeline of a study are streams. A stream that is restored in another process goes on
    with the bits of one that was never stopped. Nothing is pickled: a state consists of arrays, numbers, texts and nested dicts and
    tuples of them, and a file of it is safetensors with a JSON card.

    A subclass lists in ``carries`` the attributes that change from row to row, and in ``fixed`` those that are given by how it was
    made and must be equal in a state that it takes.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> rows = [list(row) for row in zip(bars.open, bars.high, bars.low, bars.close, bars.volume)]
    >>> stream = fs.OhlcvStream(1, ["volatility_20"], bars.start_row)
    >>> isinstance(stream, fs.Stream)
    True
    >>> for row in rows[:200]:
    ...     values = stream.update(row)
    >>> resumed = fs.OhlcvStream(1, ["volatility_20"], bars.start_row).restore(stream.state())
    >>> all(np.array_equal(stream.update(row), resumed.update(row)) for row in rows[200:])
    True
    """

    carries: ClassVar[tuple[str, ...]] = ()
    fixed: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """What is needed to go on: arrays, numbers, texts, and dicts and tuples of them. Later rows do not change it."""
        return {name: _copied(getattr(self, name)) for name in (*self.fixed, *self.carries)}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on where the stream of a ``state`` stood, which was made as this one was; returns the stream itself.

        Raises
        ------
        DataError
            If the state is of another kind of stream, or of one that was made otherwise.
        """
        kind = type(self).__name__.lstrip("_")
        check_type("state", state, Mapping, "pass what state() of such a stream returned")
        wanted = {*self.fixed, *self.carries}
        if set(state) != wanted:
            raise DataError(
                f"the state of a {kind} has {len(wanted)} entries, got {len(state)} others; restore the state of a stream made "
                f"in the same way"
            )
        for name in self.fixed:
            mine, given = _copied(getattr(self, name)), state[name]
            if not _same(mine, given):
                raise DataError(
                    f"the state is of a {kind} whose {name.lstrip('_')} is {shown(given)}, and this one has {shown(mine)}; restore "
                    f"the state of a stream made in the same way"
                )
        for name in self.carries:
            setattr(self, name, _taken(getattr(self, name), state[name], f"{name.lstrip('_')} of a {kind}"))
        return self

    def save(self, path: str | Path) -> None:
        """Write the state to one file, safetensors with a JSON card; it appears at ``path`` only when it is complete.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        check_path("path", path)
        arrays: dict[str, np.ndarray] = {}
        content = {key: pack(value, key, arrays, "restore it from rows") for key, value in self.state().items()}
        card = json.dumps({"format": FORMAT, "stream": type(self).__name__, "state": content}, sort_keys=True)
        write_packed(path, KEY, card, arrays)

    def load(self, path: str | Path) -> Self:
        """``restore`` from a file of ``save``.

        Raises
        ------
        DataError
            If there is no such file, it is damaged, or of another stream.
        """
        check_path("path", path)
        if not Path(path).is_file():
            raise DataError(f"no such file: {path}; pass a state saved with Stream.save")
        content, arrays = read_packed(path, KEY, "the state of a stream")
        if content["format"] > FORMAT:
            raise DataError(f"{path} has format {content['format']}, this version reads up to {FORMAT}; update foreshock")
        if content["stream"] != type(self).__name__:
            raise DataError(f"{path} is of a {content['stream']}, not of a {type(self).__name__}; pass its own file")
        return self.restore(unpack(content["state"], arrays))


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Stream):
        return value.state()
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_copied, value))
    return value.item() if isinstance(value, np.generic) else value


def _taken(mine: Any, given: Any, what: str) -> Any:
    """The value of a state, in the type of the attribute that it is for."""
    if isinstance(mine, Stream):
        return mine.restore(given)
    if isinstance(mine, np.ndarray):
        if not isinstance(given, np.ndarray) or given.shape != mine.shape or given.dtype != mine.dtype:
            got = f"{given.dtype} of {given.shape}" if isinstance(given, np.ndarray) else shown(given)
            raise DataError(
                f"{what} must be {mine.dtype} of {mine.shape}, got {got}; restore the state of a stream made as this one"
            )
        # A copy: two streams that take the same state go separate ways.
        return given.copy()
    if isinstance(mine, dict):
        if not isinstance(given, Mapping) or set(given) != set(mine):
            raise DataError(
                f"{what} must have the entries of this stream, got {shown(given)}; restore the state of one made as this"
            )
        return {key: _taken(item, given[key], what) for key, item in mine.items()}
    if isinstance(mine, tuple):
        if not isinstance(given, list | tuple) or len(given) != len(mine):
            raise DataError(f"{what} must be {len(mine)} parts, got {shown(given)}; restore the state of a stream made as this one")
        return tuple(_taken(one, other, what) for one, other in zip(mine, given, strict=True))
    if mine is None and isinstance(given, Mapping | np.ndarray):
        raise DataError(f"{what} must be none, got {shown(given)}; restore the state of a stream made as this one")
    return given


def _same(mine: Any, given: Any) -> bool:
    if isinstance(mine, np.ndarray):
        return isinstance(given, np.ndarray) and np.array_equal(mine, given, equal_nan=mine.dtype.kind == "f")
    if isinstance(mine, tuple):
        return isinstance(given, list | tuple) and len(mine) == len(given) and all(map(_same, mine, given))
    return type(mine) is type(given) and mine == given

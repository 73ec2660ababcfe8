"""A detector in a file: what it learned, without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.data.errors import DataError
from foreshock.data.system.packed import pack, read_packed, unpack, write_packed

FORMAT = 2


def in_order(learned: Any) -> Any:
    """What was learned, with every array in it in the order of C, as ``write_saved`` writes it."""
    if isinstance(learned, np.ndarray):
        return learned if learned.flags.c_contiguous else np.ascontiguousarray(learned)
    if isinstance(learned, dict):
        return {key: in_order(item) for key, item in learned.items()}
    # A list of a user's own class may be another kind of list.
    return type(learned)(map(in_order, learned)) if type(learned) in (list, tuple) else learned


def owned(cls: type) -> str:
    """The class in a saved file: its name, and whether it is foreshock's own, because a user's may have the same name."""
    return f"{cls.__name__} of {'foreshock' if cls.__module__.startswith('foreshock.') else 'a user'}'s"


def write_saved(path: str | Path, name: str, params: dict[str, Any], state: dict[str, Any], cls: str = "") -> None:
    """Write a file for ``read_saved``; it appears at ``path`` only when it is complete."""
    arrays: dict[str, np.ndarray] = {}
    plain = {key: pack(value, key, arrays, "fit the detector again where it is needed") for key, value in state.items()}
    content = {"format": FORMAT, "detector": name, "class": cls, "params": params, "learned": plain}
    write_packed(path, "foreshock", json.dumps(content, sort_keys=True), arrays)


def read_saved(path: str | Path) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    """Name, parameters, learned state and class of a saved detector, checked against its digest; "" if the class is not known.

    Raises
    ------
    DataError
        If the file is missing, truncated, changed since it was written, or of a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no such file: {path}; pass a detector saved with Detector.save")
    content, arrays = read_packed(path, "foreshock", "a detector or model")
    if content["format"] > FORMAT:
        raise DataError(f"{path} has format {content['format']}, this version reads up to {FORMAT}; update foreshock")
    # In format 1 the card did not refer to the arrays, so all of them are taken by name.
    learned = arrays | {name: unpack(value, arrays) for name, value in content["learned"].items()}
    return content["detector"], unpack(content["params"], {}), learned, content.get("class", "")

"""Arrays and plain values as one safetensors file with a JSON card and a digest: reading it cannot run code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.system.disk import write_whole

# In the JSON card of a file, {ARRAY: name} is a reference to the array of that name.
ARRAY = "$array"


def pack(value: Any, where: str, arrays: dict[str, np.ndarray], hint: str) -> Any:
    """``value`` as plain JSON; each array in it is moved to ``arrays`` and replaced by a reference."""
    if isinstance(value, np.ndarray):
        arrays[where] = np.ascontiguousarray(value)
        return {ARRAY: where}
    if isinstance(value, dict):
        return {key: pack(item, f"{where}/{key}", arrays, hint) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [pack(item, f"{where}/{i}", arrays, hint) for i, item in enumerate(value)]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ConfigError(f"a {type(value).__name__} cannot be saved without pickle; {hint}")


def unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What ``pack`` was given, with tuples in place of lists."""
    if isinstance(value, dict):
        return arrays[value[ARRAY]] if ARRAY in value else {key: unpack(item, arrays) for key, item in value.items()}
    return tuple(unpack(item, arrays) for item in value) if isinstance(value, list) else value


def digest_of(card: str, arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of a card and its arrays."""
    digest = hashlib.sha256(card.encode())
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def write_packed(path: str | Path, key: str, card: str, arrays: dict[str, np.ndarray]) -> None:
    """Write a card and its arrays; the file appears at ``path`` only when it is complete."""
    from safetensors.numpy import save

    # safetensors requires at least one array.
    arrays = arrays or {"none": np.zeros(1)}
    saved = save(arrays, metadata={key: card, "sha256": digest_of(card, arrays)})
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise DataError(f"{path} must be a file in a folder that exists, to be written")
    write_whole(path, saved)


def read_packed(path: str | Path, key: str, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The card, parsed, and the arrays of a file of ``write_packed``.

    Raises
    ------
    DataError
        If the file is truncated, was changed since it was written, or is none of these.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        card = metadata[key]
        if metadata["sha256"] != digest_of(card, arrays):
            raise DataError(f"{path} was changed after it was saved; its digest does not match, so it is not loaded")
        return json.loads(card), arrays
    except (SafetensorError, KeyError, json.JSONDecodeError, RecursionError, OSError) as error:
        raise DataError(f"{path} is not a complete file of {what}: {error}; save it again") from error

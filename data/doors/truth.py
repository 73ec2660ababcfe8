"""Arrays of yes and no: labels, alerts and sides, which numpy would read from anything that is not zero."""

from __future__ import annotations

import numpy as np

from foreshock.data.errors import DataError

# The project's own predictions, where -1 is an anomaly; see ``Signals.prediction``.
PREDICTION = "; -1 and 1 are predictions, of which -1 is the anomaly: pass prediction == -1"


def yes_or_no(name: str, values: object) -> np.ndarray:
    """An array of bool, from truth values or from 0 and 1; refuses all else, because NaN, -1 and words count as True in numpy.

    Parameters
    ----------
    name : str
        Name of the values, for the message.
    values : array_like
        Truth values, or numbers that are 0 or 1.

    Raises
    ------
    DataError
        If a value is not known or neither 0 nor 1.

    Examples
    --------
    >>> yes_or_no("labels", [0, 1.0, True])
    array([False,  True,  True])
    >>> yes_or_no("labels", [-1, 1])
    Traceback (most recent call last):
    ...
    foreshock.data.errors.DataError: labels must be True or False, or 1 and 0, got -1 in 1 of 2; -1 and 1 are predictions, ...
    """
    try:
        found = np.asarray(values)
    except ValueError as error:
        # Rows of different lengths make no array.
        raise DataError(
            f"{name} must be an array of truth values, got rows of different lengths; make them equally long"
        ) from error
    if found.dtype.kind == "b":
        return found
    try:
        numbers = found.astype(np.float64) if found.dtype.kind in "iufO" else None
    except (TypeError, ValueError):
        numbers = None
    if numbers is None:
        raise DataError(
            f"{name} must be True or False, or 1 and 0, got {found.dtype.name} values; compare them, such as x == 'yes'"
        )
    wrong = (numbers != 0) & (numbers != 1)
    if wrong.any():
        first = numbers[wrong].flat[0]
        if np.isnan(first):
            got, hint = "NaN", "; fill them in, or leave those rows out"
        else:
            got, hint = f"{first:g}", PREDICTION if first == -1 else "; compare them, such as x > 0"
        raise DataError(f"{name} must be True or False, or 1 and 0, got {got} in {int(wrong.sum())} of {wrong.size}{hint}")
    return numbers.astype(bool)

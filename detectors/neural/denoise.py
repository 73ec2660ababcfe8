"""Removes from an order book the depth that a model of usual books does not expect."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from foreshock.data.books.orderbook import BOOK_COLUMNS, SIDES, Book
from foreshock.data.checks import check_number
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few
from foreshock.data.show.shown import shown as words_for
from foreshock.engine.features.book import book_features
from foreshock.engine.features.features import Features


class Rebuilds(Protocol):
    """A fitted model that rebuilds rows of book features, as every network detector does."""

    names_: tuple[str, ...]

    def reconstruct(self, features: Features) -> np.ndarray: ...


@door(model=ANYTHING)
def denoise_book(book: Book, model: Rebuilds, ratio: float | None = 8.0) -> Book:
    """The book without the depth that the model does not expect.

    With q the value at a level and r the value that ``model.reconstruct`` returns for it, the level becomes r where
    q > ratio * r and stays q elsewhere: spoofs and flickers add depth, and usual depth is known better from the book than from
    any model. With ``ratio=None`` every level becomes r. Row t uses only the rows that the model uses for t, and no later one.

    Parameters
    ----------
    book : Book
        The order book to clean.
    model : detector
        A model fitted on ``book_features`` that include features such as ``log_bids_notional_0`` or ``bids_notional_0``. Only the
        levels among its features are changed. The intended detector is ``conv_autoencoder``; any object with ``names_`` and
        ``reconstruct`` works.
    ratio : float, optional
        Multiple of the expected value above which a level is replaced; it must be above 1. None rebuilds every level.

    Returns
    -------
    Book
        A copy of ``book`` with a new ``notional``, in quote currency. An unknown level stays unknown (NaN), and a level that the
        model cannot rebuild, because its window has an unknown value, becomes NaN.

    Raises
    ------
    ConfigError
        If the model is not fitted, has no feature that is the notional of a level, or the ratio is not above 1.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> class Expects10000:
    ...     names_ = ("bids_notional_0",)
    ...     def reconstruct(self, features):
    ...         return np.full_like(features.values, 10_000.0)
    >>> book = fs.simulate_book(seed=1, n_rows=50).book
    >>> denoised = fs.denoise_book(book, Expects10000(), ratio=2.0)
    >>> bool(np.nanmax(book.notional[:, 0, 0]) > 20_000), bool(np.nanmax(denoised.notional[:, 0, 0]) <= 20_000)
    (True, True)
    """
    if ratio is not None:
        check_number("ratio", ratio)
    if ratio is not None and not ratio > 1:
        raise ConfigError(f"ratio must be above 1, or None to rebuild every level, got {words_for(ratio)}; try 8")
    names = getattr(model, "names_", None)
    if names is None:
        raise ConfigError("the model is not fitted; fit it on fs.book_features(book, names) before denoise_book")
    at = {name.removeprefix("log_"): i for i, name in enumerate(names) if is_notional(name)}
    if not at:
        raise ConfigError(
            f"the model has no feature that is the notional of a level, got {few(names)}; fit it on features such as "
            f"log_bids_notional_0"
        )
    features = book_features(book, names)
    rows, _ = book.grid_rows()
    rebuilt = model.reconstruct(features)[rows, 0]
    notional = book.notional.copy()
    for column, i in at.items():
        side, _, level = column.partition("_notional_")
        shown = notional[:, SIDES.index(side), int(level)]
        expected = rebuilt[:, i] if not names[i].startswith("log_") else np.expm1(rebuilt[:, i])
        expected = np.where(np.isnan(shown), np.nan, np.maximum(expected, 0.0))
        # If the expected value is NaN, the comparison is False and the level becomes NaN.
        kept = np.zeros(len(shown), dtype=bool) if ratio is None else shown <= ratio * expected
        shown[~kept] = expected[~kept]
    return replace(book, notional=notional)


def is_notional(name: str) -> bool:
    """Whether a feature is the notional of a level, or its log.

    >>> is_notional("log_bids_notional_3"), is_notional("bids_limit_notional_3")
    (True, False)
    """
    column = name.removeprefix("log_")
    return column in BOOK_COLUMNS and column.startswith(("bids_notional_", "asks_notional_"))

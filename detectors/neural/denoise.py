"""Order books without depth that a model of usual books does not expect."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from foreshock.data.books.orderbook import BOOK_COLUMNS, SIDES, Book
from foreshock.data.checks import check_number
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few
from foreshock.data.show.shown import shown as words_for
from foreshock.engine.features.book import book_features
from foreshock.engine.features.features import Features


class Rebuilds(Protocol):
    """A fitted model of book features that rebuilds its rows; every network detector is one."""

    names_: tuple[str, ...]

    def reconstruct(self, features: Features) -> np.ndarray: ...


def denoise_book(book: Book, model: Rebuilds, ratio: float | None = 8.0) -> Book:
    """The book with depth that the model does not expect taken out.

    With q the value at a level and r what ``model.reconstruct`` makes of it, the level becomes r where q > ratio * r and stays q
    elsewhere: spoofs and flickers add depth, and what is usual is better known from the book than from any model. With
    ``ratio=None`` every level becomes r. Row t uses the rows that the model uses for t, and no later one.

    Parameters
    ----------
    book : Book
    model : detector
        Fitted on ``book_features`` with ``log_bids_notional_0`` and its like among them, or the same without ``log_``. Only the
        levels that the model knows are changed. ``conv_autoencoder`` is meant; anything that reconstructs will do.
    ratio : float, optional
        Above 1; None to rebuild every level.

    Returns
    -------
    Book
        Like ``book`` but for ``notional``. A level that is not known stays unknown; a level that the model cannot rebuild, as its
        window has an unknown value, is unknown (NaN) as well.

    Raises
    ------
    ConfigError
        If the model does not know the notional of any level, or the ratio is not above 1.
    """
    if ratio is not None:
        check_number("ratio", ratio)
    if ratio is not None and not ratio > 1:
        raise ConfigError(f"ratio must be above 1, or None to rebuild every level, got {words_for(ratio)}; try 8")
    names = getattr(model, "names_", None)
    if names is None:
        raise ConfigError("the model is not fitted; fit it on book_features(book, names) before denoise_book")
    at = {name.removeprefix("log_"): i for i, name in enumerate(names) if is_notional(name)}
    if not at:
        raise ConfigError(
            f"the model knows the notional of no level; fit it on features such as log_bids_notional_0, got {few(names)}"
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
        # Where nothing is expected, because a value was unknown, nothing is known.
        kept = np.zeros(len(shown), dtype=bool) if ratio is None else shown <= ratio * expected
        shown[~kept] = expected[~kept]
    return replace(book, notional=notional)


def is_notional(name: str) -> bool:
    """Whether a feature is the value at a level, or its log.

    >>> is_notional("log_bids_notional_3"), is_notional("bids_limit_notional_3")
    (True, False)
    """
    column = name.removeprefix("log_")
    return column in BOOK_COLUMNS and column.startswith(("bids_notional_", "asks_notional_"))

"""The repr of a detector or another estimator: its parameters that differ from their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from data.facts import Shown
from data.shown import shown


class ShownParameters(Shown):
    """Shows an estimator by its changed parameters instead of by scikit-learn's HTML diagram.

    >>> import foreshock as fs
    >>> fs.make_detector("zscore"), fs.make_detector("isolation_forest", n_estimators=50)
    (ZScore(), IsolationForest(n_estimators=50))
    """

    def _facts(self) -> Iterator[str]:
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name, None)
            if value is not parameter.default and shown(value) != shown(parameter.default):
                yield f"{name}={shown(value)}"

    def _html_repr(self) -> str:
        """Overrides the method that scikit-learn calls to show an estimator in a notebook."""
        return self._repr_html_()

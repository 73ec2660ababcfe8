"""The repr of a detector or another estimator: its parameters that differ from their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown


class ShownParameters(Shown):
    """Shows an estimator by its changed parameters instead of by scikit-learn's HTML diagram.

    >>> import foreshock as fs
    >>> fs.make_detector("zscore"), fs.make_detector("isolation_forest", n_estimators=50)
    (ZScore(), IsolationForest(n_estimators=50))
    """

    def _facts(self) -> Iterator[str]:
        defaults: dict[str, object] = {}
        for kind in reversed(type(self).__mro__):
            if "__init__" in vars(kind):
                own = inspect.signature(vars(kind)["__init__"]).parameters.values()
                defaults |= {parameter.name: parameter.default for parameter in own if parameter.kind is not parameter.VAR_KEYWORD}
        for name, default in defaults.items():
            if hasattr(self, name) and getattr(self, name) is not default and shown(getattr(self, name)) != shown(default):
                yield f"{name}={shown(getattr(self, name))}"

    def _html_repr(self) -> str:
        """Overrides the method that scikit-learn calls to show an estimator in a notebook."""
        return self._repr_html_()

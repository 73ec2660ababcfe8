"""Parameters that a class shares with its bases, in scikit-learn's terms."""

from __future__ import annotations

import inspect

from sklearn.base import BaseEstimator


class ParametersOfBases(BaseEstimator):
    """An estimator whose subclasses name their own parameters in ``__init__`` and hand the others on by keyword."""

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Parameters of the class and of its bases."""
        names: set[str] = set()
        for base in cls.__mro__:
            if issubclass(base, BaseEstimator) and "__init__" in vars(base):
                parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
                names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"}
        return sorted(names)

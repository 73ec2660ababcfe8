"""Lets scikit-learn find the parameters that a class inherits from its bases."""

from __future__ import annotations

import inspect

from sklearn.base import BaseEstimator


class ParametersOfBases(BaseEstimator):
    """An estimator whose subclasses list only their own parameters in ``__init__`` and pass the others to the base by keyword."""

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Names of the parameters of the class and of its bases."""
        names: set[str] = set()
        for base in cls.__mro__:
            if issubclass(base, BaseEstimator) and "__init__" in vars(base):
                parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
                names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"}
        return sorted(names)

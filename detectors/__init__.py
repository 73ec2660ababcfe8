"""Anomaly detectors: features in, scores out.

The package can be called: ``fs.detectors()`` lists the names of the registered detectors.

>>> import foreshock as fs
>>> fs.detectors()[:3]
['zscore', 'iqr', 'mad']
"""

import sys
from types import ModuleType


class _CallableModule(ModuleType):
    def __call__(self) -> list[str]:
        from foreshock.detectors.registry import detectors

        return detectors()


sys.modules[__name__].__class__ = _CallableModule

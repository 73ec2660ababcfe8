"""foreshock: is the anomaly a foreshock, or only an aftershock?

Backtesting and signal validation for crypto-market anomaly detectors. The public names are listed in ``__init__.pyi`` and
loaded on first use, because vectorbt and scikit-learn take seconds to import.
"""

from pathlib import Path

from lazy_loader import attach_stub

_HERE = Path(__file__).resolve().parent
if (_HERE / "data").is_symlink() or not (_HERE / "data").is_dir():
    # In a checkout, foreshock.data, engine, detectors, strategies and reports are folders at the root of the repository.
    __path__.insert(0, str(_HERE.parent))

from foreshock.version import __version__ as __version__  # noqa: E402

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

"""foreshock: is the anomaly a foreshock, or only an aftershock?

Backtesting and signal validation for crypto-market anomaly detectors. The public names are listed in ``__init__.pyi`` and
loaded on first use, because vectorbt and scikit-learn take seconds to import.
"""

from pathlib import Path

from lazy_loader import attach_stub

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
if not (_HERE / "data").is_dir() or ((_ROOT / "hatch_build.py").is_file() and (_ROOT / "data" / "bars.py").is_file()):
    # In a checkout, foreshock.data, engine, detectors, strategies and reports are folders at the root of the repository. What else
    # is called foreshock/data there, a link or a folder of an older version, does not matter.
    __path__.insert(0, str(_ROOT))

from foreshock.data.system.kernel_cache import choose_kernel_cache  # noqa: E402
from foreshock.version import __version__ as __version__  # noqa: E402

choose_kernel_cache(Path(__path__[0]))

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

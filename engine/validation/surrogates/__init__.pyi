from .calibration import Measured as Measured
from .calibration import measured as measured
from .histories import Surrogates as Surrogates
from .histories import fit_surrogates as fit_surrogates
from .significance import Rescorer as Rescorer
from .significance import SurrogateTest as SurrogateTest
from .significance import surrogate_test as surrogate_test

from .judging import MIN_SURROGATES as MIN_SURROGATES
from .judging import Judging as Judging
from .verdict import LEVEL as LEVEL
from .verdict import MIN_EFFECTIVE as MIN_EFFECTIVE
from .verdict import MIN_EVENTS as MIN_EVENTS
from .verdict import Surrogate as Surrogate
from .verdict import Verdict as Verdict
from .verdict import decide as decide

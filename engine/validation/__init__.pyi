from .judging import Judging as Judging
from .verdict import Surrogate as Surrogate
from .verdict import Verdict as Verdict
from .verdict import decide as decide

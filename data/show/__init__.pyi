from .facts import Shown as Shown
from .facts import counted as counted
from .facts import grid_facts as grid_facts
from .facts import span_facts as span_facts
from .facts import symbols_fact as symbols_fact
from .shown import few as few
from .shown import one_line as one_line

from .order import strategy_kind as strategy_kind
from .order import verdict_kind as verdict_kind
from .page import StudyReport as StudyReport
from .page import study_excerpt as study_excerpt

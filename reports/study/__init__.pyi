from .page import StudyReport as StudyReport
from .page import study_excerpt as study_excerpt

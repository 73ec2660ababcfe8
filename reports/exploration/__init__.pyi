from .page import EdaReport as EdaReport
from .page import headline as headline
from .tables import heat_table as heat_table

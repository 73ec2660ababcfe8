from .filtered import GarchFilter as GarchFilter
from .report import risk_report as risk_report
from .student_excess import StudentExcess as StudentExcess
from .tail import ParetoTail as ParetoTail
from .value_at_risk import cornish_fisher_quantile as cornish_fisher_quantile
from .value_at_risk import gaussian_quantile as gaussian_quantile
from .value_at_risk import historical_cvar as historical_cvar
from .value_at_risk import historical_var as historical_var

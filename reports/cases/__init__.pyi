from .page import CasesReport as CasesReport

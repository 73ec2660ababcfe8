from .page import FactorReport as FactorReport

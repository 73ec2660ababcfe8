from .page import ComparisonReport as ComparisonReport

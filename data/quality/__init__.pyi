from .clean import QualityReport as QualityReport

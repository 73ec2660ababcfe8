from .page import EdaReport as EdaReport

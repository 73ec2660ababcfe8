from .adapt import adapted as adapted
from .estimator import EstimatorDetector as EstimatorDetector
from .function import FunctionDetector as FunctionDetector
from .scores import PrecomputedScores as PrecomputedScores

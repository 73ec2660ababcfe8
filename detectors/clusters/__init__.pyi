from .regimes import KMeansRegime as KMeansRegime
from .regimes import Regimes as Regimes
from .regimes import walk_forward_regimes as walk_forward_regimes
from .stream import RegimeStream as RegimeStream

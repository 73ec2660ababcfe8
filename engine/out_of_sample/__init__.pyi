from .causality import Audit as Audit
from .causality import audit as audit
from .combinatorial import CombinatorialSplits as CombinatorialSplits
from .cross_validation import combinatorial_scores as combinatorial_scores
from .splits import WalkForward as WalkForward
from .walk_forward import FittedFolds as FittedFolds
from .walk_forward import fit_walk_forward as fit_walk_forward

from .description import autocorrelation as autocorrelation
from .description import correlation as correlation
from .description import histogram as histogram
from .description import rank_within as rank_within
from .description import summarise as summarise
from .pareto import fit_pareto as fit_pareto
from .proportions import wilson as wilson
from .proportions import wilson_of_draws as wilson_of_draws

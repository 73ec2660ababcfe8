"""Whether generated return paths look like real ones: measures, the floor between two real samples, and controls."""

from foreshock.engine.realism.card import RealismCard as RealismCard
from foreshock.engine.realism.card import realism as realism
from foreshock.engine.realism.surrogates import gaussian_paths as gaussian_paths
from foreshock.engine.realism.surrogates import phase_shuffled_paths as phase_shuffled_paths

from .exploration import Exploration as Exploration
from .exploration import explore as explore
from .sections import PAIRED as PAIRED
from .sections import projection as projection

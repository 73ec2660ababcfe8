from .rungs import ControlFound as ControlFound
from .rungs import Found as Found
from .rungs import RungTable as RungTable
from .rungs import RungTest as RungTest

from .result import ControlFound as ControlFound
from .result import Found as Found
from .result import RungTest as RungTest
from .rungs import RungTable as RungTable

from .state import Stream as Stream
from .windows import LiveWindows as LiveWindows

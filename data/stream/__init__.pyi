from .state import Stream as Stream

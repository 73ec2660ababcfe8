from .forecast import ActivityForecast as ActivityForecast
from .stream import ActivityStream as ActivityStream

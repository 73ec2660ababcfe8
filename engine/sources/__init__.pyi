from .bars import BarSource as BarSource
from .books import BookSource as BookSource
from .given import FeatureSource as FeatureSource
from .source import Source as Source
from .windows import WindowSource as WindowSource

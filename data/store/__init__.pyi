from .export import export_series as export_series
from .export import find_series as find_series
from .findings import SeriesSummary as SeriesSummary
from .findings import StoreReport as StoreReport
from .series import SeriesKey as SeriesKey
from .snapshots import read_snapshots as read_snapshots
from .snapshots import trades_from_store as trades_from_store
from .store import Store as Store

from .history import fetch_history as fetch_history
from .history import load_bars as load_bars
from .history import load_trades as load_trades
from .history import stream_trades as stream_trades
from .order_books import Recorded as Recorded
from .order_books import load_book as load_book
from .order_books import record_book as record_book

from .flows import book_flows as book_flows
from .flows import book_from_ccxt as book_from_ccxt
from .flows import book_levels as book_levels
from .orderbook import BOOK_COLUMNS as BOOK_COLUMNS
from .orderbook import N_LEVELS as N_LEVELS
from .orderbook import Book as Book
from .orderbook import read_book as read_book

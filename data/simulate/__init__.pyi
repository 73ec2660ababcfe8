from .book import SimulatedBook as SimulatedBook
from .book import simulate_book as simulate_book
from .market import SimulatedMarket as SimulatedMarket
from .market import simulate_market as simulate_market
from .trades import bar_trades as bar_trades

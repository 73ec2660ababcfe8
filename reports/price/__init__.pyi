from .chart import PriceHistory as PriceHistory

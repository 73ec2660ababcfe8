"""The one home of ccxt: public history of any exchange, page by page, none lost and none invented."""

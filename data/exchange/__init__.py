"""The only package that uses ccxt: public history of any exchange, page by page, without losing or inventing rows."""

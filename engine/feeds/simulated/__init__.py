"""The built-in market: seeded, without a network, with books, trades, marks and funding (DESIGN 2)."""

"""Backpack public market data, spot and perpetuals (venues/backpack.md)."""

"""Binance public market data (venues/binance.md): USD-M live, USD-M and spot frames for recordings."""

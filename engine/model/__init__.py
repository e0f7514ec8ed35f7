"""The nouns: money, instruments, market data, orders, positions, accounts, signals, events."""

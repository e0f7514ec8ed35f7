"""The trading engine: everything that decides, trades and remembers; knows nothing about screens."""

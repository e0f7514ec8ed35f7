"""Market data: live streams, recordings and simulated markets."""

"""Where market data come from: live public streams, recordings and the simulated market, all behind one interface."""

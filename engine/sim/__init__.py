"""A simulated world: virtual time, a faulty network, a fake exchange and its market, all of it from one seed."""

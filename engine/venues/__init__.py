"""Adapters to exchanges, real and simulated, behind one protocol."""

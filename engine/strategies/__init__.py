"""Indicators and strategies: pure functions of their inputs."""

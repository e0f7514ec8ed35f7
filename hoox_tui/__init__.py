"""Hoox TUI: a fast trading desk for the terminal."""

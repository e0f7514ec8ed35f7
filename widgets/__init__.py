"""Panes of the desk: one a file, drawn from read models, owning no trading state."""

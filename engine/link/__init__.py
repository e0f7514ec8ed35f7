"""How a screen talks to an engine, in-process or over a Unix socket."""

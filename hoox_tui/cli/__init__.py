"""The command line of Hoox. One module per command group; what is heavy is imported where it is used."""

import gc


def main() -> None:
    """Run the command line."""
    # Imports make many objects and no garbage: an eighth of the start is saved. What runs long switches it on again.
    gc.disable()
    from hoox_tui.cli.root import app

    app(prog_name="hoox")

"""The command line of Hoox. One module per command group; what is heavy is imported where it is used."""

import gc
import sys


def main() -> None:
    """Run the command line."""
    # Imports make many objects and no garbage: an eighth of the start is saved. What runs long switches it on again.
    gc.disable()
    if len(sys.argv) == 1:
        _open_desk()
    else:
        from hoox_tui.cli.root import app

        app(prog_name="hoox")


def _open_desk() -> None:
    """`hoox` alone: there is nothing to parse, and without the parser the desk is there a tenth of a second sooner."""
    # A Ctrl-C now ends it, with nothing to tidy up, whatever is half imported.
    from signal import SIG_DFL, SIGINT, signal

    signal(SIGINT, SIG_DFL)
    from hoox_tui.cli.problems import told
    from hoox_tui.cli.show import open_desk
    from hoox_tui.settings import load

    with told():
        open_desk(load({}), in_process=False)

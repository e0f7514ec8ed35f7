"""The command line of Hoox. One module per command group; what is heavy is imported where it is used."""


def main() -> None:
    """Run the command line."""
    from hoox_tui.cli.root import app

    app(prog_name="hoox")

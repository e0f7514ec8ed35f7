"""hoox bench: the figures of this machine. The benchmarks come with a checkout, not with an installed package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from hoox_tui.cli.options import Json
from hoox_tui.cli.problems import Problem

app = typer.Typer()


@app.command()
def bench(
    as_json: Json = False,
    only: Annotated[str, typer.Option(help="Some of them, with commas between.", metavar="NAMES")] = "",
) -> None:
    """Measure this machine: ticks, orders, durability, replay, and a busy desk. Takes about three minutes."""
    import hoox_tui

    root = Path(hoox_tui.__file__).parents[1]
    if not (root / "benchmarks" / "run.py").is_file():
        raise Problem(f"bench: {root} holds no benchmarks; run it from a checkout of the project")
    arguments = [*(["--json"] if as_json else []), *(["--only", only] if only else [])]
    done = subprocess.run([sys.executable, "-m", "benchmarks.run", *arguments], cwd=root, check=False)
    raise typer.Exit(done.returncode)

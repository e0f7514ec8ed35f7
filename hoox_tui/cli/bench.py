"""hoox bench: how fast this machine runs the desk. The benchmarks live beside the source, not in the installed package."""

from __future__ import annotations

import typer

from hoox_tui.cli.problems import Problem

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(ctx: typer.Context) -> None:
    """Measure all of it, or groups: ticks, ledger, latency, signals, desk; --json prints JSON. Runs from a checkout of the source."""
    import subprocess
    import sys
    from pathlib import Path

    root = Path(__file__).parents[2]
    if not (root / "benchmarks" / "run.py").is_file():
        raise Problem(f"there are no benchmarks in {root / 'benchmarks'}; run hoox bench from a checkout of the source")
    done = subprocess.run([sys.executable, "-m", "benchmarks.run", *ctx.args], cwd=root, check=False)
    raise typer.Exit(done.returncode)

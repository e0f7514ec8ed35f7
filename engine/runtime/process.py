"""An engine as a process: its signals, its loop, and how patient its threads are with each other."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

from engine.runtime.config import EngineConfig
from engine.runtime.engine import Engine


async def serve(config: EngineConfig) -> None:
    """Run an engine until it is told to stop; SIGTERM, SIGINT and a closed terminal tell it."""
    engine = Engine(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, engine.request_stop, signal.Signals(number).name)
    await engine.start()
    # What a start leaves lives as long as the engine: no collection walks over it again.
    gc.collect()
    gc.freeze()
    reason = await engine.wait()
    await engine.stop(reason)


def run_engine(config: EngineConfig) -> None:
    """Run an engine in this process; raises StartError."""
    # A tick must not wait for what the writer's thread computes, 5 ms as Python has it.
    sys.setswitchinterval(0.0005)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(config))
    else:
        uvloop.run(serve(config))

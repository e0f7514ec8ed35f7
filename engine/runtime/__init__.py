"""Wires feeds, core, ledger and link into one engine; owns the loop, the tasks and the shutdown order."""

from engine.runtime.config import EngineConfig, StartError
from engine.runtime.engine import Engine
from engine.runtime.process import run_engine

__all__ = ["Engine", "EngineConfig", "StartError", "run_engine"]

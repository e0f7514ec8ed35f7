"""Pilots look more often whether the app is idle: Textual waits 20 ms and more after every key, half of a run's time."""

from __future__ import annotations

from textual import _wait

_wait.SLEEP_GRANULARITY /= 5
_wait.SLEEP_IDLE /= 5

"""Pilots look more often whether the app is idle: Textual waits 20 ms and more after every key, half of a run's time."""

from __future__ import annotations

import gc

from textual import _wait

_wait.SLEEP_GRANULARITY /= 5
_wait.SLEEP_IDLE /= 5

# An app is thousands of objects in cycles: looking for them after every few hundred takes an eighth of a run.
gc.set_threshold(100_000, 20, 20)

"""A fair price that moves like a market's: volatility that clusters and reverts, no drift away from its anchor."""

from __future__ import annotations

import math
import random

BEAT_S = 0.1
"""How often moods change; prices move with every event."""

_YEAR_S = 365 * 86_400.0
_ANCHOR_S = 4 * 86_400.0
"""How slowly the price is drawn back; keeps it plausible for days."""


class Mood:
    """A mean-reverting quantity around 0 with a relaxation time and a standard deviation; steps of BEAT_S."""

    def __init__(self, rng: random.Random, relaxation_s: float, std: float) -> None:
        self._gauss = rng.gauss
        self._keep = math.exp(-BEAT_S / relaxation_s)
        self._noise = std * math.sqrt(1 - self._keep**2)
        self.value = rng.gauss(0.0, std)

    def beat(self) -> float:
        """BEAT_S passed; returns the new value."""
        self.value = self.value * self._keep + self._gauss(0.0, self._noise)
        return self.value


class FairPrice:
    """The latent price of one symbol, in quote units, and how excited its market is now.

    Log-volatility is the sum of a slow and a fast mood: quiet hours, busy minutes.
    """

    def __init__(self, rng: random.Random, price: float, volatility: float) -> None:
        self._gauss = rng.gauss
        self._anchor = math.log(price)
        self._log = self._anchor
        self._sigma = volatility / math.sqrt(_YEAR_S)
        self._slow = Mood(rng, 900.0, 0.4)
        self._fast = Mood(rng, 45.0, 0.35)
        self.value = price
        self.activity = 1.0
        """Volatility now over calm volatility, about 0.3 to 5."""
        self.beat()

    def beat(self) -> None:
        """Let the mood change."""
        self.activity = math.exp(min(1.6, self._slow.beat() + self._fast.beat()))

    def advance(self, dt_s: float) -> float:
        """Let `dt_s` seconds pass; returns the price."""
        pull = (self._anchor - self._log) * dt_s / _ANCHOR_S
        self._log += pull + self._gauss(0.0, self._sigma * self.activity * math.sqrt(dt_s))
        self.value = math.exp(self._log)
        return self.value

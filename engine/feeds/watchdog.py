"""Finds the dead stream on a live socket (venue doc binance 1.1). Pure: times come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.model.instrument import InstrumentId

StreamKey = tuple[InstrumentId, str]
"""(instrument, stream): stream is quote | depth | trade | mark."""


class Watchdog:
    """Remembers when each watched stream last spoke. Streams without a limit are not watched: they may be quiet."""

    def __init__(self, streams: Iterable[StreamKey], limits_s: Mapping[str, float], now_ns: int) -> None:
        self._limits = {key: int(limits_s[key[1]] * 1e9) for key in streams if key[1] in limits_s}
        self._heard = dict.fromkeys(self._limits, now_ns)
        self._since_ns = self._last_ns = now_ns

    @property
    def period_s(self) -> float | None:
        """How often to look: a quarter of the shortest limit; None when nothing is watched."""
        return min(self._limits.values()) / 4e9 if self._limits else None

    def heard(self, key: StreamKey, now_ns: int) -> None:
        """A stream said something that can be used."""
        self._last_ns = now_ns
        if key in self._heard:
            self._heard[key] = now_ns

    def silent(self, now_ns: int) -> list[StreamKey]:
        """Streams that have said nothing for longer than their limit."""
        return [key for key, limit in self._limits.items() if now_ns - self._heard[key] > limit]

    def alive(self, now_ns: int) -> bool:
        """Some stream of the socket, watched or not, spoke within the shortest limit."""
        return now_ns - self._last_ns <= min(self._limits.values(), default=0)

    def mute(self) -> set[StreamKey]:
        """Watched streams that have said nothing at all."""
        return {key for key, heard_ns in self._heard.items() if heard_ns == self._since_ns}

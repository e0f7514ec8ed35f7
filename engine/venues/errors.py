"""Everything that can go wrong between us and a venue, sorted by what may be done about it (DESIGN 8)."""

from __future__ import annotations


class VenueError(Exception):
    """A call to a venue did not succeed. The text is for a person and holds no secret."""


class Refused(VenueError):
    """The venue understood and said no; asking again gives the same answer. `code` is the venue's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code


class NotFound(Refused):
    """Asked for one order by its client id, the venue has none of that name (and is not merely late)."""


class RateLimited(VenueError):
    """The venue did not look at the request; it may be asked again after `wait_s` (None: it did not say)."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Unreachable(VenueError):
    """The request provably never left: no name, no connection, a refused handshake. The same id may be sent again."""


class Ambiguous(VenueError):
    """The request left, and no answer that can be trusted came back. Ask what became of it; never send it again blind."""

"""What an HTTP answer, or none, proves about a request: the table every HTTP venue goes by."""

from __future__ import annotations

import pytest

from engine.venues.errors import Ambiguous, NotFound, RateLimited, Refused, Unreachable, VenueError
from engine.venues.http import Codes, retry_after, sort_answer, unanswered, unreadable

CODES = Codes(missing=frozenset({"-2013"}), limited=frozenset({"-1003"}), unsure=frozenset({"-1007"}))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "-2019", Refused),
        (401, "-2015", Refused),
        (403, "-4000", Refused),
        (404, "-2013", NotFound),
        (400, "-2013", NotFound),
        # Nobody who knows has spoken: a firewall's page, a proxy's, a redirect.
        (400, "", Ambiguous),
        (403, "", Ambiguous),
        (404, "", Ambiguous),
        (301, "", Ambiguous),
        (100, "", Ambiguous),
        # The venue itself does not know.
        (400, "-1007", Ambiguous),
        (408, "-1", Ambiguous),
        (500, "", Ambiguous),
        (502, "", Ambiguous),
        (503, "-1008", Ambiguous),
        (504, "-2013", Ambiguous),
        (500, "-1003", Ambiguous),
        (429, "", RateLimited),
        (429, "-1015", RateLimited),
        (418, "", RateLimited),
        (400, "-1003", RateLimited),
    ],
)
def test_an_answer_is_sorted_by_what_it_proves(status: int, code: str, kind: type[VenueError]) -> None:
    error = sort_answer(status, {}, code, "why", CODES)
    assert type(error) is kind
    assert "why" in str(error)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_is_no_error(status: int) -> None:
    assert sort_answer(status, {}, "", "", CODES) is None


def test_a_refusal_keeps_the_venues_code() -> None:
    error = sort_answer(400, {}, "-2019", "Margin is insufficient.", CODES)
    assert isinstance(error, Refused)
    assert (error.code, str(error)) == ("-2019", "-2019: Margin is insufficient.")


def test_a_rate_limit_says_how_long_to_wait() -> None:
    limited = sort_answer(429, {"retry-after": "7"}, "", "", CODES)
    unsaid = sort_answer(418, {}, "", "", CODES)
    assert isinstance(limited, RateLimited)
    assert isinstance(unsaid, RateLimited)
    assert (limited.wait_s, unsaid.wait_s) == (7.0, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("0", 0.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("inf", None), ("soon", None), ("", None)],
)
def test_a_wait_that_is_no_number_is_not_said(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}) == seconds


def test_silence_is_ambiguous_unless_it_is_proven_that_nothing_left() -> None:
    assert type(unanswered(TimeoutError(), sent=True)) is Ambiguous
    assert type(unanswered(ConnectionRefusedError("refused"), sent=False)) is Unreachable
    assert str(unanswered(TimeoutError(), sent=True)) == "TimeoutError"


def test_an_answer_that_cannot_be_read_proves_nothing() -> None:
    assert type(unreadable(200, b"{", ValueError("cut off"))) is Ambiguous

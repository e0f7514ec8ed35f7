"""A mail is a signal only of who sent it for certain, by the receiving server's own word."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.intake.mail import Letter, read_mail
from engine.intake.text import Problem

SERVER = "mx.desk.example"
ARRIVED = datetime(2026, 1, 31, 12, tzinfo=UTC)
PASSED = f"{SERVER}; dkim=pass header.d=alerts.example; spf=none"
TEXT = "action: LONG\r\nsymbol: BTCUSDT\r\nquantity: 0.01\r\nexchange: paper\r\ntest: true"


def mail(*results: str, text: str = TEXT, sender: str = "Bot <bot@alerts.example>", more: str = "") -> bytes:
    said = "".join(f"Authentication-Results: {result}\r\n" for result in results)
    head = f"From: {sender}\r\nMessage-ID: <1@alerts.example>\r\n{more}Content-Type: text/plain; charset=utf-8\r\n\r\n"
    return (said + head + text).encode()


def read(raw: bytes) -> Letter:
    return read_mail(raw, SERVER, ARRIVED)


def refused(raw: bytes) -> str:
    with pytest.raises(Problem) as caught:
        read(raw)
    return caught.value.code


def test_lines_and_json_say_the_same() -> None:
    lines = read(mail(PASSED))
    json = read(
        mail(PASSED, text='{"action":"LONG","symbol":"BTCUSDT","quantity":"0.01","exchange":"paper","test":true}')
    )
    assert lines.fields == json.fields
    assert lines.fields["test"] is True
    assert lines.fields["time"] == "2026-01-31T12:00:00+00:00"
    assert lines.sender == "bot@alerts.example"
    assert lines.key == json.key


@pytest.mark.parametrize(
    "result",
    [
        f"{SERVER}; spf=pass smtp.mailfrom=bounce@alerts.example",
        f"{SERVER} 1; dkim=fail header.d=alerts.example; dkim=pass (2048-bit (rsa)) header.d=alerts.example",
        f"{SERVER}; dkim=pass header.i=@alerts.example header.d=Alerts.Example header.b=abc+/",
    ],
)
def test_a_pass_for_the_senders_own_domain_is_enough(result: str) -> None:
    assert read(mail(result)).sender == "bot@alerts.example"


@pytest.mark.parametrize(
    "results",
    [
        (),
        ("mx.elsewhere.example; dkim=pass header.d=alerts.example",),
        # What stands below the receiving server's line may be the sender's own.
        (f"{SERVER}; dkim=fail header.d=alerts.example", PASSED),
        ("mx.elsewhere.example; dkim=none", PASSED),
        (f"{SERVER}; dkim=fail header.d=alerts.example",),
        (f"{SERVER}; dkim=pass header.d=evil.example",),
        (f"{SERVER}; dkim=pass header.d=example",),
        (f"{SERVER}; dkim=pass header.d=evil.example header.d=alerts.example",),
        (f"{SERVER}; spf=pass smtp.helo=alerts.example",),
        (f"{SERVER}; spf=pass smtp.mailfrom=x@alerts.example.evil.example",),
        (f"{SERVER}; spf=fail (dkim=pass header.d=alerts.example) smtp.mailfrom=evil.example",),
        (f'{SERVER}; spf=fail smtp.mailfrom="x; dkim=pass header.d=alerts.example"@evil.example',),
        (f"{SERVER}; spf=fail smtp.mailfrom=evil.example) ; dkim=pass header.d=alerts.example",),
        (f"{SERVER}.evil.example; dkim=pass header.d=alerts.example",),
        (f"{SERVER}; x-dkim=pass header.d=alerts.example",),
        # An address may look like an encoded word: decoded, it would be another verdict.
        (f"{SERVER}; spf=fail smtp.mailfrom==?utf-8?q?x=3B_dkim=3Dpass_header.d=3Dalerts.example=3B?=@evil.example",),
        (f"{SERVER}; spf=fail smtp.mailfrom=x =?utf-8?q?=3B_dkim=3Dpass_header.d=3Dalerts.example?=",),
    ],
)
def test_nobody_is_believed_who_could_be_somebody_else(results: tuple[str, ...]) -> None:
    assert refused(mail(*results)) == "BAD_SIGNATURE"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (mail(PASSED, sender="bot@alerts.example, other@alerts.example"), "BAD_FIELD"),
        (mail(PASSED, more="From: other@alerts.example\r\n"), "BAD_FIELD"),
        (mail(PASSED, more="Message-ID: <2@alerts.example>\r\n"), "BAD_FIELD"),
        (mail(PASSED, text="hello\r\naction: LONG"), "BAD_FIELD"),
        (mail(PASSED, text="action: LONG\r\naction: SHORT"), "DUPLICATE_FIELD"),
        (mail(PASSED, text='{"action":"LONG","action":"SHORT"}'), "DUPLICATE_FIELD"),
        (mail(PASSED, text="action: " + "x" * 9_000), "TOO_LARGE"),
        (mail(PASSED, text="x" * 300_000), "TOO_LARGE"),
        (mail(PASSED).replace(b"text/plain", b"text/html"), "BAD_FIELD"),
        (b"", "BAD_FIELD"),
    ],
)
def test_a_mail_that_could_be_read_in_two_ways_is_refused(raw: bytes, code: str) -> None:
    assert refused(raw) == code

"""A mail is a signal only of who sent it for certain, by the receiving server's own word."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from engine.intake.mail import Envelope, Letter, read_envelope, read_letter
from engine.intake.text import Problem

SERVER = "mx.desk.example"
PASSED = f"{SERVER}; dkim=pass header.d=alerts.example; spf=none"
TEXT = "action: LONG\r\nsymbol: BTCUSDT\r\nquantity: 0.01\r\nexchange: paper\r\ntest: true"


def mail(*results: str, text: str = TEXT, sender: str = "Bot <bot@alerts.example>", more: str = "") -> bytes:
    said = "".join(f"Authentication-Results: {result}\r\n" for result in results)
    head = f"From: {sender}\r\nMessage-ID: <1@alerts.example>\r\n{more}Content-Type: text/plain; charset=utf-8\r\n\r\n"
    return (said + head + text).encode()


class Mail(NamedTuple):
    envelope: Envelope
    letter: Letter


def read(raw: bytes) -> Mail:
    return Mail(read_envelope(raw, SERVER), read_letter(raw))


def refused(raw: bytes) -> str:
    with pytest.raises(Problem) as caught:
        read(raw)
    return caught.value.code


def test_lines_and_json_say_the_same() -> None:
    lines = read(mail(PASSED))
    json = read(
        mail(PASSED, text='{"action":"LONG","symbol":"BTCUSDT","quantity":"0.01","exchange":"paper","test":true}')
    )
    assert lines.letter.fields == json.letter.fields
    assert lines.letter.fields["test"] is True
    assert lines.envelope == json.envelope
    assert lines.envelope.sender == "bot@alerts.example"


@pytest.mark.parametrize(
    "result",
    [
        f"{SERVER}; spf=pass smtp.mailfrom=bounce@alerts.example",
        f"{SERVER} 1; dkim=fail header.d=alerts.example; dkim=pass (2048-bit (rsa)) header.d=alerts.example",
        f"{SERVER}; dkim=pass header.i=@alerts.example header.d=Alerts.Example header.b=abc+/",
    ],
)
def test_a_pass_for_the_senders_own_domain_is_enough(result: str) -> None:
    assert read(mail(result)).envelope.sender == "bot@alerts.example"


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
    "sender",
    [
        "=?utf-8?q?bot?=@alerts.example",
        "<bot@alerts.example> other@alerts.example",
        "other@alerts.example <bot@alerts.example>",
        "bot@alerts.example (other@alerts.example)",
        '"other@alerts.example" <bot@alerts.example>',
        "=?utf-8?q?bot=40alerts.example=2C?= other@alerts.example",
        "b(x)ot@alerts.example",
        "bot@other.example@alerts.example",
        "bot",
        "",
    ],
)
def test_a_sender_who_could_be_another_at_the_same_domain_is_refused(sender: str) -> None:
    assert refused(mail(PASSED, sender=sender)) == "BAD_FIELD"


@pytest.mark.parametrize(
    "sender",
    [
        "bot@alerts.example",
        "<Bot@Alerts.Example>",
        '"Alerts, daily" <bot@alerts.example>',
        '"bot@alerts.example" <bot@alerts.example>',
        "=?utf-8?q?Gr=C3=BC=C3=9Fe?= <bot@alerts.example>",
        '"=?utf-8?q?Gr=C3=BC=C3=9Fe?="\r\n <bot@alerts.example>',
        "bot@alerts.example (night shift)",
    ],
)
def test_a_sender_may_be_called_as_mail_programs_write_it(sender: str) -> None:
    assert read(mail(PASSED, sender=sender)).envelope.sender == "bot@alerts.example"


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
        (b"", "BAD_SIGNATURE"),
    ],
)
def test_a_mail_that_could_be_read_in_two_ways_is_refused(raw: bytes, code: str) -> None:
    assert refused(raw) == code


def parts(*parts: str, kind: str = "mixed") -> bytes:
    """A mail of several parts, each its headers and its text."""
    text = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
    whole = mail(PASSED, text=text)
    return whole.replace(b"text/plain; charset=utf-8", f"multipart/{kind}; boundary=b".encode(), 1)


PLAIN = "Content-Type: text/plain\r\n"
LONG, SHORT = "\r\naction: LONG", "\r\naction: SHORT"


@pytest.mark.parametrize("kind", ["mixed", "alternative"])
def test_a_mail_with_two_texts_is_refused(kind: str) -> None:
    assert refused(parts(PLAIN + LONG, PLAIN + SHORT, kind=kind)) == "BAD_FIELD"
    inner = f'Content-Type: multipart/alternative; boundary="c"\r\n\r\n--c\r\n{PLAIN}{SHORT}\r\n--c--'
    assert refused(parts(PLAIN + LONG, inner, kind=kind)) == "BAD_FIELD"


@pytest.mark.parametrize(
    "beside",
    [
        f"{PLAIN}Content-Disposition: attachment; filename=chart.txt\r\n{SHORT}",
        f"Content-Type: text/html\r\n{SHORT}",
        f"Content-Type: message/rfc822\r\n\r\n{PLAIN}{SHORT}",
    ],
)
def test_what_is_no_text_of_the_mail_itself_does_not_count(beside: str) -> None:
    assert read(parts(PLAIN + LONG, beside)).letter.fields == {"action": "LONG"}


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (mail(PASSED, sender="a@b," * 60_000), "From"),
        (mail(PASSED, sender="bot@alerts.example" + " " * 2_048), "From"),
        (mail(PASSED, sender=f"{'(' * 1_020}\r\n {'(' * 1_040} bot@alerts.example"), "From"),
        (mail(PASSED + "; x=1" * 500), "Authentication-Results"),
        (mail(PASSED, more=f"Message-ID: <{'a.' * 1_200}b@alerts.example>\r\n"), "Message-ID"),
        (mail(PASSED, more=f"Content-Type: text/plain{'; a=b' * 500}\r\n"), "Content-Type"),
        (mail(PASSED, more=f"content-disposition: inline{'; a=b' * 500}\r\n"), "Content-Disposition"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_header_that_is_made_to_be_slow_is_refused_by_name_and_not_read(
    raw: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(raw) <= 256 * 1024
    read_by_the_library: list[str] = []
    monkeypatch.setattr("engine.intake.mail._parsed", lambda name, value: read_by_the_library.append(value))
    with pytest.raises(Problem, match=f"^{name}: longer than 2048 characters; shorten it") as caught:
        read_envelope(raw, SERVER)
    assert caught.value.code == "TOO_LARGE"
    assert read_by_the_library == []


def test_headers_that_are_not_read_may_be_as_long_as_mail_servers_make_them() -> None:
    long = "".join(f"X-Report-{number}: {'x' * 8_000}\r\n" for number in range(8))
    assert read(mail(PASSED, more=f"Subject: {'x' * 8_000}\r\n{long}")).envelope.sender == "bot@alerts.example"


@pytest.mark.parametrize("result", ["", f"{SERVER}; dkim=fail header.d=alerts.example"])
def test_nothing_a_stranger_wrote_is_read_before_the_servers_verdict(result: str) -> None:
    raw = mail(*filter(None, [result]), sender="(((" * 500, more="Message-ID: <2@x>\r\n", text="action: " + "x" * 9_000)
    assert refused(raw) == "BAD_SIGNATURE"

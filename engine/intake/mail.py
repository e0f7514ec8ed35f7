"""Mails as signals: who sent one, by what the receiving server found out, and what it says. Pure: bytes in, a Letter out.

Only the topmost Authentication-Results is believed, and only where it carries the receiving server's own name: what stands
below may be the sender's (RFC 8601, 1.6 and 5). DKIM or SPF must have passed for the domain in From.
"""

from __future__ import annotations

import re
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256
from typing import Any, NamedTuple

from engine.intake.schema import DERIVED
from engine.intake.text import Problem, named, read_object

LARGEST_MAIL = 256 * 1024
LARGEST_TEXT = 8 * 1024
_TRUTHS = {"true": True, "false": False}
_LINE = re.compile(r"([A-Za-z]{1,40})[ \t]*:[ \t]*(\S.*?)[ \t]*", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", re.ASCII)
_RESULT = re.compile(r"(dkim|spf)[ \t]*=[ \t]*([a-z]+)((?:[ \t]+[a-z]+\.[a-z]+[ \t]*=[ \t]*[^\s;=]+)*)", re.ASCII)


class Letter(NamedTuple):
    """A mail whose sender is known."""

    sender: str
    """The address in From, lower case."""
    key: str
    """What makes it unique: derived from its Message-ID."""
    fields: dict[str, Any]
    """As text.read_object gives them."""
    text: str


def read_mail(raw: bytes, authserv: str, arrived: datetime) -> Letter:
    """`authserv`: the receiving server's name for itself; `arrived`: when it took the mail. Raises Problem."""
    if len(raw) > LARGEST_MAIL:
        raise Problem("TOO_LARGE", "", f"the mail is larger than {LARGEST_MAIL} bytes")
    try:
        mail = message_from_bytes(raw, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        sender = _sender(mail)
        _check_sender(mail, sender, authserv)
        key = _key(mail)
        text = _text(mail)
    except Problem:
        raise
    except Exception:  # noqa: BLE001 - the library's parser fails in many ways on malformed mails; no trace, it may hold a body
        raise Problem("BAD_FIELD", "", "the mail is malformed") from None
    fields = read_object(text.encode())[0] if text.startswith("{") else _lines(text)
    # Its age is that of its arrival, where it does not say when it was written.
    fields.setdefault("time", arrived.isoformat(timespec="seconds"))
    return Letter(sender, key, fields, text)


def _sender(mail: EmailMessage) -> str:
    headers = mail.get_all("From", [])
    addresses = [address.addr_spec.lower() for header in headers for address in header.addresses]
    if len(headers) != 1 or len(addresses) != 1 or not _DOMAIN.fullmatch(addresses[0].rpartition("@")[2]):
        raise Problem("BAD_FIELD", "From", "one address is needed, no more and no less")
    return str(addresses[0])


def _check_sender(mail: EmailMessage, sender: str, authserv: str) -> None:
    domain = sender.rpartition("@")[2]
    # As it stands: decoded, what a sender wrote into an address could become a verdict.
    headers = [value for name, value in mail.raw_items() if name.lower() == "authentication-results"]
    server, *results = _without_comments(headers[0]).lower().split(";") if headers else [""]
    if server.split()[:1] != [authserv.lower()]:
        raise Problem(
            "BAD_SIGNATURE", "Authentication-Results", f"the topmost is not {authserv}'s: who sent it is not known"
        )
    for result in results:
        found = _RESULT.fullmatch(result.strip())
        if found and found[2] == "pass" and _aligned(found[1], found[3], domain):
            return
    raise Problem(
        "BAD_SIGNATURE",
        "Authentication-Results",
        f"neither DKIM nor SPF passed for {domain}: anybody may have sent it",
    )


def _aligned(method: str, properties: str, domain: str) -> bool:
    wanted = "header.d" if method == "dkim" else "smtp.mailfrom"
    values = [
        value for name, value in re.findall(r"([a-z]+\.[a-z]+)[ \t]*=[ \t]*([^\s;=]+)", properties) if name == wanted
    ]
    return len(values) == 1 and values[0].rpartition("@")[2] == domain


def _without_comments(header: str) -> str:
    """RFC 5322 comments, which may nest, taken out. What a sender could have written quotes into is not believed."""
    if '"' in header or "\\" in header:
        raise Problem("BAD_SIGNATURE", "Authentication-Results", "quotes in it: it cannot be read safely")
    depth, kept = 0, []
    for sign in header:
        depth += sign == "("
        if not depth:
            kept.append(" " if sign in "\r\n\t" else sign)
        if sign == ")":
            depth -= 1
            if depth < 0:
                raise Problem(
                    "BAD_SIGNATURE", "Authentication-Results", "unbalanced comments: it cannot be read safely"
                )
    if depth:
        raise Problem("BAD_SIGNATURE", "Authentication-Results", "unbalanced comments: it cannot be read safely")
    return "".join(kept)


def _key(mail: EmailMessage) -> str:
    ids = mail.get_all("Message-ID", [])
    if len(ids) != 1 or not str(ids[0]).strip():
        raise Problem("BAD_FIELD", "Message-ID", "one is needed: a mail delivered twice must count once")
    return f"{DERIVED}mail:{sha256(str(ids[0]).strip().encode()).hexdigest()}"


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    if part is None:
        raise Problem("BAD_FIELD", "", "the mail has no plain text: send text, not HTML alone")
    text = str(part.get_content()).strip()
    if len(text.encode()) > LARGEST_TEXT:
        raise Problem("TOO_LARGE", "", f"the mail's text is larger than {LARGEST_TEXT} bytes")
    return text


def _lines(text: str) -> dict[str, Any]:
    """`key: value`, one to a line, nothing else."""
    fields: dict[str, Any] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        found = _LINE.fullmatch(line)
        if not found:
            raise Problem("BAD_FIELD", "", "a line is not `key: value`; send those lines only, or one JSON object")
        name, value = found[1], found[2]
        if name in fields:
            raise Problem("DUPLICATE_FIELD", named(name), "given twice; which one counts would be a guess")
        fields[name] = _TRUTHS.get(value, value) if name == "test" else value
    return fields

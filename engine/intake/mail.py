"""Mails as signals: who sent one, by what the receiving server found out, and what it says. Pure: bytes in.

Only the topmost Authentication-Results is believed, and only where it carries the receiving server's own name: what stands
below may be the sender's (RFC 8601, 1.6 and 5). DKIM or SPF must have passed for the domain in From.

Anybody may send a mail, and the library's parsers take seconds for what is made to be slow. So a header is read only while
it is short, the server's verdict before all others, and a text only once its sender is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesHeaderParser
from hashlib import sha256
from typing import Any, NamedTuple

from engine.intake.schema import DERIVED
from engine.intake.text import Problem, named, read_object

LARGEST_MAIL = 256 * 1024
LARGEST_TEXT = 8 * 1024
LARGEST_HEADER = 2 * 1024
"""Characters of a header that is read; others may be as long as they like."""
_PARSED = ("Content-Disposition", "Content-Transfer-Encoding", "Content-Type", "MIME-Version")
"""Headers the library reads on its way to the text."""
_TRUTHS = {"true": True, "false": False}
_LINE = re.compile(r"([A-Za-z]{1,40})[ \t]*:[ \t]*(\S.*)", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", re.ASCII)
_BETWEEN = re.compile(r"[\s<>()\",;:]")
_RESULT = re.compile(r"(dkim|spf)[ \t]*=[ \t]*([a-z]+)((?:[ \t]+[a-z]+\.[a-z]+[ \t]*=[ \t]*[^\s;=]+)*)", re.ASCII)


class Envelope(NamedTuple):
    """Whose mail it is, for certain."""

    sender: str
    """The address in From, lower case."""
    key: str
    """What makes it unique: derived from its Message-ID."""


class Letter(NamedTuple):
    """What a mail says."""

    fields: dict[str, Any]
    """As text.read_object gives them."""
    text: str


def read_envelope(raw: bytes, authserv: str) -> Envelope:
    """`authserv`: the receiving server's name for itself. Raises Problem."""
    if len(raw) > LARGEST_MAIL:
        raise Problem("TOO_LARGE", "", f"the mail is larger than {LARGEST_MAIL} bytes")
    try:
        # The older policy: it takes headers apart and reads none.
        headers = list(BytesHeaderParser(policy=policy.compat32).parsebytes(raw).raw_items())
        domains = _vouched_for(_values(headers, "Authentication-Results"), authserv)
        senders, ids, *_ = [_values(headers, name) for name in ("From", "Message-ID", *_PARSED)]
        return Envelope(_sender(senders, domains), _key(ids))
    except Problem:
        raise
    except Exception:  # noqa: BLE001 - the library's parser fails in many ways on malformed mails; no trace, it may hold a body
        raise _malformed() from None


def read_letter(raw: bytes) -> Letter:
    """The text of a mail whose envelope was read. Raises Problem."""
    try:
        mail = message_from_bytes(raw, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        text = _text(mail)
    except Problem:
        raise
    except Exception:  # noqa: BLE001 - as above
        raise _malformed() from None
    return Letter(read_object(text.encode())[0] if text.startswith("{") else _lines(text), text)


def _malformed() -> Problem:
    return Problem("BAD_FIELD", "", "the mail is malformed")


def _values(headers: Sequence[tuple[str, str]], wanted: str) -> list[str]:
    """A header's values, none decoded; raises Problem for one that is too long to be read."""
    values = [value.lstrip() for name, value in headers if name.lower() == wanted.lower()]
    if any(len(value) > LARGEST_HEADER for value in values):
        raise Problem("TOO_LARGE", wanted, f"longer than {LARGEST_HEADER} characters; shorten it")
    return values


def _parsed(name: str, value: str) -> Any:
    return policy.default.header_fetch_parse(name, value)


def _sender(values: Sequence[str], vouched_for: frozenset[str]) -> str:
    addresses = [str(address.addr_spec).lower() for value in values for address in _parsed("From", value).addresses]
    domain = addresses[0].rpartition("@")[2] if addresses else ""
    # As it stands there, and no other beside it: a decoded one would be an address the mail server never looked at.
    said = {word for value in values for word in _BETWEEN.split(value.lower()) if "@" in word}
    if len(values) != 1 or len(addresses) != 1 or said != {addresses[0]} or not _DOMAIN.fullmatch(domain):
        raise Problem("BAD_FIELD", "From", "one address is needed, written out, and no other beside it")
    if domain not in vouched_for:
        raise _unknown(f"for {domain}")
    return addresses[0]


def _vouched_for(values: Sequence[str], authserv: str) -> frozenset[str]:
    """The domains for which DKIM or SPF passed, by the receiving server's word; raises Problem where there is none."""
    # Never decoded: what a sender wrote into an address could become a verdict.
    server, *results = _without_comments(values[0]).lower().split(";") if values else [""]
    if server.split()[:1] != [authserv.lower()]:
        raise Problem(
            "BAD_SIGNATURE", "Authentication-Results", f"the topmost is not {authserv}'s: who sent it is not known"
        )
    found = filter(None, (_RESULT.fullmatch(result.strip()) for result in results))
    domains = frozenset(filter(None, (_domain(it[1], it[3]) for it in found if it[2] == "pass")))
    if not domains:
        raise _unknown("for any domain")
    return domains


def _unknown(whom: str) -> Problem:
    return Problem(
        "BAD_SIGNATURE", "Authentication-Results", f"neither DKIM nor SPF passed {whom}: anybody may have sent it"
    )


def _domain(method: str, properties: str) -> str:
    """The domain that a method passed for; empty where that is not plain."""
    wanted = "header.d" if method == "dkim" else "smtp.mailfrom"
    values = [
        value for name, value in re.findall(r"([a-z]+\.[a-z]+)[ \t]*=[ \t]*([^\s;=]+)", properties) if name == wanted
    ]
    return values[0].rpartition("@")[2] if len(values) == 1 else ""


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


def _key(values: Sequence[str]) -> str:
    ids = [str(_parsed("Message-ID", value)).strip() for value in values]
    if len(ids) != 1 or not ids[0]:
        raise Problem("BAD_FIELD", "Message-ID", "one is needed: a mail delivered twice must count once")
    return f"{DERIVED}mail:{sha256(ids[0].encode()).hexdigest()}"


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    if part is None:
        raise Problem("BAD_FIELD", "", "the mail has no plain text: send text, not HTML alone")
    if sum(1 for _ in _texts(mail)) > 1:
        raise Problem("BAD_FIELD", "", "the mail has two plain texts; which one counts would be a guess: send one")
    text = str(part.get_content()).strip()
    if len(text.encode()) > LARGEST_TEXT:
        raise Problem("TOO_LARGE", "", f"the mail's text is larger than {LARGEST_TEXT} bytes")
    return text


def _texts(part: MIMEPart) -> Iterator[MIMEPart]:
    """Plain texts of a mail that a reader would be shown; what is attached, or is of a mail within, is none."""
    if part.get_content_maintype() == "multipart":
        for within in part.iter_parts():
            yield from _texts(within)
    elif part.get_content_type() == "text/plain" and not part.is_attachment():
        yield part


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

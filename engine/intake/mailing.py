"""Which mailbox is listened to, and what that takes: its address, its password in a file of its own, its server's name."""

from __future__ import annotations

import os
import stat
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from engine.intake.addresses import is_loopback


class MailboxError(RuntimeError):
    """The mailbox cannot be listened to; the message says why and what to do."""


class MailboxConfig(Struct, frozen=True, kw_only=True):
    """`url`: imaps://user@host:993/INBOX. The password is in a file of its own, so that no process list shows it."""

    url: str
    password_file: Path
    authserv: str
    """What the receiving server calls itself in Authentication-Results."""


class At(Struct, frozen=True):
    """A mailbox on its server."""

    host: str
    port: int
    user: str
    folder: str
    tls: bool


def where(url: str) -> At:
    """Raises MailboxError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # What could not be read may be of a password.
        raise MailboxError("mail: its host or port cannot be read; write imaps://user@host:993/INBOX") from None
    host, user = parts.hostname or "", unquote(parts.username or "")
    if parts.scheme not in ("imap", "imaps") or not host or not user or parts.password is not None:
        raise MailboxError(
            f"mail: {url.partition('//')[0]}… is not a mailbox; write imaps://user@host/INBOX, without the password"
        )
    if parts.scheme == "imap" and not is_loopback(host):
        raise MailboxError(f"mail: {host} would get the password in the clear; write imaps://")
    tls = parts.scheme == "imaps"
    return At(host, port or (993 if tls else 143), user, unquote(parts.path.strip("/")) or "INBOX", tls)


def read_password(path: Path) -> str:
    """Raises MailboxError."""
    try:
        info = path.stat()
        if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
            raise MailboxError(
                f"mail_password_file: {path} must be yours and readable by nobody else: chmod 600 {path}"
            )
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MailboxError(f"mail_password_file: {path} cannot be read: {type(error).__name__}") from None


def mailbox_config(url: str, password_file: Path | None, authserv: str) -> MailboxConfig:
    """Raises MailboxError where something is missing or cannot be meant, the mail library too."""
    where(url)
    if password_file is None or not authserv:
        missing = "mail_authserv" if password_file is not None else "mail_password_file"
        raise MailboxError(
            f"{missing}: missing; a mailbox needs the file with its password and the mail server's own name"
        )
    read_password(password_file)
    if find_spec("imapclient") is None:
        raise MailboxError("mail: the mail library is not installed: pip install 'hoox-tui[mail]'")
    return MailboxConfig(url=url, password_file=password_file, authserv=authserv)

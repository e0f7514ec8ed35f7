"""Where an engine's socket is, and whether that place and the other side can be trusted (DESIGN 9)."""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

MAX_PATH = 103
"""Bytes of a Unix socket's path; macOS holds 104 with the closing zero, Linux 108."""

_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1
_XUCRED_SIZE = 4 + 4 + 2 + 2 + 16 * 4
"""struct xucred: version, uid, group count, padding, groups."""


class UnsafeSocket(OSError):
    """The socket's folder, file or peer belongs to somebody else, or could; nothing was sent."""


class Socket(Protocol):
    """What asyncio and uvloop hand out for a socket, as far as it is used here."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """See socket.socket.getsockopt."""
        ...


def socket_folders() -> tuple[Path, ...]:
    """Where an engine of this user may listen, best first: its runtime folder, else one of its own in the temporary folder."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
    temporary = Path(tempfile.gettempdir()) / f"hoox-{os.geteuid()}"
    return (runtime / "hoox", temporary) if runtime.is_dir() else (temporary,)


def socket_paths(ledger: Path) -> tuple[Path, ...]:
    """Sockets at which the engine of a ledger may be found: the same for every spelling of its path.

    More than one, as a service and a login shell do not agree on the runtime folder.
    """
    digest = blake2b(os.fsencode(ledger.expanduser().resolve()), digest_size=8).hexdigest()
    return tuple(folder / f"{digest}.sock" for folder in socket_folders())


def socket_path(ledger: Path) -> Path:
    """The socket at which the engine of a ledger listens."""
    return socket_paths(ledger)[0]


def check_length(path: Path) -> None:
    """Raises UnsafeSocket when the system cannot hold so long a socket path."""
    size = len(os.fsencode(path))
    if size > MAX_PATH:
        raise UnsafeSocket(
            f"socket path {path} has {size} bytes, at most {MAX_PATH} work: set XDG_RUNTIME_DIR or TMPDIR to a shorter folder"
        )


def check_folder(folder: Path) -> None:
    """Raises UnsafeSocket unless `folder` is a real folder of this user that nobody else can enter; OSError when missing."""
    info = folder.lstat()
    if stat.S_ISLNK(info.st_mode):
        raise UnsafeSocket(f"socket folder {folder} is a symbolic link: remove it")
    if not stat.S_ISDIR(info.st_mode):
        raise UnsafeSocket(f"socket folder {folder} is not a folder: remove it")
    if info.st_uid != os.geteuid():
        raise UnsafeSocket(
            f"socket folder {folder} belongs to user {info.st_uid}, you are {os.geteuid()}: set XDG_RUNTIME_DIR or TMPDIR to a folder of yours"
        )
    if info.st_mode & 0o077:
        raise UnsafeSocket(
            f"socket folder {folder} is open to others (mode {info.st_mode & 0o777:o}): chmod 700 {folder}"
        )


def check_socket(path: Path) -> None:
    """Raises UnsafeSocket unless `path` is a socket of this user in a safe folder; OSError when missing."""
    check_length(path)
    check_folder(path.parent)
    info = path.lstat()
    if not stat.S_ISSOCK(info.st_mode) or info.st_uid != os.geteuid():
        raise UnsafeSocket(f"{path} is not a socket of yours: remove it")


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600, in a folder made 0700. Raises UnsafeSocket, OSError.

    A socket left there by a dead engine is replaced: the caller holds the ledger's lock, so no other engine serves it.
    """
    check_length(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_folder(path.parent)
    if os.path.lexists(path):
        check_socket(path)
        path.unlink()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(os.fspath(path))
        path.chmod(0o600)
        server.listen(32)
        server.setblocking(False)
    except OSError:
        server.close()
        raise
    return server


def peer_uid(connection: Socket) -> int:
    """The user on the other side of a connected Unix socket."""
    if sys.platform == "darwin":
        _, uid = struct.unpack_from("=II", connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_SIZE))
    else:
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)

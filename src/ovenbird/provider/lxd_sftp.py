"""A walk over a file system behind LXD's SFTP: what lies there, and not a byte of it.

There is no request here that could write, or read a file. Many folders are asked at once, since
each answer takes a while and they do not depend on each other.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from stat import S_ISDIR

from ovenbird.values.errors import EngineUnreachable

AT_ONCE = 64
_INIT, _VERSION, _CLOSE, _OPENDIR, _READDIR = 1, 2, 4, 11, 12
_STATUS, _HANDLE, _NAME = 101, 102, 104
_END, _NO_SUCH_FILE = 1, 2
_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 1, 2, 4, 8, 0x80000000


@dataclass(frozen=True, slots=True)
class Entry:
    """One path. ``changed_at`` is its modification time, in whole seconds: SFTP has no other."""

    mode: int
    uid: int
    gid: int
    size: int
    changed_at: int

    @property
    def is_folder(self) -> bool:
        return S_ISDIR(self.mode)


@dataclass(slots=True)
class _Asked:
    """A folder that we wait for; ``handle`` is None until it is open."""

    folder: str
    handle: bytes | None = None


def switched(stream: socket.socket, path: str) -> None:
    """Turn an HTTP connection to LXD into SFTP. Raises `EngineUnreachable` where LXD refuses."""
    request = f"GET {path} HTTP/1.1\r\nHost: lxd\r\nUpgrade: sftp\r\nConnection: Upgrade\r\n\r\n"
    stream.sendall(request.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Byte by byte: what follows the blank line is SFTP already.
        if not (byte := stream.recv(1)):
            break
        head += byte
    status = head.decode(errors="replace").partition("\r\n")[0]
    if " 101 " not in status:
        raise EngineUnreachable(
            "LXD does not show the files of an instance.",
            remedy="Comparing needs LXD 5.0 or later, and the instance's member to be online.",
            evidence=status or "it closed the connection",
        )


def walk(stream: socket.socket, *, skip: Collection[str]) -> dict[str, Entry]:
    """Return every path below ``/`` but those in ``skip`` and what is below them."""
    return _Walk(stream, skip).run()


class _Walk:
    def __init__(self, stream: socket.socket, skip: Collection[str]) -> None:
        self._stream, self._skip = stream, frozenset(skip)
        self._found: dict[str, Entry] = {}
        self._waiting: list[str] = ["/"]
        self._asked: dict[int, _Asked] = {}
        self._closing: set[int] = set()
        self._number = 0

    def run(self) -> dict[str, Entry]:
        self._send(_INIT, struct.pack(">I", 3))
        self._receive()
        while self._waiting or self._asked or self._closing:
            while self._waiting and len(self._asked) < AT_ONCE:
                folder = self._waiting.pop()
                self._ask(_OPENDIR, folder.encode(errors="surrogateescape"), _Asked(folder))
            self._hear(*self._receive())
        return self._found

    def _ask(self, kind: int, argument: bytes, asked: _Asked | None) -> None:
        self._number += 1
        if asked is None:
            self._closing.add(self._number)
        else:
            self._asked[self._number] = asked
        self._send(kind, struct.pack(">I", self._number) + _string(argument))

    def _hear(self, kind: int, packet: _Packet) -> None:
        number = packet.number()
        if number in self._closing:
            self._closing.remove(number)
            return
        asked = self._asked.pop(number)
        if kind == _HANDLE:
            asked.handle = packet.string()
            self._ask(_READDIR, asked.handle, asked)
        elif kind == _NAME and asked.handle is not None:
            for _ in range(packet.number()):
                self._note(asked.folder, packet)
            self._ask(_READDIR, asked.handle, asked)
        elif kind == _STATUS and (code := packet.number()) in (_END, _NO_SUCH_FILE):
            # A folder may go while we walk; it is then no part of what we saw.
            if asked.handle is not None:
                self._ask(_CLOSE, asked.handle, None)
        else:
            code = code if kind == _STATUS else kind
            raise EngineUnreachable(
                f"The folder {asked.folder} of an instance cannot be read.",
                remedy="Run this again; if it stays so, see LXD's log.",
                evidence=f"SFTP says {code}",
            )

    def _note(self, folder: str, packet: _Packet) -> None:
        name = packet.string().decode(errors="surrogateescape")
        packet.string()  # the same once more, as ls -l would write it
        entry = packet.entry()
        path = f"{folder.rstrip('/')}/{name}"
        if name in (".", "..") or path in self._skip:
            return
        self._found[path] = entry
        if entry.is_folder:
            self._waiting.append(path)

    def _send(self, kind: int, payload: bytes) -> None:
        self._stream.sendall(struct.pack(">IB", len(payload) + 1, kind) + payload)

    def _receive(self) -> tuple[int, _Packet]:
        (length,) = struct.unpack(">I", self._exactly(4))
        packet = self._exactly(length)
        return packet[0], _Packet(packet[1:])

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._stream.recv(min(length, 1 << 16))
            if not part:
                raise EngineUnreachable(
                    "LXD stopped showing the files of an instance in the middle.",
                    remedy="See whether it, or its member, is still there; then run this again.",
                )
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


class _Packet:
    """Reads one packet from its start to its end."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def number(self) -> int:
        return int(self._unpack(">I")[0])

    def string(self) -> bytes:
        length = self.number()
        self._at += length
        return self._content[self._at - length : self._at]

    def entry(self) -> Entry:
        flags = self.number()
        size = self._unpack(">Q")[0] if flags & _SIZE else 0
        uid, gid = self._unpack(">II") if flags & _OWNER else (0, 0)
        mode = self.number() if flags & _MODE else 0
        _, changed_at = self._unpack(">II") if flags & _TIMES else (0, 0)
        for _ in range(2 * self.number() if flags & _EXTENDED else 0):
            self.string()
        return Entry(mode, uid, gid, size, changed_at)

    def _unpack(self, form: str) -> tuple[int, ...]:
        self._at += struct.calcsize(form)
        return struct.unpack_from(form, self._content, self._at - struct.calcsize(form))


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content

"""A mail server that behaves as it is told, on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from io import BufferedRWPair


class SmtpServer:
    """One conversation after the other. `moods` names what the next ones are like; then all are good."""

    def __init__(self, *moods: str) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._moods = list(moods)
        self.conversations: list[list[str]] = []
        """The client's lines of each conversation; the message is one of them."""
        self.messages: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            mood = self._moods.pop(0) if self._moods else "good"
            lines: list[str] = []
            self.conversations.append(lines)
            with connection, connection.makefile("rwb") as file:
                try:
                    self._talk(file, mood, lines)
                except OSError:
                    continue

    def _talk(self, file: BufferedRWPair, mood: str, lines: list[str]) -> None:
        def say(text: str) -> None:
            file.write(text.encode() + b"\r\n")
            file.flush()

        if mood == "silent":
            time.sleep(5)
            return
        say("421 too busy" if mood == "busy" else "220-welcome\r\n220 mail.example")
        while line := file.readline().decode().rstrip("\r\n"):
            lines.append(line)
            if line.upper().startswith("RCPT") and mood == "refuses":
                say("550 no such user")
            elif line.upper() == "DATA":
                say("354 go on")
                message = []
                while (part := file.readline().decode()) not in (".\r\n", ""):
                    message.append(part)
                    if mood == "drops":
                        return
                self.messages.append("".join(message))
                say("250 taken")
            elif line.upper() == "QUIT":
                say("221 bye")
                return
            else:
                say("250 fine")

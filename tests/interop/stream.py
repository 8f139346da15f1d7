"""A user agent on TCP: as ua.Agent, it sends exactly what the test says, in the pieces that the test says.

It listens on its address, and opens connections from its host.  A message goes by the connection that its destination
names - the far end of one that stands, as in `message.source` - or else by a new one.
"""

import select
import socket
import time

from sipmsg import Message
from ua import Agent, Unmet, new_branch


class Connection:
    """One connection and what has come on it of a message that is not whole."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = sock.getpeername()[:2]
        self.buffer = b""
        self.pongs = 0
        self.ended = False

    def messages(self):
        """Whole messages, as bytes; the pongs between them are counted."""
        while True:
            while self.buffer.startswith(b"\r\n"):
                self.buffer = self.buffer[2:]
                self.pongs += 1
            head, separator, body = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.strip().lower() in (b"content-length", b"l"):
                    length = int(value)
            if len(body) < length:
                return
            size = len(head) + 4 + length
            raw, self.buffer = self.buffer[:size], self.buffer[size:]
            yield raw


class StreamAgent(Agent):
    """The same as Agent on TCP."""

    def __init__(self, host, port=0, name="agent"):
        super().__init__(host, 0, name)
        self.sock.close()
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(50)
        self.host, self.port = self.sock.getsockname()[:2]
        self.connections = []

    def close(self):
        for connection in self.connections:
            connection.sock.close()
        self.sock.close()

    def contact(self):
        return "<sip:%s@%s;transport=tcp>" % (self.name, self.host_port)

    def via(self, branch=None):
        return "SIP/2.0/TCP %s;branch=%s;rport" % (self.host_port, branch or new_branch())

    # Connections

    def connect(self, to):
        sock = socket.socket(self.sock.family, socket.SOCK_STREAM)
        sock.bind((self.host, 0))
        sock.settimeout(self.PATIENCE_S)
        sock.connect(to)
        connection = Connection(sock)
        self.connections.append(connection)
        return connection

    def to(self, to):
        """The connection that leads there, the newest first; a new one if there is none."""
        standing = [c for c in self.connections if not c.ended]
        readable = select.select([c.sock for c in standing], [], [], 0)[0]
        for connection in standing:
            if connection.sock in readable:
                self._read(connection)  # it may have ended
        for connection in reversed(self.connections):
            if connection.peer == tuple(to) and not connection.ended:
                return connection
        return self.connect(tuple(to))

    def reset(self, to=None):
        """Ends the connections there (all of them) as a host does that has started anew."""
        for connection in self.connections:
            if to is None or connection.peer == tuple(to):
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sock.close()
        self.connections = [c for c in self.connections if c.sock.fileno() >= 0]

    def write(self, raw, to, pause=0.0, piece=None):
        """Bytes as they are, in pieces of this size with pauses between them."""
        connection = self.to(to)
        for at in range(0, len(raw), piece or len(raw)):
            connection.sock.sendall(raw[at:at + (piece or len(raw))])
            if pause:
                time.sleep(pause)
        return connection

    # As Agent

    def send(self, message, to):
        raw = message.encode() if isinstance(message, Message) else message
        self._note("->", raw, to)
        self.write(raw, to)
        return message

    def _read(self, connection):
        try:
            piece = connection.sock.recv(65536)
        except OSError:
            piece = b""
        connection.ended = not piece
        connection.buffer += piece
        for raw in connection.messages():
            self._note("<-", raw, connection.peer)
            message = Message.parse(raw, connection.peer)
            message.received_s = time.time()
            if message.key in self.seen:
                self.repeats[message.key] += 1
            else:
                self.seen.add(message.key)
                self.inbox.append(message)

    def _pull(self, deadline):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        standing = [c for c in self.connections if not c.ended]
        readable = select.select([self.sock] + [c.sock for c in standing], [], [], remaining)[0]
        if self.sock in readable:
            self.connections.append(Connection(self.sock.accept()[0]))
        for connection in standing:
            if connection.sock in readable:
                self._read(connection)
        return bool(readable)

    def expect_end(self, connection, timeout=None):
        """The other side ends the connection."""
        deadline = time.monotonic() + (timeout or self.PATIENCE_S)
        while not connection.ended:
            if not self._pull(deadline):
                raise Unmet("%s: the connection to %s:%d stands" % ((self.name,) + connection.peer))

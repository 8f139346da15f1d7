"""SIP messages as the test agents need them: read what arrives, write what is sent.  RFC 3261 7.

Deliberately small and literal.  A test may put any bytes into a message; the reader takes only what the switch may
send (no folding, no lists split over commas but for Route sets), so that it notices when the switch sends more.
"""

import re

COMPACT = {
    "i": "call-id", "m": "contact", "e": "content-encoding", "l": "content-length", "c": "content-type",
    "f": "from", "s": "subject", "k": "supported", "t": "to", "v": "via", "x": "session-expires", "r": "refer-to",
}


class Malformed(Exception):
    """The switch sent something that is not a SIP message."""


class Message:
    """One message: start line, headers in order, body.  `source` and `received_s` (wall time, by the kernel) are set on reception."""

    def __init__(self, start, headers=(), body=b""):
        self.start = start
        self.headers = list(headers)
        self.body = body if isinstance(body, bytes) else body.encode()
        self.source = None
        self.received_s = None
        self.raw = b""

    @staticmethod
    def parse(raw, source=None):
        head, separator, body = raw.partition(b"\r\n\r\n")
        if not separator:
            raise Malformed("no end of the header section: %r" % raw[:200])
        lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise Malformed("header line %r" % line)
            headers.append((name.strip(), value.strip()))
        message = Message(lines[0], headers, body)
        message.raw = raw
        message.source = source
        length = message.get("Content-Length")
        if length is not None and int(length) != len(body):
            raise Malformed("Content-Length %s, body of %d" % (length, len(body)))
        return message

    def encode(self):
        lines = [self.start]
        lines += ["%s: %s" % header for header in self.headers]
        if not self.has("Content-Length"):
            lines.append("Content-Length: %d" % len(self.body))
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body

    # Headers

    def all(self, name):
        wanted = name.lower()
        return [v for n, v in self.headers if COMPACT.get(n.lower(), n.lower()) == wanted]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def has(self, name):
        return bool(self.all(name))

    def without(self, name):
        """A copy that lacks every header of this name."""
        wanted = name.lower()
        copy = Message(self.start, [h for h in self.headers if COMPACT.get(h[0].lower(), h[0].lower()) != wanted],
                       self.body)
        copy.source = self.source
        return copy

    def with_header(self, name, value):
        copy = self.without(name)
        copy.headers.append((name, value))
        return copy

    def tokens(self, name):
        """The comma-separated values of a header, lower case."""
        return {t.strip().lower() for v in self.all(name) for t in v.split(",") if t.strip()}

    # What it is

    @property
    def is_request(self):
        return not self.start.startswith("SIP/2.0 ")

    @property
    def method(self):
        if self.is_request:
            return self.start.split(" ")[0]
        words = (self.get("CSeq") or "").split()
        return words[1] if len(words) == 2 else "?"  # the answer to a request without a CSeq that could be read

    @property
    def code(self):
        return None if self.is_request else int(self.start.split(" ")[1])

    @property
    def uri(self):
        return self.start.split(" ")[1]

    @property
    def kind(self):
        """How tests name it: "INVITE", or "200 INVITE" for a response."""
        return self.method if self.is_request else "%d %s" % (self.code, self.method)

    @property
    def cseq(self):
        return int(self.get("CSeq").split()[0])

    @property
    def call_id(self):
        return self.get("Call-ID")

    @property
    def from_tag(self):
        return tag_of(self.get("From"))

    @property
    def to_tag(self):
        return tag_of(self.get("To"))

    @property
    def branch(self):
        return parameter(self.get("Via"), "branch")

    @property
    def key(self):
        """Equal for a message and its retransmission.  The ACK to a 2xx may get a new branch each time: it is no
        transaction that anyone matches (RFC 3261 13.2.2.4)."""
        branch = self.get("CSeq") if self.kind == "ACK" else self.branch
        return (self.kind, branch, self.call_id, self.get("CSeq"), self.to_tag)

    def routes(self, name="Record-Route"):
        """URIs of a Record-Route or Route header field, in order."""
        return [u for value in self.all(name) for u in re.findall(r"<([^>]*)>", value)]

    def contact(self):
        value = self.get("Contact")
        if value is None:
            return None
        match = re.search(r"<([^>]*)>", value)
        return match.group(1) if match else value.split(";")[0].strip()


def parameter(value, name):
    match = re.search(r";\s*%s\s*=\s*([^;,\s>]+)" % re.escape(name), value or "", re.IGNORECASE)
    return match.group(1) if match else None


def tag_of(value):
    """The tag of a From or To: parameters inside <> are the URI's."""
    return parameter((value or "").rpartition(">")[2], "tag")


def host_port(uri):
    """Where a URI leads: ("127.0.0.1", 5060).  Addresses only."""
    match = re.match(r"sips?:(?:[^@]*@)?(\[[^\]]*\]|[^:;?>\[]+)(?::(\d+))?", uri)
    if not match:
        raise Malformed("URI %r" % uri)
    return match.group(1).strip("[]"), int(match.group(2) or 5060)


def sdp(version=1, port=40000, direction="sendrecv", address="192.0.2.10"):
    """A session description; another version or port makes it another session.  RFC 4566 5."""
    return ("v=0\r\no=tester 4711 %d IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
            "m=audio %d RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=%s\r\n"
            % (version, address, address, port, direction)).encode()


# Bytes that a body printed anew would lose: odd order, doubled spaces, a line without known type, TIAS.
ODD_SDP = (b"v=0\r\no=- 1 1 IN IP4 192.0.2.77\r\ns= \r\nc=IN IP4 192.0.2.77\r\nb=TIAS:64000\r\nt=0 0\r\n"
           b"a=x-unknown:  two  spaces;\xc3\xa9\r\nm=audio 41000 RTP/AVP 8 18 96\r\nb=TIAS:64000\r\n"
           b"a=fmtp:96 a=1; b=\"2\"\r\na=rtpmap:96 AMR/8000\r\nm=video 0 RTP/AVP 31\r\n")

"""A user agent under a test's full control: a UDP socket that sends exactly what the test says, when it says so, and
never answers or retransmits of its own accord.  SIPp cannot lose, cross or hold back messages; this can.

    agent  = Agent("127.0.0.2")
    dialog = agent.invite(switch, "7001", sdp())          # caller
    dialog = Dialog.incoming(agent, agent.expect("INVITE"))  # callee

Messages are named by kind: "BYE" is a request, "200 BYE" a response to one.
"""

import collections
import errno
import itertools
import os
import socket
import struct
import time

from sipmsg import Message, host_port

SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; the socket module lacks it
_serial = itertools.count(1)


def unique(prefix):
    return "%s%d-%d" % (prefix, os.getpid(), next(_serial))


def new_branch():
    return "z9hG4bK" + unique("br")


class Unmet(AssertionError):
    """What the test expected did not happen."""


def need(condition, text, *args):
    if not condition:
        raise Unmet(text % args if args else text)


def printable(raw):
    return "".join(c if c.isprintable() else "?" for c in raw.decode("latin-1"))


def bracketed(host):
    return "[%s]" % host if ":" in host else host


class Agent:
    """One socket.  Retransmissions are recognised, counted in `repeats` and otherwise dropped."""

    PATIENCE_S = 8.0  # generous: the machine may be busy; nothing is measured by it

    def __init__(self, host, port=0, name="agent"):
        self.name = name
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._bind((host, port))
        self.host, self.port = self.sock.getsockname()[:2]
        self.inbox = collections.deque()
        self.repeats = collections.Counter()
        self.seen = set()
        self.trace = []  # (seconds, direction, start line, CSeq): what a failed test prints

    def _bind(self, address):
        """A socket that was closed a moment ago may still be in a child of this process that has yet to become another
        program."""
        deadline = time.monotonic() + 2
        while True:
            try:
                self.sock.bind(address)
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def close(self):
        self.sock.close()

    @property
    def host_port(self):
        return "%s:%d" % (bracketed(self.host), self.port)

    def contact(self):
        return "<sip:%s@%s>" % (self.name, self.host_port)

    def via(self, branch=None):
        return "SIP/2.0/UDP %s;branch=%s;rport" % (self.host_port, branch or new_branch())

    # Sending

    def send(self, message, to):
        raw = message.encode() if isinstance(message, Message) else message
        self._note("->", raw, to)
        self.sock.sendto(raw, to)
        return message

    def _note(self, direction, raw, peer):
        lines = raw.split(b"\r\n")
        cseq = next((l for l in lines if l.lower().startswith(b"cseq:")), b"")
        self.trace.append((time.time(), "%s %s %s:%d" % (self.name, direction, peer[0], peer[1]),
                           printable(lines[0])[:100], printable(cseq)))

    # Receiving

    def read_rest(self):
        """What has come and nobody expected, for the trace."""
        until = time.monotonic() + 1
        while time.monotonic() < until and self._pull(time.monotonic() + 0.01):
            pass

    def _pull(self, deadline):
        """One datagram into the inbox; False when the deadline passed."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        self.sock.settimeout(remaining)
        try:
            raw, extra, _, source = self.sock.recvmsg(65536, 64)
        except (socket.timeout, BlockingIOError):
            return False
        except ConnectionRefusedError:  # an ICMP error from an earlier send
            return True
        self._note("<-", raw, source)
        message = Message.parse(raw, source[:2])
        message.received_s = next((struct.unpack("=qq", data[:16]) for _, kind, data in extra
                                   if kind == SO_TIMESTAMPNS), None)
        message.received_s = message.received_s[0] + message.received_s[1] / 1e9 if message.received_s else time.time()
        if message.key in self.seen:
            self.repeats[message.key] += 1
        else:
            self.seen.add(message.key)
            self.inbox.append(message)
        return True

    def expect(self, *kinds, timeout=None, skip=()):
        """The next message, which must be of one of these kinds; a 100 is passed over unless asked for."""
        deadline = time.monotonic() + (timeout or self.PATIENCE_S)
        while True:
            while self.inbox:
                message = self.inbox.popleft()
                if message.kind in kinds:
                    return message
                if message.code == 100 or message.kind in skip:
                    continue
                raise Unmet("%s: expected %s, got %s" % (self.name, " or ".join(kinds), message.start))
            if not self._pull(deadline):
                raise Unmet("%s: expected %s, nothing came" % (self.name, " or ".join(kinds)))

    def expect_all(self, *kinds, timeout=None):
        """One message of each kind, in any order; a dict by kind."""
        missing = set(kinds)
        found = {}
        while missing:
            message = self.expect(*missing, timeout=timeout)
            found[message.kind] = message
            missing.remove(message.kind)
        return found

    def expect_repeat(self, message, more=1, timeout=None):
        """Waits until the peer has sent `message` this many times more."""
        deadline = time.monotonic() + (timeout or self.PATIENCE_S)
        goal = self.repeats[message.key] + more
        while self.repeats[message.key] < goal:
            if not self._pull(deadline):
                raise Unmet("%s: %s was not sent again" % (self.name, message.start))

    def collect(self, seconds):
        """Everything new that comes within this time (a 100 is passed over)."""
        deadline = time.monotonic() + seconds
        while self._pull(deadline):
            pass
        messages = [m for m in self.inbox if m.code != 100]
        self.inbox.clear()
        return messages

    def expect_silence(self, seconds=0.3, but=()):
        """Nothing new comes but messages of the kinds in `but`."""
        for message in self.collect(seconds):
            need(message.kind in but, "%s: expected silence, got %s", self.name, message.start)

    # Out-of-dialog requests

    def request(self, method, to, user="7000", headers=(), body=b"", from_user="+49301000", **fields):
        """A request outside any dialog, not sent.  fields: via, from_, to_header, call_id, cseq, max_forwards, uri,
        contact; None leaves the header out."""
        target = "%s:%d" % (bracketed(to[0]), to[1])
        uri = fields.get("uri", "sip:%s@%s" % (user, target))
        lines = [
            ("Via", fields.get("via", self.via())),
            ("Max-Forwards", fields.get("max_forwards", "70")),
            ("From", fields.get("from_", '"Tester" <sip:%s@%s>;tag=%s' % (from_user, self.host_port, unique("a")))),
            ("To", fields.get("to_header", "<%s>" % uri)),
            ("Call-ID", fields.get("call_id", unique("call") + "@" + self.host)),
            ("CSeq", fields.get("cseq", "1 %s" % method)),
            ("Contact", fields.get("contact", self.contact())),
            ("User-Agent", "interop-" + self.name),
        ]
        lines = [line for line in lines if line[1] is not None] + list(headers)
        if body and not any(n.lower() == "content-type" for n, _ in headers):
            lines.append(("Content-Type", "application/sdp"))
        return Message("%s %s SIP/2.0" % (method, uri), lines, body)

    def invite(self, to, user, body=b"", headers=(), send=True, **fields):
        """The caller's side of a new call."""
        allow = [("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, MESSAGE, NOTIFY, REFER")]
        message = self.request("INVITE", to, user, list(headers) + allow, body, **fields)
        dialog = Dialog.outgoing(self, message, to)
        if send:
            self.send(message, to)
        return dialog


class Dialog:
    """One side of a dialog.  RFC 3261 12."""

    def __init__(self, agent):
        self.agent = agent
        self.invite = None       # the INVITE that made it
        self.response = None     # the latest final response that we got to an INVITE of ours
        self.call_id = None
        self.local = None        # From of our requests, tag included
        self.remote = None
        self.local_tag = None
        self.target = None       # URI
        self.routes = []
        self.cseq = 0
        self.peer = None         # where the first request went or came from
        self.outbound = None     # where its requests go, if not where the route set says: it has host names

    @classmethod
    def outgoing(cls, agent, invite, to):
        dialog = cls(agent)
        dialog.invite, dialog.peer, dialog.call_id = invite, to, invite.call_id
        dialog.local, dialog.remote = invite.get("From"), invite.get("To")
        dialog.local_tag = invite.from_tag
        dialog.target, dialog.cseq = invite.uri, invite.cseq
        return dialog

    @classmethod
    def incoming(cls, agent, invite, tag=None):
        dialog = cls(agent)
        dialog.local_tag = tag or unique("b")
        dialog.invite, dialog.peer, dialog.call_id = invite, invite.source, invite.call_id
        dialog.local = "%s;tag=%s" % (invite.get("To"), dialog.local_tag)
        dialog.remote = invite.get("From")
        dialog.target, dialog.routes = invite.contact(), invite.routes()
        return dialog

    # As UAC

    def confirm(self, response):
        """Takes tag, target and route set from a response to our INVITE."""
        self.response = response
        self.remote = response.get("To")
        self.target = response.contact() or self.target
        if response.cseq == self.invite.cseq:
            self.routes = list(reversed(response.routes()))
        return self

    def request(self, method, body=b"", headers=(), cseq=None, branch=None, content_type="application/sdp"):
        """An in-dialog request, not sent."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        lines = [("Via", self.agent.via(branch)), ("Max-Forwards", "70"), ("From", self.local), ("To", self.remote),
                 ("Call-ID", self.call_id), ("CSeq", "%d %s" % (cseq, method)), ("Contact", self.agent.contact()),
                 ("User-Agent", "interop-" + self.agent.name)]
        uri, routes = self.target, self.routes
        if routes and ";lr" not in routes[0]:  # a strict router takes the request-URI: 12.2.1.1
            uri, routes = routes[0], routes[1:] + [uri]
        lines += [("Route", "<%s>" % route) for route in routes]
        lines += list(headers)
        if body:
            lines.append(("Content-Type", content_type))
        return Message("%s %s SIP/2.0" % (method, uri), lines, body)

    def send(self, method, *args, **kwargs):
        """An in-dialog request, sent where the route set or the remote target leads; returns it."""
        message = self.request(method, *args, **kwargs)
        return self.agent.send(message, self.next_hop())

    def again(self, message):
        """The same bytes once more."""
        return self.agent.send(message, self.next_hop())

    def next_hop(self):
        return self.outbound or host_port(self.routes[0] if self.routes else self.target)

    def ack(self, response=None, body=b""):
        """ACK to a 2xx: in the dialog, with a new branch.  RFC 3261 13.2.2.4"""
        response = response or self.response
        return self.send("ACK", body, cseq=response.cseq)

    def ack_failure(self, response, invite=None):
        """ACK to another final response: part of the INVITE's transaction.  RFC 3261 17.1.1.3"""
        request = invite or self.invite
        lines = [("Via", request.get("Via")), ("Max-Forwards", "70"), ("From", request.get("From")),
                 ("To", response.get("To")), ("Call-ID", self.call_id), ("CSeq", "%d ACK" % request.cseq)]
        lines += [("Route", v) for v in request.all("Route")]
        message = Message("ACK %s SIP/2.0" % request.uri, lines)
        return self.agent.send(message, self.peer if request is self.invite else self.next_hop())

    def cancel(self, invite=None):
        """CANCEL of the INVITE that makes the dialog, or of this one inside it.  RFC 3261 9.1"""
        to = self.next_hop() if invite else self.peer
        invite = invite or self.invite
        lines = [("Via", invite.get("Via")), ("Max-Forwards", "70"), ("From", invite.get("From")),
                 ("To", invite.get("To")), ("Call-ID", self.call_id), ("CSeq", "%d CANCEL" % invite.cseq)]
        lines += [("Route", v) for v in invite.all("Route")]
        return self.agent.send(Message("CANCEL %s SIP/2.0" % invite.uri, lines), to)

    # As UAS

    def response_to(self, request, code, body=b"", headers=(), reason=None, tag=None,
                    content_type="application/sdp"):
        """A response, not sent.  Routed as RFC 3261 18.2.2 and RFC 3581 say: to the source of the request."""
        lines = [("Via", v) for v in request.all("Via")]
        lines += [("Record-Route", v) for v in request.all("Record-Route")]
        to = request.get("To")
        if code > 100 and request.to_tag is None:
            to += ";tag=" + (tag or self.local_tag)
        lines += [("From", request.get("From")), ("To", to), ("Call-ID", request.call_id),
                  ("CSeq", request.get("CSeq"))]
        if request.method in ("INVITE", "UPDATE") and 100 < code < 300:
            lines.append(("Contact", self.agent.contact()))
        lines.append(("Server", "interop-" + self.agent.name))
        lines += list(headers)
        if body:
            lines.append(("Content-Type", content_type))
        return Message("SIP/2.0 %d %s" % (code, reason or REASONS.get(code, "Whatever")), lines, body)

    def answer(self, request, code, *args, **kwargs):
        """Sends a response to this request; returns it."""
        return self.agent.send(self.response_to(request, code, *args, **kwargs), request.source)

    def reply(self, code, *args, **kwargs):
        """Sends a response to the INVITE that made the dialog."""
        return self.answer(self.invite, code, *args, **kwargs)


REASONS = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 404: "Not Found",
           405: "Method Not Allowed", 408: "Request Timeout", 422: "Session Interval Too Small",
           480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 486: "Busy Here",
           487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending",
           500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable", 603: "Decline"}

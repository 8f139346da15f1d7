"""A proxy between an agent and the switch: RFC 3261 16, and as old ones did it, RFC 2543.

It records its route, and from then on insists on it: a request inside a dialog that is not addressed to it as the route
set says, and a response that does not bring back the Vias of its request, is a problem, which check() raises.

    proxy = Proxy(t, host, port, onward=[t.to])                    loose: <sip:host:port;lr>
    Proxy(..., strict=True)                                        without lr: it replaces the request-URI
    Proxy(..., inner=5062)                                         two interfaces, two Record-Routes (RFC 5658)
    Proxy(..., host_name="edge.example.invalid")                        its Record-Route has a host name
    Proxy(..., moves=True)                                         each request to the switch from another port (RFC 3581)
    Proxy(..., records=False)                                      it forwards only what begins a dialog

An initial request goes to every address of `onward`, as a fork (16.7: all 1xx and 2xx are passed back)."""

import re
import select
import socket
import threading
import time

from sipmsg import Message, host_port, parameter
from ua import bracketed, need, printable


class Proxy(threading.Thread):
    def __init__(self, t, host, port, onward, strict=False, inner=None, host_name=None, moves=False, rport=True,
                 twice=False, records=True, lr="lr"):
        super().__init__(daemon=True)
        self.label = host_name or "proxy-%d" % port
        self.host, self.onward, self.strict, self.host_name = host, list(onward), strict, host_name
        self.moves, self.rport, self.twice, self.records, self.lr = moves, rport, twice, records, lr
        self.switch = t.switch.address
        self.sockets = {}       # by port
        self.outer, self.inner = port, inner or port
        for one in {self.outer, self.inner}:
            self._open(one)
        self.last_port = self.inner  # where the latest message to the switch came from
        self.lock = threading.Lock()
        self.problems = []
        self.routed = []        # methods of the requests inside a dialog that came from the switch
        self.initial = {}       # branch of an initial INVITE: where it went
        self.forks = {}         # the same, of one that went to several: its branches that are still open
        self.vias = {}          # own branch: the Vias below it
        self.trace = []
        self.over = False
        t.agents.append(self)
        self.start()

    def _open(self, port):
        sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((self.host, port))
        self.sockets[sock.getsockname()[1]] = sock
        return sock.getsockname()[1]

    @property
    def address(self):
        return (self.host, self.outer)

    def close(self):
        self.over = True
        if threading.current_thread() is not self:
            self.join(5)
        for sock in self.sockets.values():
            sock.close()

    def check(self, *methods):
        """Nothing was wrong, and requests of these methods came from the switch inside the dialog."""
        with self.lock:
            need(not self.problems, "%s: %s", self.label, "; ".join(self.problems))
            for method in methods:
                need(method in self.routed, "%s: no %s was routed through it, only %s", self.label, method,
                     sorted(set(self.routed)))

    # The loop

    def run(self):
        while not self.over:
            readable, _, _ = select.select(list(self.sockets.values()), [], [], 0.05)
            for sock in readable:
                try:
                    raw, source = sock.recvfrom(65536)
                except OSError:  # an ICMP error from an earlier send
                    continue
                with self.lock:
                    self._take(raw, source[:2], sock.getsockname()[1])

    def _take(self, raw, source, port):
        try:
            message = Message.parse(raw, source)
            self._note("<-", message, source)
            if message.is_request:
                self._request(message, source, port)
            else:
                self._response(message, source, port)
        except Exception as error:  # the thread goes on, and the scenario fails
            self.problems.append("%r in %s" % (error, printable(raw.split(b"\r\n")[0])))

    def _note(self, direction, message, peer):
        self.trace.append((time.time(), "%s %s %s:%d" % ((self.label, direction) + tuple(peer)), message.start[:100],
                           message.get("CSeq") or ""))

    def _send(self, message, to, port):
        self._note("->", message, to)
        for _ in range(2 if self.twice else 1):
            self.sockets[port].sendto(message.encode(), to)
        if self.moves and to == self.switch:
            time.sleep(0.05)  # of what comes from two ports, its workers may read the later one first

    # Requests

    def _is_mine(self, uri):
        match = re.match(r"sip:(?:[^@>]*@)?(\[[^\]]*\]|[^:;?>]+)(?::(\d+))?", uri)
        host, port = match.group(1).strip("[]"), int(match.group(2) or 5060)
        return host == self.host_name or (host == self.host and port in (self.outer, self.inner))

    def _record(self, port):
        host = self.host_name or "%s:%d" % (bracketed(self.host), port)
        return "<sip:%s%s>" % (host, "" if self.strict else ";" + self.lr)

    def _request(self, message, source, port):
        from_switch = source == self.switch
        begins = message.to_tag is None or message.branch in self.initial
        uri, routes = message.uri, message.routes("Route")
        if from_switch and not begins:
            self.routed.append(message.method)
            if self.host_name and port != self.last_port:
                self.problems.append("%s came to port %d, the last message was from %d" % (message.method, port,
                                                                                           self.last_port))
        if message.method == "ACK" and message.branch in self.forks:
            return  # of a failure: each branch has had its own
        if not begins:
            uri, routes = self._route(message, uri, routes)
        targets = self._targets(message, uri, routes, begins)
        headers = [h for h in message.headers if h[0] not in ("Route", "Max-Forwards", "Via")]
        vias = message.all("Via")
        vias[0] = with_source(vias[0], source)
        hops = int(message.get("Max-Forwards") or 70) - 1
        for number, to in enumerate(targets):
            out_port = self._port_towards(to)
            branch = "z9hG4bK-%s-%d-%s" % (self.label, number, message.branch)
            self.vias[branch] = vias
            own = "SIP/2.0/UDP %s:%d;branch=%s%s" % (bracketed(self.host), self.inner if to == self.switch else
                                                      self.outer, branch, ";rport" if self.rport else "")
            lines = [("Via", own)] + [("Via", v) for v in vias] + [("Max-Forwards", str(hops))]
            if self.records and message.method in ("INVITE", "UPDATE"):
                ports = [self.inner, self.outer] if to == self.switch else [self.outer, self.inner]
                lines += [("Record-Route", self._record(p)) for p in dict.fromkeys(ports)]
            lines += [("Route", "<%s>" % r) for r in routes]
            copy = Message("%s %s SIP/2.0" % (message.method, uri), lines + headers, message.body)
            if len(targets) > 1 and message.method == "INVITE":
                self.forks.setdefault(message.branch, {})[branch] = (copy, to)
            self._send(copy, to, out_port)

    def _route(self, message, uri, routes):
        """Its own part of the route set is taken away.  RFC 3261 16.4, 16.6; strict: RFC 2543 6.29"""
        addressed = self._is_mine(uri) or bool(not self.strict and routes and self._is_mine(routes[0]))
        if self.records and not addressed:
            self.problems.append("%s %s with Route %s is not addressed to the proxy" % (message.method, uri, routes))
        if not self.records:
            self.problems.append("%s came although the proxy has not recorded its route" % message.method)
        if self.strict:
            return (routes[0], routes[1:]) if routes else (uri, routes)
        if self._is_mine(uri) and routes:  # the one before was strict
            uri, routes = routes[-1], routes[:-1]
        while routes and self._is_mine(routes[0]):
            routes = routes[1:]
        if routes and not is_loose(routes[0]):
            uri, routes = routes[0], routes[1:] + [uri]
        return uri, routes

    def _targets(self, message, uri, routes, begins):
        if not begins:
            hop = routes[0] if not self.strict and routes and is_loose(routes[0]) else uri
            return [host_port(hop)]
        if message.method == "INVITE":
            self.initial[message.branch] = self.onward
        return self.initial.get(message.branch, self.onward)

    def _port_towards(self, to):
        if to != self.switch:
            return self.outer
        self.last_port = self._open(0) if self.moves else self.inner
        return self.last_port

    # Responses

    def _response(self, message, source, port):
        vias = message.all("Via")
        below = self.vias.get(message.branch)
        if below is None:
            self.problems.append("%s with a Via that is not the proxy's: %s" % (message.start, vias[0]))
            return
        if source == self.switch:
            came = parameter(vias[0], "rport")
            if self.rport and (came is None or int(came) != port):
                self.problems.append("%s came to port %d, its Via is %s" % (message.start, port, vias[0]))
            if not self.rport and port != self.inner:
                self.problems.append("%s came to port %d, not to that of its Via" % (message.start, port))
        if vias[1:] != below:
            self.problems.append("%s brings back %s, not %s" % (message.start, vias[1:], below))
        if message.method == "INVITE" and message.code >= 300 and not self._last_failure(message, below):
            return
        headers = [h for h in message.headers if h[0] != "Via"]
        to = via_address(below[0])
        copy = Message(message.start, [("Via", v) for v in below] + headers, message.body)
        if to == self.switch and self.moves:
            self._send(copy, to, self.last_port)
        else:
            self._send(copy, to, self.inner if to == self.switch else self.outer)


    def _last_failure(self, message, below):
        """Of a fork only the last failure is passed back; each gets its ACK from here.  16.7, 17.1.1.3"""
        fork = self.forks.get(parameter(below[0], "branch"))
        if fork is None:
            return True
        invite, to = fork.pop(message.branch, (None, None))
        if invite is None:
            return False  # once more
        lines = [(n, message.get("To") if n == "To" else v.replace("INVITE", "ACK") if n == "CSeq" else v)
                 for n, v in invite.headers if n in ("Max-Forwards", "From", "To", "Call-ID", "CSeq")]
        self._send(Message("ACK %s SIP/2.0" % invite.uri, [("Via", invite.get("Via"))] + lines), to, self.outer)
        return not fork


def is_loose(uri):
    return re.search(r";lr\b", uri) is not None


def with_source(via, source):
    """RFC 3581 4."""
    via = re.sub(r";rport\b(=\d+)?", "", via)
    return via + ";received=%s;rport=%d" % source


def via_address(via):
    return parameter(via, "received"), int(parameter(via, "rport"))

"""The two sides of an answered call that go on by themselves for a while: each answers what comes, as its `plan` says,
and refreshes if it is to.  What arrived and when (the kernel's receive stamp) is kept for the scenario to judge.

    a, b = begin(t, caller=says(4), callee=agrees(4))
    run((a, b), 9)

RFC 4028; spec 5."""

import select
import time

from sipmsg import sdp
from ua import Dialog, need

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
ALLOW_WITHOUT_UPDATE = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"
ALLOWED_LATE_S = 0.05
TICK_S = 0.05
SILENCE = 0  # in a plan: no answer


def says(interval, refresher=None, min_se=None, tag=True, name="Session-Expires"):
    """Headers of a request with session timers."""
    headers = [("Supported", "timer")] if tag else []
    if interval is not None:
        headers.append((name, "%s%s" % (interval, ";refresher=" + refresher if refresher else "")))
    if min_se is not None:
        headers.append(("Min-SE", str(min_se)))
    return headers


def agrees(interval, refresher="uac"):
    """Headers of a 2xx with session timers."""
    return says(interval, refresher) + ([("Require", "timer")] if refresher == "uac" else [])


class Peer:
    """One side of an answered call."""

    def __init__(self, dialog, body, timed):
        self.dialog = dialog
        self.agent = dialog.agent
        self.body = body          # its last SDP
        self.allow = ALLOW
        self.timed = timed        # whether its 2xx to a refresh has Session-Expires
        self.refresher = None     # "uac" or "uas" in those 2xx; None: as the request named it
        self.plan = []            # for the next UPDATEs and re-INVITEs: status, (status, headers) or SILENCE; then 200
        self.probes_plan = []     # for the next OPTIONS likewise
        self.dead = False         # answers nothing at all
        self.every_s = None       # sends a refresh this often
        self.says = []            # its headers
        self.method = "UPDATE"    # its method
        self.next_s = None        # monotonic
        self.requests = []        # UPDATEs and re-INVITEs that came
        self.probes = []          # OPTIONS that came
        self.acks = []
        self.responses = []       # to its refreshes
        self.sent = []            # its refreshes: (wall time, message)
        self.confirmed = []       # moments (earliest, latest) at which the switch heard a proof of life from it
        self.bye = None
        self.machine_late_s = 0.0  # how late this machine wakes who wants to be woken: the switch may be as late

    def refresh_every(self, seconds, headers, method="UPDATE"):
        self.every_s, self.says, self.method = seconds, headers, method
        self.next_s = time.monotonic() + seconds

    def act(self):
        """Its own refresh."""
        self.next_s += self.every_s
        body = self.body if self.method == "INVITE" else b""
        now = time.time()
        self.sent.append((now, self.dialog.send(self.method, body, self.says + [("Allow", self.allow)])))

    def take(self, message):
        if not message.is_request:
            self._take_response(message)
        elif message.method in ("UPDATE", "INVITE"):
            self.requests.append(message)
            self._answer(message, self.plan)
        elif message.method == "OPTIONS":
            self.probes.append(message)
            self._answer(message, self.probes_plan)
        elif message.method == "BYE":
            need(self.bye is None, "%s: a second BYE", self.agent.name)
            self.bye = message
            if not self.dead:
                self.dialog.answer(message, 200)
        elif message.method == "ACK":
            self.acks.append(message)
        else:
            need(False, "%s: got %s", self.agent.name, message.start)

    def _answer(self, request, plan):
        step = plan.pop(0) if plan else 200
        code, headers = step if isinstance(step, tuple) else (step, [])
        if self.dead or code == SILENCE:
            return
        self.reply(request, code, headers)

    def reply(self, request, code, headers=()):
        body, headers = b"", list(headers)
        if code == 200:
            body = self.body if request.method == "INVITE" else b""
            headers += [("Allow", self.allow)] + (self._session_of(request) if self.timed else [])
        before = time.time()
        self.dialog.answer(request, code, body, headers)
        if code == 200 and request.method != "OPTIONS":
            self.confirmed.append((before, time.time()))

    def _session_of(self, request):
        interval, _, named = (request.get("Session-Expires") or "4;refresher=uac").partition(";refresher=")
        return agrees(interval, self.refresher or named)

    def _take_response(self, message):
        self.responses.append(message)
        own = next((s for s in self.sent if s[1].cseq == message.cseq), None)
        if message.code == 200 and own:
            self.confirmed.append((own[0], message.received_s))
        if message.method == "INVITE" and message.code == 200:
            self.dialog.ack(message)

    def refresh_times(self):
        return [m.received_s for m in self.requests]


def run(peers, seconds, until=None):
    """Lets the peers go on for this long, or until the function says so (then it must, within this time)."""
    deadline = time.monotonic() + seconds
    by_socket = {p.agent.sock: p for p in peers}
    while until is None or not until():
        now = time.monotonic()
        if now >= deadline:
            need(until is None, "what was waited for did not happen within %.1f s", seconds)
            return
        for p in peers:
            if p.next_s is not None and p.next_s <= now and not p.dead and p.bye is None:
                p.act()
        wake = min([deadline, now + TICK_S] + [p.next_s for p in peers if p.next_s and not p.dead and not p.bye])
        readable, _, _ = select.select(list(by_socket), [], [], max(0, wake - time.monotonic()))
        for p in peers:
            p.machine_late_s = max(p.machine_late_s, time.monotonic() - wake)
        for sock in readable:
            peer = by_socket[sock]
            peer.agent._pull(time.monotonic() + 0.1)
            while peer.agent.inbox:
                message = peer.agent.inbox.popleft()
                if message.code != 100:
                    peer.take(message)


def begin(t, caller=(), callee=(), caller_allow=ALLOW, callee_allow=ALLOW):
    """An answered call whose INVITE and 200 have these headers: (caller, callee)."""
    a, b = t.caller(), t.callee()
    dialog = a.invite(t.to, t.number, sdp(), caller, send=False)
    dialog.invite = a.send(dialog.invite.with_header("Allow", caller_allow), t.to)
    far = Dialog.incoming(b, b.expect("INVITE"))
    return answer(dialog, far, caller, callee, callee_allow)


def answer(dialog, far, caller, callee, callee_allow=ALLOW):
    """The callee lifts the receiver."""
    before = time.time()
    far.reply(200, sdp(port=50000), list(callee) + [("Allow", callee_allow)])
    near_ok = dialog.agent.expect("200 INVITE")
    dialog.confirm(near_ok)
    dialog.ack()
    far.agent.expect("ACK")
    peers = (Peer(dialog, sdp(), any(n == "Supported" for n, _ in caller)),
             Peer(far, sdp(port=50000), any(n == "Session-Expires" for n, _ in callee)))
    for peer in peers:
        peer.confirmed.append((before, near_ok.received_s))
    return peers


# Judgement

def need_within(peer, what, at, earliest, latest):
    """A deadline: never early (but for what two clocks differ by), and late only as allowed."""
    need(earliest - 0.002 <= at <= latest + ALLOWED_LATE_S + peer.machine_late_s,
         "%s: %s %.3f s after its earliest moment instead of 0..%.3f s", peer.agent.name, what, at - earliest,
         latest - earliest)


def need_refreshes(peer, interval, at_least, segments=2):
    """Each request that came is due in the last tenth of the first segment after the last proof of life."""
    part = interval / segments
    need(len(peer.requests) >= at_least, "%s: %d refreshes instead of at least %d", peer.agent.name,
         len(peer.requests), at_least)
    for request in peer.requests:
        first, last = max(c for c in peer.confirmed if c[0] < request.received_s)
        need_within(peer, "refresh", request.received_s, first + part * 0.9, last + part)


def need_session(message, interval, refresher):
    """Session-Expires of a request or 2xx."""
    wanted = "%d;refresher=%s" % (interval, refresher)
    need(message.get("Session-Expires") == wanted, "%s: Session-Expires %s, not %s", message.start,
         message.get("Session-Expires"), wanted)
    need("timer" in message.tokens("Supported"), "%s: no Supported: timer", message.start)


def need_request(message, method, interval, refresher, min_se, body=b""):
    """A refresh from the switch: an UPDATE without body or a re-INVITE with this one."""
    need(message.method == method, "%s instead of %s", message.method, method)
    need_session(message, interval, refresher)
    need(message.get("Min-SE") == str(min_se), "Min-SE: %s", message.get("Min-SE"))
    need(message.body == body, "body of %s: %r", method, message.body)


def need_expired(peers, reason='SIP;cause=408;text="session timer expired"'):
    for peer in peers:
        need(peer.bye is not None, "%s: no BYE", peer.agent.name)
        need(peer.bye.get("Reason") == reason, "%s: Reason: %s", peer.agent.name, peer.bye.get("Reason"))


def hang_up(first, second):
    first.dialog.send("BYE")
    run((first, second), 5, lambda: second.bye and any(r.method == "BYE" for r in first.responses))

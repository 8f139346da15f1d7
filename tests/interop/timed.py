"""The two sides of an answered call that go on by themselves for a while: each answers what comes, as its `plan` says,
and refreshes if it is to.  What arrived and when (the kernel's receive stamp) is kept for the scenario to judge.

    a, b = begin(t, caller=says(4), callee=agrees(4))
    run((a, b), 9)

RFC 4028; spec 5."""

import select
import time

import lateness
from sipmsg import sdp
from ua import Dialog, need

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
ALLOW_WITHOUT_UPDATE = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"
TTL, MIN, CAP = 4, 2, 5  # of the profile "timers"
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

    def __init__(self, dialog, body, agreed, timed):
        self.dialog = dialog
        self.agreed = agreed      # the message with the Session-Expires that its leg began with
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
        self.accepted = []        # those of them that it answered with 200
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
            self.accepted.append(request)

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

    def is_quiet(self):
        """Whether neither side's next refresh is near, so that a BYE would not cross one."""
        if self.next_s is not None and self.next_s - time.monotonic() < 0.2:
            return False
        latest = self.requests[-1] if self.requests else self.agreed
        interval = int((latest.get("Session-Expires") or "0").partition(";")[0])
        age = time.time() - self.confirmed[-1][1]
        return not any(0.85 * part <= age <= 1.1 * part for part in (interval / 2, interval / 4))


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
    peers = (Peer(dialog, sdp(), near_ok, any(n == "Supported" for n, _ in caller)),
             Peer(far, sdp(port=50000), far.invite, any(n == "Session-Expires" for n, _ in callee)))
    for peer in peers:
        peer.confirmed.append((before, near_ok.received_s))
    return peers


# Judgement

EXPIRED = dict(end_reason="session_timeout", end_side="switch", sip_code=200, answered=True)


def need_within(peer, what, at, earliest, latest):
    """A deadline: never early (but for what two clocks differ by), and late only as allowed."""
    need(earliest - 0.002 <= at <= latest + lateness.allowed(latest, at) + peer.machine_late_s,
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


def counted(*peers):
    """What the CDR must say of the refreshes that came to these peers.  A 200 that crossed the end may be missing."""
    accepted = sum(len(p.accepted) for p in peers)
    crossed = sum(p.bye is not None and r.received_s > p.bye.received_s - 0.1 for p in peers for r in p.accepted)
    return dict(refreshes_sent=sum(len(p.requests) for p in peers),
                refreshes_confirmed=range(accepted - crossed, accepted + 1))


def hang_up(first, second):
    run((first, second), 5, lambda: first.is_quiet() and second.is_quiet())
    first.dialog.send("BYE")
    run((first, second), 5, lambda: second.bye and any(r.method == "BYE" for r in first.responses))


def around(milliseconds):
    """The hold time of a call that ended at a deadline: a CDR has the deadline, however late it fired."""
    return range(milliseconds - 3, milliseconds + 25)


def need_last_confirmed(t, peers):
    """The CDR's last proof of life is the latest that a peer gave, or the one before a 200 that crossed the end."""
    row = t.rows(1)[0]
    moments = [(c, p.bye is not None and c[1] > p.bye.received_s - 0.1) for p in peers for c in p.confirmed]
    earliest = max(c for c, crossed in moments if not crossed)[0]
    latest = max(c for c, _ in moments)[1]
    at = row["last_confirmed_us"] / 1e6
    need(earliest - 0.05 <= at <= latest + lateness.allowed(latest, at) + peers[0].machine_late_s,
         "last_confirmed_us is %.3f s off", at - earliest)

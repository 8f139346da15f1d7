"""Requests that the switch refuses itself.  Spec 4; none of those before the call makes a CDR."""

import socket
import time

from harness import scenario
from sipmsg import sdp
from ua import Dialog, need, new_branch, unique


def refused(t, agent, request, code, to=None):
    """Sends it; the final answer must have this code; acknowledged if it is an INVITE."""
    agent.send(request, to or t.to)
    codes = code if isinstance(code, tuple) else (code,)
    answer = agent.expect(*["%d %s" % (c, request.method) for c in codes])
    need(answer.call_id == request.call_id and answer.to_tag, "the answer lacks Call-ID or To tag: %s", answer.raw)
    if request.method == "INVITE":
        Dialog.outgoing(agent, request, to or t.to).ack_failure(answer)
    return answer


@scenario()
def options(t):
    """OPTIONS outside a dialog: 200 with Allow, Supported and Accept, for callers and callees, whatever the number."""
    for agent in (t.caller(), t.callee()):
        request = agent.request("OPTIONS", t.to, uri="sip:%s:%d" % t.to)
        ok = refused(t, agent, request, 200)
        need({"invite", "ack", "cancel", "bye", "options", "update", "info"} <= ok.tokens("Allow"), "Allow: %s",
             ok.get("Allow"))
        need("application/sdp" in ok.tokens("Accept"), "Accept: %s", ok.get("Accept"))
        need(ok.has("Supported"), "no Supported")
        agent.send(request, t.to)
        agent.expect_repeat(ok)


@scenario(mg=None, rg=None)
def unknown_source(t):
    """An INVITE from no known gateway: 403."""
    agent = t.agent(t.network.stranger(t.index), name="stranger")
    refused(t, agent, agent.request("INVITE", t.to, "7001555", body=sdp()), 403)
    need(not t.switch.rows("source_address = ?", (agent.host_port,)), "a stranger left a CDR")


@scenario(profile="quick", mg=None, rg=None)
def unknown_source_in_silence(t):
    """The same with SS_REPLY_UNAUTHORIZED off: silence."""
    agent = t.agent(t.network.stranger(t.index), name="stranger")
    agent.send(agent.request("INVITE", t.to, "7001555", body=sdp()), t.to)
    agent.expect_silence(0.5)
    need(not agent.trace[1:], "something came: %s", agent.trace)


def scanner_request(method, host, number):
    return ("%s sip:100@1.1.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%d;rport\r\nMax-Forwards: 70\r\n"
            "From: \"sip\" <sip:100@1.1.1.1>;tag=%d\r\nTo: \"sip\" <sip:100@1.1.1.1>\r\nCall-ID: %d@%s\r\n"
            "CSeq: 1 %s\r\nUser-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
            % (method, host, number, number, number, host, method)).encode()


@scenario()
def scanner_beside_a_call(t):
    """A scanner gets as many answers as RW_UNAUTHORIZED_RATE (100) allows, each once and hardly larger than what it sent;
    it costs no record, and the call beside it goes on."""
    caller, callee = t.answered()
    host, sent, answers = t.network.stranger(t.index), {}, {}
    begun = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.bind((host, 0))
        for number in range(2000):
            request = scanner_request(("INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE")[number % 4], host, number)
            sent["%d@%s" % (number, host)] = len(request)
            scanner.sendto(request, t.to)
        try:
            while True:
                scanner.settimeout(0.4 if len(answers) >= 20 else 3)
                answer = scanner.recv(65536)
                name = answer.decode().split("Call-ID: ")[1].split("\r\n")[0]
                need(name not in answers, "answered twice: %s", name)
                need(len(answer) <= sent[name] + 300, "%d bytes for %d", len(answer), sent[name])
                answers[name] = answer
        except socket.timeout:
            pass
    most = 100 * (time.monotonic() - begun) + 100 + 16
    need(20 <= len(answers) <= most, "%d answers in place of at most %d", len(answers), most)
    need(all(answer.startswith(b"SIP/2.0 403 ") for answer in answers.values()), "not all are 403")
    t.hang_up(caller, callee)
    t.cdr_answered()
    need(not t.switch.rows("source_address LIKE ?", (host + ":%",)), "a stranger left a CDR")


@scenario()
def no_route(t):
    """No gateway serves the number: 404."""
    a = t.caller()
    refused(t, a, a.request("INVITE", t.to, "9995551234", body=sdp()), 404)
    t.cdr(end_reason="no_route", end_side="switch", sip_code=404, routing_gateway="", callee_in="9995551234")


@scenario()
def method_not_allowed(t):
    """REGISTER, SUBSCRIBE, PUBLISH and an unknown method outside a dialog: 405 with Allow."""
    a = t.caller()
    for method in ("REGISTER", "SUBSCRIBE", "PUBLISH", "FROBNICATE"):
        answer = refused(t, a, a.request(method, t.to, t.number), (405, 501) if method == "FROBNICATE" else 405)
        need("invite" in answer.tokens("Allow"), "%d without Allow", answer.code)


@scenario()
def extension_required(t):
    """Require with an unknown tag: 420 with Unsupported."""
    a = t.caller()
    for value in ("precondition", "foo", "100rel, foo"):
        request = a.request("INVITE", t.to, t.number, [("Require", value)], sdp())
        answer = refused(t, a, request, 420)
        wanted = {v.strip() for v in value.split(",")} - {"100rel"}
        need(answer.tokens("Unsupported") == wanted, "Unsupported: %s", answer.get("Unsupported"))


@scenario()
def content_type_refused(t):
    """A body of unknown type that must be handled: 415 with Accept."""
    a = t.caller()
    headers = [("Content-Type", "application/x-unknown"), ("Content-Disposition", "session;handling=required")]
    answer = refused(t, a, a.request("INVITE", t.to, t.number, headers, b"what?"), 415)
    need("application/sdp" in answer.tokens("Accept"), "Accept: %s", answer.get("Accept"))


@scenario()
def unknown_dialog(t):
    """Requests inside a dialog that nobody knows: 481, wherever they seem to belong."""
    a = t.caller()
    to_header = "<sip:%s@%s:%d>;tag=guessed" % ((t.number,) + t.to)
    for method in ("BYE", "INFO", "INVITE", "UPDATE", "MESSAGE", "NOTIFY", "REFER"):
        refused(t, a, a.request(method, t.to, t.number, to_header=to_header), 481)
    a.send(a.request("ACK", t.to, t.number, to_header=to_header), t.to)
    a.expect_silence(0.1)
    cancel = a.request("CANCEL", t.to, t.number)
    refused(t, a, cancel, 481)


@scenario()
def guessed_identifiers(t):
    """Our own identifiers, changed by one character: 481, and the call is unharmed."""
    caller, callee = t.answered()
    stranger = t.agent(t.network.stranger(t.index), name="stranger")
    for field in ("remote", "call_id", "local"):
        forged = Dialog(stranger)
        forged.__dict__.update(caller.__dict__)
        forged.agent = stranger
        value = getattr(forged, field)
        at = value.index("@") - 1 if field == "call_id" and "@" in value else len(value) - 1
        setattr(forged, field, value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1:])
        forged.cseq = 40
        forged.send("BYE")
        stranger.expect("481 BYE", "403 BYE")
    caller.agent.expect_silence(0.1)
    callee.agent.expect_silence(0.1)
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def dialog_requests_from_another_source(t):
    """Requests inside a dialog are accepted from any source: the caller's address changed."""
    caller, callee = t.answered()
    caller.agent = t.agent(t.network.stranger(t.index), name="roaming")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def merged_request(t):
    """One INVITE that reaches us by two ways (same Call-ID, From tag and CSeq, other branch): 482 for the second."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(180)
    a.expect("180 INVITE")
    fork = caller.invite.without("Via")
    fork.headers.insert(0, ("Via", a.via(new_branch())))
    refused(t, a, fork, 482)
    b.expect_silence(0.1)
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario(mg={"also": (lambda network, index: network.callee(index),)})
def loop_through_a_peer(t):
    """The callee's proxy sends our INVITE back to us: 482."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    invite = b.expect("INVITE")
    callee = Dialog.incoming(b, invite)
    back = invite.with_header("Max-Forwards", str(int(invite.get("Max-Forwards")) - 1))
    back.start = "INVITE sip:%s@%s:%d SIP/2.0" % ((t.number,) + t.to)
    back.headers.insert(0, ("Via", b.via()))
    b.send(back, t.to)
    loop = b.expect("482 INVITE")
    Dialog.outgoing(b, back, t.to).ack_failure(loop)
    callee.reply(482)
    b.expect("ACK")
    caller.ack_failure(a.expect("482 INVITE"))
    t.cdr(end_reason="rejected", sip_code=482)


@scenario()
def hops_used_up(t):
    """Max-Forwards 0: 483; 1 is passed on as 0."""
    a, b = t.caller(), t.callee()
    refused(t, a, a.request("INVITE", t.to, t.number, body=sdp(), max_forwards="0"), 483)
    caller = a.invite(t.to, t.number, sdp(), max_forwards="1")
    invite = b.expect("INVITE")
    need(invite.get("Max-Forwards") == "0", "Max-Forwards 1 became %s", invite.get("Max-Forwards"))
    Dialog.incoming(b, invite).reply(486)
    b.expect("ACK")
    caller.ack_failure(a.expect("486 INVITE"))
    t.cdr(end_reason="rejected", end_side="callee", sip_code=486)


@scenario(mg={"capacity": 1})
def capacity_of_a_customer(t):
    """The capacity of a mapping gateway is reached: 503 with Reason Q.850;cause=34 and no Retry-After."""
    caller, callee = t.answered()
    a = caller.agent
    for _ in range(2):
        answer = refused(t, a, a.request("INVITE", t.to, t.number, body=sdp()), 503)
        need("cause=34" in (answer.get("Reason") or "") and answer.get("Reason").startswith("Q.850"), "Reason: %s",
             answer.get("Reason"))
        need(not answer.has("Retry-After"), "Retry-After: %s", answer.get("Retry-After"))
    callee.agent.expect_silence(0.1)
    t.hang_up(caller, callee)
    again = a.invite(t.to, t.number, sdp())  # the place is free again
    callee = Dialog.incoming(callee.agent, callee.agent.expect("INVITE"))
    callee.reply(486)
    callee.agent.expect("ACK")
    again.ack_failure(a.expect("486 INVITE"))
    t.cdr_answered()
    for _ in range(2):
        t.cdr(end_reason="capacity", end_side="switch", sip_code=503, q850=34)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=486)


@scenario(rg={"capacity": 1})
def capacity_of_a_carrier(t):
    """The only routing gateway is full: 503 in the same way."""
    caller, callee = t.answered()
    a = caller.agent
    answer = refused(t, a, a.request("INVITE", t.to, t.number, body=sdp()), 503)
    need("cause=34" in (answer.get("Reason") or "") and not answer.has("Retry-After"), "%s", answer.raw)
    callee.agent.expect_silence(0.1)
    t.hang_up(caller, callee)
    t.cdr_answered()
    t.cdr(end_reason="capacity", end_side="switch", sip_code=503, q850=34)


@scenario(mg={"rate_limit": 1})
def rate_of_a_customer(t):
    """Two calls at once where one a second is allowed: 503 with Retry-After: 1, and a cause of its own.  Again a second
    later."""
    a, b = t.caller(), t.callee()
    for second in range(2):
        requests = [a.request("INVITE", t.to, t.number, body=sdp()) for _ in range(2)]
        for request in requests:
            a.send(request, t.to)
        answer = a.expect("503 INVITE")
        need(answer.get("Retry-After") == "1" and "cause=42" in (answer.get("Reason") or ""), "%s", answer.raw)
        passed = next(request for request in requests if request.call_id != answer.call_id)
        refused_one = next(request for request in requests if request.call_id == answer.call_id)
        Dialog.outgoing(a, refused_one, t.to).ack_failure(answer)
        Dialog.incoming(b, b.expect("INVITE")).reply(486)
        b.expect("ACK")
        Dialog.outgoing(a, passed, t.to).ack_failure(a.expect("486 INVITE"))
        for request in requests:
            if request is passed:
                t.cdr(end_reason="rejected", end_side="callee", sip_code=486)
            else:
                t.cdr(end_reason="capacity", end_side="switch", sip_code=503, q850=42)
        time.sleep(1.1 - second)


@scenario(mg={"also": ("127.0.0.1",)}, rg={"is_switch": True})
def loop_to_ourselves(t):
    """A routing gateway that is the switch itself: 482, and the call has ended at once."""
    a = t.caller()
    refused(t, a, a.request("INVITE", t.to, t.number, body=sdp()), 482)
    t.cdr(end_reason="rejected", sip_code=482)


@scenario()
def response_to_nobody(t):
    """Responses that match nothing are dropped, whatever their branch."""
    a = t.caller()
    request = a.request("OPTIONS", t.to, unique("u"))
    for code in (100, 180, 200, 487):
        dialog = Dialog(a)
        dialog.local_tag = "x"
        a.send(dialog.response_to(request, code), t.to)
    a.expect_silence(0.3)


@scenario()
def keepalives(t):
    """Datagrams that keep a NAT binding open get no answer (RFC 5626 3.5.1 asks for one only on streams)."""
    a = t.caller()
    for datagram in (b"\r\n\r\n", b"\r\n", b"\0", b" "):
        a.send(datagram, t.to)
    a.expect_silence(0.2)
    refused(t, a, a.request("OPTIONS", t.to, "x"), 200)

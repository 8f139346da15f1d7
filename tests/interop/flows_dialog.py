"""What happens inside a call: changes of the session, requests that are passed on, Route sets.  Spec 4."""

from harness import RG_PORT, scenario
from sipmsg import host_port, sdp
from ua import Dialog, need


def relayed_reinvite(first, second, offer, answer):
    """A re-INVITE from `first` with this offer and its answer; ACK included."""
    request = first.send("INVITE", offer)
    relayed = second.agent.expect("INVITE")
    need(relayed.body == offer, "the offer was changed: %r", relayed.body)
    need(relayed.call_id == second.call_id and relayed.to_tag == second.local_tag, "dialog of the re-INVITE")
    second.answer(relayed, 200, answer)
    ok = first.agent.expect("200 INVITE")
    need(ok.cseq == request.cseq and ok.body == answer, "the answer was changed: %r", ok.body)
    first.ack(ok)
    second.agent.expect("ACK")


@scenario(direct=True)
def reinvites_from_both_sides(t):
    """re-INVITEs by the caller, the callee and the caller again: each is passed on with its SDP, byte for byte."""
    caller, callee = t.answered()
    relayed_reinvite(caller, callee, sdp(2, 40002, "sendonly"), sdp(2, 50002, "recvonly"))
    relayed_reinvite(callee, caller, sdp(3, 50004, "inactive"), sdp(3, 40004, "inactive"))
    relayed_reinvite(caller, callee, sdp(4, 40006), sdp(4, 50006))
    t.hang_up(callee, caller)
    t.cdr_answered("callee")


@scenario()
def reinvite_with_the_same_sdp(t):
    """re-INVITE whose body is byte for byte that peer's last: answered by the switch with the other side's last SDP."""
    caller, callee = t.answered()
    request = caller.send("INVITE", sdp())
    ok = caller.agent.expect("200 INVITE")
    need(ok.cseq == request.cseq and ok.body == sdp(port=50000), "answer: %r", ok.body)
    caller.ack(ok)
    request = callee.send("INVITE", sdp(port=50000))
    ok = callee.agent.expect("200 INVITE")
    need(ok.cseq == request.cseq and ok.body == sdp(), "answer: %r", ok.body)
    callee.ack(ok)
    caller.agent.expect_silence(0.2)
    callee.agent.expect_silence(0.1)
    # After a change, "last" is the new one; the old one is a change again.
    relayed_reinvite(caller, callee, sdp(2, 40002), sdp(2, 50002))
    ok = caller.agent.expect("200 INVITE") if caller.send("INVITE", sdp(2, 40002)) else None
    need(ok.body == sdp(2, 50002), "answer: %r", ok.body)
    caller.ack(ok)
    relayed_reinvite(caller, callee, sdp(), sdp(3, 50002))
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario(direct=True)
def reinvite_refused_then_accepted(t):
    """488 to a re-INVITE changes nothing; the next one passes."""
    caller, callee = t.answered()
    request = caller.send("INVITE", sdp(2, 40002))
    callee.answer(callee.agent.expect("INVITE"), 488)
    refusal = caller.agent.expect("488 INVITE")
    caller.ack_failure(refusal, request)
    callee.agent.expect("ACK")
    relayed_reinvite(caller, callee, sdp(3, 40004), sdp(2, 50002))
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def reinvite_glare(t):
    """re-INVITEs from both sides at once: 491 on glare, and the call lives on."""
    caller, callee = t.answered()
    a, b = caller.agent, callee.agent
    request = caller.send("INVITE", sdp(2, 40002))
    relayed = b.expect("INVITE")
    crossing = callee.send("INVITE", sdp(2, 50002))
    callee.ack_failure(b.expect("491 INVITE"), crossing)
    callee.answer(relayed, 491)
    # The switch passes the 491 on, or waits as RFC 3261 14.1 says and tries again.
    waited = False
    for _ in range(2):
        message = b.expect("ACK", "INVITE")
        if message.kind == "INVITE":
            waited = True
            callee.answer(message, 200, sdp(3, 50004))
        elif waited:
            break
        elif any(m.code == 491 for m in peek(a, 0.2)):
            break
    final = a.expect("491 INVITE", "200 INVITE")
    if final.code == 200:
        caller.ack(final)
    else:
        caller.ack_failure(final, request)
    if waited:
        b.expect_silence(0.2, but=("ACK",))
    relayed_reinvite(callee, caller, sdp(5, 50006), sdp(5, 40006))
    t.hang_up(caller, callee)
    t.cdr_answered()


def peek(agent, seconds):
    """What has come, left in the inbox."""
    messages = agent.collect(seconds)
    agent.inbox.extend(messages)
    return messages


@scenario()
def reinvite_is_acknowledged_with_100(t):
    """A re-INVITE that the other side takes its time over: 100, so that it is not repeated.  RFC 3261 17.2.1"""
    caller, callee = t.answered()
    request = caller.send("INVITE", sdp(2, 40002))
    relayed = callee.agent.expect("INVITE")
    trying = caller.agent.expect("100 INVITE")
    need(trying.cseq == request.cseq, "100 to CSeq %d", trying.cseq)
    caller.again(request)
    callee.agent.expect_silence(0.1)
    callee.answer(relayed, 200, sdp(2, 50002))
    caller.ack(caller.agent.expect("200 INVITE"))
    callee.agent.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def second_invite_while_one_is_open(t):
    """A second INVITE in a dialog before the first has its final answer: 500 with Retry-After 0 to 10, or 491."""
    caller, callee = t.answered()
    first = caller.send("INVITE", sdp(2, 40002))
    relayed = callee.agent.expect("INVITE")
    second = caller.send("INVITE", sdp(3, 40004))
    refusal = caller.agent.expect("500 INVITE", "491 INVITE")
    need(refusal.cseq == second.cseq, "the refusal is to CSeq %d", refusal.cseq)
    if refusal.code == 500:
        after = refusal.get("Retry-After")
        need(after is not None and 0 <= int(after.split()[0]) <= 10, "Retry-After: %s", after)
    caller.ack_failure(refusal, second)
    callee.agent.expect_silence(0.1)
    callee.answer(relayed, 200, sdp(2, 50002))
    ok = caller.agent.expect("200 INVITE")
    need(ok.cseq == first.cseq, "200 to CSeq %d", ok.cseq)
    caller.ack(ok)
    callee.agent.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def old_cseq_is_refused(t):
    """A request in a dialog with a CSeq that went down: 500.  RFC 3261 12.2.2"""
    caller, callee = t.answered()
    caller.cseq = 10
    info = caller.send("INFO")
    callee.answer(callee.agent.expect("INFO"), 200)
    caller.agent.expect("200 INFO")
    caller.send("INFO", cseq=info.cseq - 3)
    caller.agent.expect("500 INFO")
    callee.agent.expect_silence(0.1)
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario(direct=True)
def update_with_sdp(t):
    """UPDATE with SDP is passed on, both ways, and so is its refusal."""
    caller, callee = t.answered()
    for first, second, port in ((caller, callee, 40002), (callee, caller, 50002)):
        first.send("UPDATE", sdp(2, port))
        update = second.agent.expect("UPDATE")
        need(update.body == sdp(2, port), "the offer was changed")
        second.answer(update, 200, sdp(2, port + 1000))
        ok = first.agent.expect("200 UPDATE")
        need(ok.body == sdp(2, port + 1000), "the answer was changed")
    caller.send("UPDATE", sdp(3, 40008))
    callee.answer(callee.agent.expect("UPDATE"), 488)
    caller.agent.expect("488 UPDATE")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def update_without_body(t):
    """UPDATE without body: answered by the switch, the other side sees nothing."""
    caller, callee = t.answered()
    for one in (caller, callee):
        request = one.send("UPDATE")
        ok = one.agent.expect("200 UPDATE")
        need(ok.cseq == request.cseq and not ok.body and ok.contact(), "answer: %s", ok.raw)
        one.agent.send(request, one.next_hop())
        one.agent.expect_repeat(ok)
    caller.agent.expect_silence(0.1)
    callee.agent.expect_silence(0.1)
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def requests_passed_on(t):
    """INFO, MESSAGE, NOTIFY and REFER pass in both directions with body and the headers that belong to them."""
    caller, callee = t.answered()
    cases = [("INFO", b"Signal=1\r\n", "application/dtmf-relay", [("Info-Package", "dtmf")], 200),
             ("MESSAGE", b"bytes \x00\xff", "application/octet-stream", [], 200),
             ("NOTIFY", b"SIP/2.0 100 Trying\r\n", "message/sipfrag",
              [("Event", "refer"), ("Subscription-State", "active;expires=60")], 200),
             ("REFER", b"", None, [("Refer-To", "<sip:999@192.0.2.9>")], 202),
             ("INFO", b"", None, [], 488)]
    for first, second in ((caller, callee), (callee, caller)):
        for method, body, content_type, headers, code in cases:
            request = first.send(method, body, headers, content_type=content_type)
            passed = second.agent.expect(method)
            need(passed.body == body, "%s: body %r", method, passed.body)
            need(passed.get("Content-Type") == (content_type if body else None), "%s: Content-Type", method)
            need(passed.has("Contact") == (method in ("NOTIFY", "REFER")), "%s: Contact: %s", method,
                 passed.get("Contact"))
            for name, value in headers:
                need(passed.get(name) == value, "%s: %s is %s", method, name, passed.get(name))
            second.answer(passed, code)
            answer = first.agent.expect("%d %s" % (code, method))
            need(answer.cseq == request.cseq, "CSeq of the answer")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def info_repeated_is_passed_on_once(t):
    """A retransmitted INFO is passed on once and answered the same."""
    caller, callee = t.answered()
    info = caller.send("INFO", b"Signal=1\r\n", content_type="application/dtmf-relay")
    caller.again(info)
    passed = callee.agent.expect("INFO")
    callee.agent.expect_silence(0.15)
    callee.answer(passed, 200)
    ok = caller.agent.expect("200 INFO")
    caller.again(info)
    caller.agent.expect_repeat(ok)
    callee.agent.expect_silence(0.1)
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def request_lost_is_repeated(t):
    """The callee misses a relayed INFO: it is retransmitted (timer E)."""
    caller, callee = t.answered()
    caller.send("INFO", b"Signal=1\r\n", content_type="application/dtmf-relay")
    passed = callee.agent.expect("INFO")
    callee.agent.expect_repeat(passed, 2)
    callee.answer(passed, 200)
    caller.agent.expect("200 INFO")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def answer_repeated_while_a_reinvite_is_open(t):
    """The callee repeats its 200 to the INVITE although a re-INVITE waits at it: the same ACK again."""
    caller, callee = t.answered()
    caller.send("INVITE", sdp(2, 40002))
    relayed = callee.agent.expect("INVITE")
    callee.reply(200, sdp(port=50000))
    callee.agent.expect_repeat(callee.ack_received)
    callee.answer(relayed, 200, sdp(2, 50002))
    caller.ack(caller.agent.expect("200 INVITE"))
    need(callee.agent.expect("ACK").cseq == relayed.cseq, "ACK to the re-INVITE")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def dialog_lost_481(t):
    """The callee answers 481 to an INFO: its dialog is gone, both legs end."""
    dialog_lost(t, 481)


@scenario()
def dialog_lost_408(t):
    """The callee answers 408 to an INFO: the same."""
    dialog_lost(t, 408)


def dialog_lost(t, code):
    caller, callee = t.answered()
    caller.send("INFO")
    callee.answer(callee.agent.expect("INFO"), code)
    got = caller.agent.expect_all("%d INFO" % code, "BYE")
    caller.answer(got["BYE"], 200)
    bye = [m for m in callee.agent.collect(0.3) if m.kind == "BYE"]
    if bye:  # RFC 3261 12.2.1.2: a BYE is sent, though the peer may not know the dialog
        callee.answer(bye[0], 481)
    t.cdr(end_reason="dialog_lost", sip_code=200, answered=True)


@scenario()
def route_set_of_the_callee(t):
    """The callee stands behind a proxy that records its route: in-dialog requests go there with Route."""
    a, b = t.caller(), t.callee()
    proxy = t.agent(t.network.proxy(t.index), RG_PORT, "proxy")
    near, far = "sip:%s;lr" % proxy.host_port, "sip:192.0.2.200:5066;lr;x=1"
    # What a UAS returns ends with the proxy nearest to the UAC, which reverses the list (RFC 3261 12.1.2).
    recorded = [("Record-Route", "<%s>" % far), ("Record-Route", "<%s>" % near)]
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(200, sdp(port=50000), recorded)
    ok = a.expect("200 INVITE")
    need(not ok.has("Record-Route"), "Record-Route leaks to leg A")
    caller.confirm(ok).ack()

    def routed(message):
        need(message.routes("Route") == [near, far], "%s with Route %s", message.method, message.routes("Route"))
        need(message.uri == "sip:callee@" + b.host_port, "%s to %s", message.method, message.uri)
        return message
    routed(proxy.expect("ACK"))
    caller.send("INFO")
    callee.answer(routed(proxy.expect("INFO")), 200)
    a.expect("200 INFO")
    caller.send("BYE")
    callee.answer(routed(proxy.expect("BYE")), 200)
    a.expect("200 BYE")
    b.expect_silence(0.1)
    t.cdr_answered()


@scenario()
def route_set_of_the_caller(t):
    """The caller's proxy recorded its route: requests to the caller follow it, in the order of the header."""
    a, b = t.caller(), t.callee()
    proxy = t.agent(t.network.proxy(t.index), RG_PORT, "proxy")
    near, far = "sip:%s;lr" % proxy.host_port, "sip:192.0.2.201;lr"
    caller = a.invite(t.to, t.number, sdp(), [("Record-Route", "<%s>,<%s>" % (near, far))])
    invite = b.expect("INVITE")
    need(not invite.has("Record-Route") and not invite.has("Route"), "the route of leg A leaks to leg B")
    callee = Dialog.incoming(b, invite)
    callee.reply(200, sdp(port=50000))
    ok = a.expect("200 INVITE")
    need(ok.routes() == [near, far], "Record-Route of the 200: %s", ok.routes())
    caller.confirm(ok)
    caller.routes = []  # the test's proxy does not stand in the caller's way
    caller.ack()
    b.expect("ACK")
    callee.send("BYE")
    bye = proxy.expect("BYE")
    need(bye.routes("Route") == [near, far], "BYE with Route %s", bye.routes("Route"))
    need(bye.uri == "sip:caller@" + a.host_port, "BYE to %s", bye.uri)
    caller.answer(bye, 200)
    b.expect("200 BYE")
    t.cdr_answered("callee")


@scenario()
def contact_changes_with_a_reinvite(t):
    """A re-INVITE with another Contact moves the remote target: the BYE goes there."""
    caller, callee = t.answered()
    moved = t.agent(t.caller_host, 0, "caller")
    request = caller.request("INVITE", sdp(2, 40002))
    request.headers = [(n, moved.contact() if n == "Contact" else v) for n, v in request.headers]
    caller.agent.send(request, caller.next_hop())
    callee.answer(callee.agent.expect("INVITE"), 200, sdp(2, 50002))
    ok = caller.agent.expect("200 INVITE")
    caller.ack(ok)
    callee.agent.expect("ACK")
    callee.send("BYE")
    bye = moved.expect("BYE")
    need(host_port(bye.uri) == (moved.host, moved.port), "BYE to %s", bye.uri)
    caller.answer(bye, 200)
    callee.agent.expect("200 BYE")
    t.cdr_answered("callee")


@scenario()
def contact_with_a_host_name(t):
    """A Contact with a host name: the address that the dialog's last message came from is used."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp(), contact="<sip:caller@sip.example.invalid>")
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    callee.send("BYE")
    bye = a.expect("BYE")
    need(bye.uri == "sip:caller@sip.example.invalid", "BYE to %s", bye.uri)
    caller.answer(bye, 200)
    b.expect("200 BYE")
    t.cdr_answered("callee")

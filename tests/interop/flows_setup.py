"""Setting a call up: what passes from leg to leg and what does not, losses, forking, CANCEL.  Spec 4."""

import time

import lateness
from harness import scenario
from sipmsg import ODD_SDP, host_port, sdp
from ua import Dialog, need

CANCELLED = dict(end_reason="cancelled", end_side="caller", sip_code=487)


@scenario()
def nothing_leaks(t):
    """Only what a rule passes goes from leg to leg; Max-Forwards is decremented; 100 comes at once."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp(), [("X-Private", "secret-a"), ("Subject", "secret-a")], max_forwards="17")
    trying = a.expect("100 INVITE")
    need(trying.get("Via").startswith(caller.invite.get("Via").split(";rport")[0]), "Via of the 100: %s",
         trying.get("Via"))
    need("rport=%d" % a.port in trying.get("Via") and "received=%s" % a.host in trying.get("Via"),
         "rport and received are missing: %s", trying.get("Via"))
    invite = b.expect("INVITE")
    callee = Dialog.incoming(b, invite)
    need(invite.get("Max-Forwards") == "16", "Max-Forwards 17 became %s", invite.get("Max-Forwards"))
    need(invite.call_id != caller.call_id, "the Call-ID leaks")
    need(invite.from_tag and invite.from_tag != caller.local_tag, "the From tag leaks")
    need(len(invite.all("Via")) == 1 and caller.invite.branch not in invite.get("Via"), "the Via leaks")
    need(host_port(invite.contact()) == t.switch.address, "Contact of leg B: %s", invite.contact())
    raw = invite.raw.decode()
    for secret in ("secret-a", "interop-caller", a.host_port, caller.call_id):
        need(secret not in raw, "%s leaks into leg B:\n%s", secret, raw)
    need(invite.uri.startswith("sip:%s@%s" % (t.number, b.host)), "request-URI %s", invite.uri)
    need("sip:+49301000@" in invite.get("From"), "caller number: %s", invite.get("From"))
    callee.reply(180, headers=[("X-Private", "secret-b")])
    ringing = a.expect("180 INVITE")
    callee.reply(200, sdp(port=50000), [("X-Private", "secret-b"), ("Subject", "secret-b")])
    ok = a.expect("200 INVITE")
    for message in (ringing, ok):
        raw = message.raw.decode()
        for secret in ("secret-b", "interop-callee", b.host_port, callee.local_tag, callee.call_id):
            need(secret not in raw, "%s leaks into leg A:\n%s", secret, raw)
        need(message.call_id == caller.call_id and message.from_tag == caller.local_tag, "dialog of the response")
        need(host_port(message.contact()) == t.switch.address, "Contact of leg A: %s", message.contact())
    need(ringing.to_tag and ringing.to_tag == ok.to_tag, "To tags of 180 and 200: %s, %s", ringing.to_tag, ok.to_tag)
    need("invite" in ok.tokens("Allow"), "200 without Allow")
    caller.confirm(ok).ack()
    b.expect("ACK")
    caller.send("BYE", headers=[("X-Private", "secret-a")])
    bye = b.expect("BYE")
    need("secret-a" not in bye.raw.decode() and bye.call_id == invite.call_id, "BYE leaks")
    need(bye.cseq > invite.cseq, "CSeq of the BYE is %d after %d", bye.cseq, invite.cseq)
    need(bye.from_tag == invite.from_tag and bye.to_tag == callee.local_tag, "tags of the BYE")
    callee.answer(bye, 200)
    a.expect("200 BYE")
    t.cdr_answered(call_id_a=caller.call_id, call_id_b=invite.call_id, caller_in="+49301000", callee_in=t.number,
                   callee_out=t.number, source_address=a.host_port, destination_address=b.host_port,
                   routing_gateway=t.name, q850=16)


@scenario(direct=True)
def sdp_passes_byte_for_byte(t):
    """Offer and answer arrive as sent, to the last byte."""
    answer = ODD_SDP.replace(b"192.0.2.77", b"192.0.2.99")
    caller, callee = t.answered(body=ODD_SDP, answer=answer)
    need(callee.invite.body == ODD_SDP, "the offer was changed: %r", callee.invite.body)
    need(caller.response.body == answer, "the answer was changed: %r", caller.response.body)
    need(callee.invite.get("Content-Type") == "application/sdp", "Content-Type")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario(direct=True)
def delayed_offer_waits_for_the_caller(t):
    """200 with an offer: the ACK to the callee waits for the caller's and bears its SDP."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number)
    invite = b.expect("INVITE")
    need(not invite.body, "an INVITE without SDP arrived with one")
    callee = Dialog.incoming(b, invite)
    callee.reply(200, sdp(port=50000))
    ok = a.expect("200 INVITE")
    need(ok.body == sdp(port=50000), "the offer in the 200 was changed")
    b.expect_silence(0.15)
    caller.confirm(ok).ack(body=sdp(port=40010))
    ack = b.expect("ACK")
    need(ack.body == sdp(port=40010) and ack.get("Content-Type") == "application/sdp", "the answer in the ACK")
    t.hang_up(callee, caller)
    t.cdr_answered("callee")


@scenario()
def invite_retransmitted_makes_one_call(t):
    """The caller repeats its INVITE: one leg B, and the latest response again."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp(), send=False)
    for _ in range(3):
        a.send(caller.invite, t.to)
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(180)
    ringing = a.expect("180 INVITE")
    a.send(caller.invite, t.to)
    a.expect_repeat(ringing)
    b.expect_silence(0.3)
    callee.reply(486)
    busy = a.expect("486 INVITE")
    a.send(caller.invite, t.to)
    a.expect_repeat(busy)
    caller.ack_failure(busy)
    b.expect("ACK")
    t.cdr(end_reason="rejected", end_side="callee", sip_code=486)


@scenario()
def invite_lost(t):
    """The callee misses the INVITE twice: it is retransmitted."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    invite = b.expect("INVITE")
    b.expect_repeat(invite, 2)
    callee = Dialog.incoming(b, invite)
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def final_failure_is_acknowledged_again(t):
    """The callee repeats its 486: ACK again; the caller does not ACK at first: 486 again."""
    caller, callee = t.ringing()
    callee.reply(486)
    ack = callee.agent.expect("ACK")
    callee.reply(486)
    callee.agent.expect_repeat(ack)
    busy = caller.agent.expect("486 INVITE")
    caller.agent.expect_repeat(busy)
    caller.ack_failure(busy)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=486)


@scenario()
def answer_lost(t):
    """The caller misses the 200: it is retransmitted until the ACK, leg B is ACKed on its own clock."""
    caller, callee = t.answered(acknowledge=False)
    caller.agent.expect_repeat(caller.response, 2)
    caller.ack()
    time.sleep(0.1)
    before = caller.agent.repeats[caller.response.key]
    caller.agent.expect_silence(1.0)
    need(caller.agent.repeats[caller.response.key] <= before + 1, "200 sent again after the ACK")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def answer_repeated_by_callee(t):
    """The callee misses our ACK and repeats its 200: ACK again, and the caller hears nothing."""
    caller, callee = t.answered()
    ack = callee.ack_received
    for _ in range(2):
        callee.reply(200, sdp(port=50000))
        callee.agent.expect_repeat(ack)
    caller.agent.expect_silence(0.2)
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def several_answers_of_a_forking_gateway(t):
    """Two 200s with other To tags: the first wins, the other gets ACK and BYE."""
    caller, callee = t.ringing()
    b = callee.agent
    other = Dialog.incoming(b, callee.invite, tag="other-branch")
    callee.reply(200, sdp(port=50000))
    other.reply(200, sdp(port=50002))
    caller.confirm(caller.agent.expect("200 INVITE")).ack()
    need(caller.response.body == sdp(port=50000), "another answer than the first")
    seen = [b.expect("ACK", "BYE") for _ in range(3)]
    tags = [(m.method, m.to_tag) for m in seen]
    need(sorted(tags) == sorted([("ACK", callee.local_tag), ("ACK", "other-branch"), ("BYE", "other-branch")]),
         "got %s", tags)
    need(tags.index(("ACK", "other-branch")) < tags.index(("BYE", "other-branch")), "BYE before its ACK")
    other.answer(next(m for m in seen if m.method == "BYE"), 200)
    other.reply(200, sdp(port=50002))  # its ACK was lost
    b.expect_repeat(next(m for m in seen if m.method == "ACK" and m.to_tag == "other-branch"))
    caller.agent.expect_silence(0.2)
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario()
def early_dialogs_of_a_forking_gateway(t):
    """180 with one To tag, 200 with another: ACK and BYE bear the tag of the 200."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    invite = b.expect("INVITE")
    Dialog.incoming(b, invite, tag="rang").reply(180)
    a.expect("180 INVITE")
    callee = Dialog.incoming(b, invite, tag="answered")
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    need(b.expect("ACK").to_tag == "answered", "ACK with another tag")
    caller.send("BYE")
    bye = b.expect("BYE")
    need(bye.to_tag == "answered", "BYE with tag %s", bye.to_tag)
    callee.answer(bye, 200)
    a.expect("200 BYE")
    t.cdr_answered()


@scenario()
def cancel_before_any_provisional(t):
    """CANCEL while the callee is still silent: held until its first 1xx."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    a.expect("100 INVITE")
    caller.cancel()
    got = a.expect_all("200 CANCEL", "487 INVITE")
    caller.ack_failure(got["487 INVITE"])
    b.expect_silence(0.2)
    callee.reply(180)
    cancel = b.expect("CANCEL")
    need(cancel.branch == callee.invite.branch, "CANCEL with another branch than its INVITE")
    need(cancel.cseq == callee.invite.cseq and cancel.uri == callee.invite.uri, "CANCEL: %s", cancel.start)
    callee.answer(cancel, 200)
    callee.reply(487)
    b.expect("ACK")
    a.expect_silence(0.2)
    t.cdr(**CANCELLED)


@scenario()
def cancel_before_any_provisional_then_answer(t):
    """The same, but the callee answers 200 at once: ACK and BYE, on the route set of that 200."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    a.expect("100 INVITE")
    caller.cancel()
    caller.ack_failure(a.expect_all("200 CANCEL", "487 INVITE")["487 INVITE"])
    proxy = t.agent(t.network.proxy(t.index), 5060, "proxy")
    route = "sip:%s;lr" % proxy.host_port
    callee.reply(200, sdp(port=50000), [("Record-Route", "<%s>" % route)])
    for method in ("ACK", "BYE"):
        message = proxy.expect(method)
        need(message.routes("Route") == [route], "%s with Route %s", method, message.routes("Route"))
        need(message.uri == "sip:callee@" + b.host_port, "%s to %s", method, message.uri)
    callee.answer(message, 200)
    b.expect_silence(0.1)
    t.cdr(**CANCELLED)


@scenario()
def cancel_right_behind_the_invite(t):
    """INVITE and CANCEL in one breath: no ghost call at the callee, whether it saw the INVITE or not."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    caller.cancel()
    caller.ack_failure(a.expect_all("200 CANCEL", "487 INVITE")["487 INVITE"])
    invite = next((m for m in b.collect(0.4) if m.kind == "INVITE"), None)
    if invite is not None:
        callee = Dialog.incoming(b, invite)
        callee.reply(180)
        callee.answer(b.expect("CANCEL"), 200)
        callee.reply(487)
        b.expect("ACK")
    t.cdr(**CANCELLED)


@scenario()
def cancel_is_answered_at_once_and_again(t):
    """A repeated CANCEL gets its 200 again; the 487 is repeated until its ACK."""
    caller, callee = t.ringing()
    cancel = caller.cancel()
    got = caller.agent.expect_all("200 CANCEL", "487 INVITE")
    caller.agent.send(cancel, t.to)
    caller.agent.expect_repeat(got["200 CANCEL"])
    caller.agent.expect_repeat(got["487 INVITE"])
    caller.ack_failure(got["487 INVITE"])
    callee.answer(callee.agent.expect("CANCEL"), 200)
    callee.reply(487)
    callee.agent.expect("ACK")
    t.cdr(**CANCELLED)


@scenario()
def late_answer_after_cancel(t):
    """The callee's 200 crosses our CANCEL: ACK and BYE; the caller has its 487, the CDR says cancelled."""
    caller, callee = t.ringing()
    b = callee.agent
    caller.cancel()
    got = caller.agent.expect_all("200 CANCEL", "487 INVITE")
    caller.ack_failure(got["487 INVITE"])
    cancel = b.expect("CANCEL")
    callee.reply(200, sdp(port=50000))
    callee.answer(cancel, 481)
    b.expect("ACK")
    bye = b.expect("BYE")
    need(bye.to_tag == callee.local_tag, "BYE with tag %s", bye.to_tag)
    callee.answer(bye, 200)
    caller.agent.expect_silence(0.2)
    t.cdr(**CANCELLED)


@scenario()
def late_failure_after_cancel(t):
    """The callee answers the cancelled INVITE with 503: ACK, and the caller hears nothing of it."""
    caller, callee = t.ringing()
    caller.cancel()
    caller.ack_failure(caller.agent.expect_all("200 CANCEL", "487 INVITE")["487 INVITE"])
    callee.answer(callee.agent.expect("CANCEL"), 200)
    callee.reply(503)
    callee.agent.expect("ACK")
    caller.agent.expect_silence(0.2)
    t.cdr(**CANCELLED)


@scenario(seconds=2)
def cancel_crosses_the_answer(t):
    """The caller's CANCEL crosses the 200 to it: 200 to the CANCEL, both legs end, not connected."""
    caller, callee = t.ringing()
    a, b = caller.agent, callee.agent
    began = time.time()
    callee.reply(200, sdp(port=50000))
    b.expect("ACK")  # so the switch has taken the 200 before the CANCEL
    caller.cancel()
    late_s = time.time() - began + lateness.of_machine_s(began, time.time())
    got = {}
    while "200 CANCEL" not in got or len(got) < 2:
        message = a.expect("200 CANCEL", "200 INVITE", "487 INVITE")
        got[message.kind] = message
    if "487 INVITE" in got:
        caller.ack_failure(got["487 INVITE"])
    else:  # RFC 3261 15: a caller that gets a 200 after all sends ACK and BYE, unless the switch is quicker
        caller.confirm(got["200 INVITE"]).ack()
        bye = next((m for m in a.collect(0.5) if m.kind == "BYE"), None)
        if bye is not None:
            caller.answer(bye, 200)
        else:
            caller.send("BYE")
            a.expect("200 BYE")
    callee.answer(b.expect("BYE"), 200)
    # A CANCEL that comes 2*T1 after the 200 is not of a caller that waits for it.
    t.cdr(end_reason="cancelled" if late_s < 0.3 else {"cancelled", "normal"}, end_side="caller")


@scenario()
def number_is_normalised(t):
    """A leading + and visual separators are dropped for routing; the CDR has the number as received."""
    a, b = t.caller(), t.callee()
    dialled = "+" + t.number[:4] + "-(" + t.number[4:7] + ")." + t.number[7:]
    caller = a.invite(t.to, dialled, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    need(callee.invite.uri.startswith("sip:%s@" % t.number), "request-URI %s", callee.invite.uri)
    callee.reply(486)
    caller.ack_failure(a.expect("486 INVITE"))
    b.expect("ACK")
    t.cdr(end_reason="rejected", end_side="callee", sip_code=486, callee_out=t.number,
          callee_in={dialled, "+" + t.number})


@scenario()
def same_call_id_twice_at_once(t):
    """Two calls with one Call-ID but other From tags and branches are kept apart."""
    a, b = t.caller(), t.callee()
    first = a.invite(t.to, t.number, sdp())
    callee1 = Dialog.incoming(b, b.expect("INVITE"))
    callee1.reply(180)
    a.expect("180 INVITE")
    second = a.invite(t.to, t.number, sdp(), call_id=first.call_id)
    callee2 = Dialog.incoming(b, b.expect("INVITE"))
    callee2.reply(180)
    a.expect("180 INVITE")
    callee2.reply(486)
    busy = a.expect("486 INVITE")
    need(busy.from_tag == second.local_tag, "486 to the wrong call")
    second.ack_failure(busy)
    b.expect("ACK")
    callee1.reply(200, sdp(port=50000))
    ok = a.expect("200 INVITE")
    need(ok.from_tag == first.local_tag, "200 to the wrong call")
    first.confirm(ok).ack()
    b.expect("ACK")
    t.hang_up(first, callee1)
    t.cdr_answered()
    t.cdr(end_reason="rejected", end_side="callee", sip_code=486)


@scenario()
def long_identifiers(t):
    """A Call-ID and tags of 200 characters each: the BYE still finds its call."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp(), call_id="c" * 180 + "@example.net",
                      from_='"X" <sip:+49301000@%s>;tag=%s' % (a.host_port, "t" * 200))
    callee = Dialog.incoming(b, b.expect("INVITE"), tag="u" * 200)
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered(call_id_a=caller.call_id)

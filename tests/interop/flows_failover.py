"""From one routing gateway to the next: failures, silence, what forbids it, and what comes too late.  Spec 6.

The profile "failover" lets a call go on after ringing and after early media, as many carriers' customers want it;
"main" has the defaults, which do not.
"""

import time

from carriers import (connect, ended, given_up, invited, late_answer, notes_come_home, placed, refuse, rings, served,
                      silent, state_of, tried, waited)
from harness import carrier_name, carrier_port, scenario
from nua import Nua
from sipmsg import sdp
from ua import Dialog, need

TWO = ({}, {})
FIRST_SILENT = ({"timeout_invite": 1}, {})
FIRST_RINGS_OUT = ({"timeout_ringing": 1}, {})
BUSY = dict(end_reason="rejected", end_side="callee", sip_code=486)


def two(t):
    """The customer's agent and those of two carriers."""
    return t.caller(), t.carrier(0), t.carrier(1)


# Failures

@scenario(carriers=TWO)
def failover_on_503(t):
    """503 from the first carrier: its ACK, an attempt of its own at the second one, and the caller notices nothing."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    refuse(lost, 503)
    callee = invited(second)
    for what in ("branch", "call_id", "from_tag"):
        need(getattr(callee.invite, what) != getattr(lost.invite, what), "both attempts have the %s %s", what,
             getattr(lost.invite, what))
    need(callee.invite.body == lost.invite.body == sdp(), "the offer was changed: %r", callee.invite.body)
    need(callee.invite.get("Max-Forwards") == lost.invite.get("Max-Forwards"), "Max-Forwards: %s",
         callee.invite.get("Max-Forwards"))
    need(callee.invite.uri == "sip:%s@%s" % (t.number, second.host_port), "request-URI %s", callee.invite.uri)
    rings(caller, callee)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 503), (1, 200)))


@scenario(carriers=TWO, seconds=2)
def failover_on_any_other_failure(t):
    """Redirections, challenges, 4xx, 5xx and 6xx that no rule names go on as well."""
    a, first, second = two(t)
    for code in (302, 401, 403, 404, 407, 408, 422, 480, 487, 488, 500, 504, 580, 607):
        caller = placed(t, a)
        refuse(invited(first), code)
        callee = invited(second)
        refuse(callee, 486)
        ended(caller, 486)
        t.cdr(**dict(BUSY, **served(t, 1, callee, (0, code), (1, 486))))
    silent(a, first, second)


@scenario(carriers=({}, {}, {}))
def last_code_counts(t):
    """All carriers refuse: the caller gets the last one's code, each is tried once and in order."""
    a, carriers = t.caller(), [t.carrier(n) for n in range(3)]
    caller = placed(t, a)
    for carrier, code in zip(carriers, (503, 404, 500)):
        callee = invited(carrier)
        refuse(callee, code)
    ended(caller, 500)
    silent(a, *carriers)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=500, q850=41,
          **served(t, 2, callee, (0, 503), (1, 404), (2, 500)))


# Silence

@scenario(carriers=FIRST_SILENT, profile="failover", seconds=3)
def failover_on_silence(t):
    """timeout_invite: nothing comes from the first carrier; no CANCEL before a provisional response (RFC 3261 9.1)."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = first.expect("INVITE")
    callee = invited(second)
    waited(lost.received_s, callee.invite, 1)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(first)
    need(first.repeats[lost.key] >= 1, "the first INVITE was not repeated")
    before = first.repeats[lost.key]
    first.expect_silence(1.2)
    need(first.repeats[lost.key] <= before + 1, "the INVITE is still repeated after its attempt has ended")
    silent(a)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=({"timeout_invite": 1}, {"timeout_invite": 1}), seconds=3)
def all_silent(t):
    """Nobody answers: 408 after both time-outs."""
    a, first, second = two(t)
    caller = placed(t, a)
    first.expect("INVITE")
    callee = invited(second)
    waited(callee.invite.received_s, ended(caller, 408), 1)
    silent(a, first, second)
    t.cdr(end_reason="timeout_invite", end_side="switch", sip_code=408, **served(t, 1, callee, (0, 0), (1, 0)))


@scenario(carriers=FIRST_SILENT, profile="failover", seconds=2)
def first_carrier_wakes_up_with_ringing(t):
    """180 of an attempt that was given up in silence: CANCEL, and the caller hears nothing of it."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost, callee = invited(first), invited(second)
    lost.reply(180)
    given_up(lost)
    silent(a)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=({"timeout_trying": 1}, {}), seconds=2)
def failover_on_trying(t):
    """timeout_trying: 100 and nothing more; CANCEL to the first, and the second does not wait for its 487."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    began = time.time()
    lost.reply(100)
    callee = invited(second)
    waited(began, callee.invite, 1)
    connect(caller, callee)
    given_up(lost)
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


# Ringing and early media

@scenario(carriers=FIRST_RINGS_OUT, profile="failover", seconds=2)
def failover_on_ring_timeout(t):
    """timeout_ringing: CANCEL to the first carrier, the call on the second, and another To tag for the caller."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    began = time.time()
    rang = rings(caller, lost)
    waited(began, given_up(lost), 1)
    callee = invited(second)
    ringing = rings(caller, callee)
    ok = connect(caller, callee)
    need(ringing.to_tag != rang.to_tag, "the second ringing has the To tag of the first: %s", rang.to_tag)
    need(ok.to_tag == ringing.to_tag, "To tags of 180 and 200: %s, %s", ringing.to_tag, ok.to_tag)
    t.hang_up(callee, caller)
    silent(a, first)
    t.cdr_answered("callee", **served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=FIRST_RINGS_OUT, profile="failover", seconds=2)
def early_dialog_of_a_given_up_attempt(t):
    """RFC 3261 12.1.1: the To tag of the first ringing names nothing any more, the one of the 200 the whole call."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    rang = rings(caller, lost)
    given_up(lost)
    callee = invited(second)
    connect(caller, callee)
    former = Dialog.outgoing(a, caller.invite, t.to).confirm(rang)
    former.target, former.cseq = caller.target, 50
    former.send("INFO")
    a.expect("481 INFO")
    silent(second)
    caller.cseq = 60
    caller.send("INFO")
    callee.answer(second.expect("INFO"), 200)
    a.expect("200 INFO")
    callee.send("INFO")
    there = a.expect("INFO")
    need((there.from_tag, there.to_tag) == (caller.response.to_tag, caller.local_tag), "tags of the callee's request")
    caller.answer(there, 200)
    second.expect("200 INFO")
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=({"timeout_session_progress_sdp": 1}, {}), profile="failover", seconds=2)
def failover_on_early_media_silence(t):
    """timeout_session_progress_sdp: an announcement without end; the caller gets the second carrier's media."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    began = time.time()
    lost.reply(183, sdp(port=51000))
    heard = a.expect("183 INVITE")
    need(heard.body == sdp(port=51000), "early media: %r", heard.body)
    waited(began, given_up(lost), 1)
    callee = invited(second)
    callee.reply(183, sdp(port=52000))
    other = a.expect("183 INVITE")
    need(other.body == sdp(port=52000) and other.to_tag != heard.to_tag, "the second early media: %s", other.raw)
    need(connect(caller, callee, 52000).to_tag == other.to_tag, "another To tag in the 200 than in its 183")
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=TWO)
def failover_after_progress_without_media(t):
    """183 without SDP is neither ringing nor early media: a 503 after it goes on, whatever the parameters say."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    lost.reply(183)
    a.expect("183 INVITE")
    refuse(lost, 503)
    callee = invited(second)
    connect(caller, callee)
    t.hang_up(caller, callee)
    t.cdr_answered(**served(t, 1, callee, (0, 503), (1, 200)))


@scenario(carriers=TWO)
def stop_after_ringing(t):
    """SS_GATEWAY_SWITCH_UNTIL_CONNECT off: it rang at the first carrier, so its 503 is the caller's."""
    a, first, second = two(t)
    caller = placed(t, a)
    callee = invited(first)
    rings(caller, callee)
    refuse(callee, 503)
    ended(caller, 503)
    silent(a, second)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503, **served(t, 0, callee, (0, 503)))


@scenario(carriers=FIRST_RINGS_OUT, seconds=2)
def stop_after_ringing_out(t):
    """The same with a time-out: CANCEL to the first carrier, 480 to the caller."""
    a, first, second = two(t)
    caller = placed(t, a)
    callee = invited(first)
    rings(caller, callee)
    given_up(callee)
    ended(caller, 480)
    silent(a, second)
    t.cdr(end_reason="timeout_ringing", end_side="switch", sip_code=480, **served(t, 0, callee, (0, 0)))


@scenario(carriers=TWO)
def stop_after_early_media(t):
    """SS_SIP_STOP_SWITCH_AFTER_SDP on: a 503 after early media is the caller's."""
    a, first, second = two(t)
    caller = placed(t, a)
    callee = invited(first)
    callee.reply(183, sdp(port=50000))
    a.expect("183 INVITE")
    refuse(callee, 503)
    ended(caller, 503)
    silent(a, second)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503, **served(t, 0, callee, (0, 503)))


@scenario(carriers=FIRST_RINGS_OUT, profile="failover", seconds=5)
def nua_sees_another_to_tag(t):
    """RFC 3261 13.2.2.4 with a user agent that is not ours: two early dialogs, and the call in the second one."""
    first = t.carrier(0)
    running = [Nua(t, "callee", t.network.carrier(t.index, 1), carrier_port(0), 2, 600)]
    try:
        running[0].wait_ready()
        running.append(Nua(t, "caller", t.caller_host, 5070, 2, 600, more=[
            "--hang-up", "--to", "sip:%s@%s:%d" % ((t.number,) + t.to)]))
        lost = invited(first)
        lost.reply(180)
        given_up(lost)
        statuses = [nua.process.wait(20) for nua in running]
        t.output += ["%s: %s" % (nua.role, line) for nua in running for line in nua.said()]
        need(statuses == [0, 0], "exit status of callee and caller: %s", statuses)
    finally:
        for nua in running:
            nua.kill()
    silent(first)
    t.cdr_answered(routing_gateway=carrier_name(t.name, 1), tried=tried(t, (0, 0), (1, 200)),
                   session_timer="a+b")


# Codes that end the search

def stops(t, codes, first, second, a, number=0):
    for code in codes:
        caller = placed(t, a)
        callee = invited(first)
        refuse(callee, code)
        ended(caller, code)
        silent(second)
        t.cdr(end_reason={"rejected", "no_answer"}, end_side="callee", sip_code=code,
              **served(t, number, callee, (number, code)))


def goes_on(t, codes, first, second, a):
    for code in codes:
        caller = placed(t, a)
        refuse(invited(first), code)
        callee = invited(second)
        refuse(callee, 486)
        ended(caller, 486)
        t.cdr(**dict(BUSY, **served(t, 1, callee, (0, code), (1, 486))))


@scenario(carriers=TWO)
def stop_on_busy(t):
    """SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY: 486 and 600 are the callee's own word."""
    a, first, second = two(t)
    stops(t, (486, 600), first, second, a)


@scenario(carriers=TWO)
def stop_on_decline(t):
    """603, 604 and 606 end the search."""
    a, first, second = two(t)
    stops(t, (603, 604, 606), first, second, a)


@scenario(carriers=({"ignore_6xx": "on"}, {}), profile="failover")
def ignore_6xx(t):
    """ignore_6xx: 603, 604 and 606 of that gateway are its own word only; 600 is still busy."""
    a, first, second = two(t)
    goes_on(t, (603, 604, 606), first, second, a)
    stops(t, (600,), first, second, a)


@scenario(carriers=({"stop_codes": ["404", "500-503"]}, {}), profile="failover", seconds=2)
def stop_codes(t):
    """stop_codes of the gateway, single ones and ranges."""
    a, first, second = two(t)
    stops(t, (404, 500, 503), first, second, a)
    goes_on(t, (403, 405, 499, 504), first, second, a)


# Retry-After

@scenario(carriers=TWO, profile="failover", seconds=6)
def retry_after(t):
    """503 with Retry-After: the gateway rests that long, for calls of every shard, and is tried again afterwards."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    began = time.monotonic()
    refuse(lost, 503, [("Retry-After", "4 (maintenance);duration=60")])
    callee = invited(second)
    heard = time.monotonic()
    refuse(callee, 486)
    ended(caller, 486)
    t.cdr(**dict(BUSY, **served(t, 1, callee, (0, 503), (1, 486))))
    notes_come_home()
    for _ in range(4):
        caller = placed(t, a)
        callee = invited(second)
        refuse(callee, 486)
        ended(caller, 486)
        t.cdr(**dict(BUSY, **served(t, 1, callee, (1, 486))))
    need(time.monotonic() - began < 3.9, "the machine is too slow for this: %.1f s", time.monotonic() - began)
    silent(first)
    time.sleep(max(0.0, heard + 4.2 - time.monotonic()))
    caller = placed(t, a)
    callee = invited(first)
    refuse(callee, 486)
    ended(caller, 486)
    silent(second)
    t.cdr(**dict(BUSY, **served(t, 0, callee, (0, 486))))


@scenario(carriers=TWO, profile="failover")
def retry_after_of_no_time(t):
    """A Retry-After of 0, or one that cannot be read, rests nobody."""
    a, first, second = two(t)
    for value in ("0", "soon", "-5", ""):
        caller = placed(t, a)
        refuse(invited(first), 503, [("Retry-After", value)])
        callee = invited(second)
        refuse(callee, 486)
        ended(caller, 486)
        t.cdr(**dict(BUSY, **served(t, 1, callee, (0, 503), (1, 486))))
    stops(t, (486,), first, second, a)


@scenario(carriers=({"addresses": 2}, {}), profile="failover")
def retry_after_of_one_address(t):
    """Retry-After of one of several addresses: that address rests, the gateway goes on with the other one."""
    a, first, other, second = t.caller(), t.carrier(0), t.carrier(0, 1), t.carrier(1)
    caller = placed(t, a)
    refuse(invited(first), 503, [("Retry-After", "30")])
    callee = invited(other)
    refuse(callee, 486)
    ended(caller, 486)
    t.cdr(**dict(BUSY, **served(t, 0, callee, (0, 503), (0, 486))))
    notes_come_home()
    caller = placed(t, a)
    callee = invited(other)
    refuse(callee, 503, [("Retry-After", "30")])
    callee = invited(second)
    refuse(callee, 486)
    ended(caller, 486)
    t.cdr(**dict(BUSY, **served(t, 1, callee, (0, 503), (1, 486))))
    notes_come_home()
    stops(t, (486,), second, first, a, 1)
    silent(other)


@scenario(carriers=({},), profile="failover")
def all_rest(t):
    """The only gateway rests: 503 with Reason Q.850;cause=34, and no Retry-After for the customer."""
    a, first = t.caller(), t.carrier(0)
    need(state_of(t, 0) == "up", "gateways.list says %s", state_of(t, 0))
    caller = placed(t, a)
    callee = invited(first)
    refuse(callee, 503, [("Retry-After", "30")])
    need(not ended(caller, 503).has("Retry-After"), "the carrier's Retry-After was passed on")
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503, **served(t, 0, callee, (0, 503)))
    notes_come_home()
    final = ended(placed(t, a), 503)
    need((final.get("Reason") or "").startswith("Q.850;cause=34") and not final.has("Retry-After"), "%s", final.raw)
    need(state_of(t, 0) == "resting", "gateways.list says %s", state_of(t, 0))
    silent(first)
    t.cdr(end_reason="capacity", end_side="switch", sip_code=503, q850=34, tried=[])


# Too late

@scenario(carriers=FIRST_SILENT, profile="failover", seconds=2)
def late_answer_before_the_second(t):
    """200 of an attempt that was given up, while the second one rings: ACK and BYE, and the call is the second's."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost, callee = invited(first), invited(second)
    rings(caller, callee)
    late_answer(lost)
    silent(a)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=FIRST_SILENT, profile="failover", seconds=2)
def late_answer_behind_the_second(t):
    """The same after the second one has answered; and once more, its ACK being lost."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost, callee = invited(first), invited(second)
    connect(caller, callee)
    late_answer(lost)
    lost.reply(200, sdp(port=50666))
    until = time.monotonic() + first.PATIENCE_S
    while not any(kind[0] == "ACK" for kind in first.repeats):
        need(time.monotonic() < until, "the repeated 200 got no ACK")
        first.collect(0.05)
    t.hang_up(caller, callee)
    silent(a)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=FIRST_RINGS_OUT, profile="failover", seconds=2)
def late_answer_crosses_the_cancel(t):
    """The first one lifts the receiver just when it has rung out: ACK and BYE, and the call is the second's."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    rings(caller, lost)
    cancel = first.expect("CANCEL")
    lost.reply(200, sdp(port=50666))
    lost.answer(cancel, 481)
    first.expect("ACK")
    lost.answer(first.expect("BYE"), 200)
    callee = invited(second)
    silent(a)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=FIRST_SILENT, profile="failover", seconds=2)
def late_failure(t):
    """A failure of an attempt that was given up gets its ACK, and nothing else comes of it."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost, callee = invited(first), invited(second)
    refuse(lost, 603)
    silent(a)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=FIRST_RINGS_OUT, profile="failover", seconds=2)
def cancel_after_switch(t):
    """The caller gives up while the second one rings: 487 to it, CANCEL to the second, and the first's 487 is late."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    rings(caller, lost)
    lost.answer(first.expect("CANCEL"), 200)
    callee = invited(second)
    rings(caller, callee)
    caller.cancel()
    got = a.expect_all("200 CANCEL", "487 INVITE")
    caller.ack_failure(got["487 INVITE"])
    given_up(callee)
    refuse(lost, 487)
    silent(a, first, second)
    fields = served(t, 1, callee)
    fields.pop("tried")
    t.cdr(end_reason="cancelled", end_side="caller", sip_code=487, **fields)


@scenario(carriers=FIRST_RINGS_OUT, profile="failover", seconds=2)
def late_answers_of_a_forking_gateway(t):
    """A forking gateway rang out: one CANCEL; a 180 behind it is not passed on; BYE to each of two late 200s."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    forks = [lost, Dialog.incoming(first, lost.invite, tag="fork-two")]
    rings(caller, lost)
    cancel = first.expect("CANCEL")
    callee = invited(second)
    forks[1].reply(180)
    silent(a)
    for fork in forks:
        late_answer(fork)
    lost.answer(cancel, 481)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, first)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=FIRST_RINGS_OUT, profile="failover", seconds=2)
def invite_repeated_after_the_switch(t):
    """The caller repeats its INVITE: the latest ringing again, with its own To tag, and no attempt more."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    rang = rings(caller, lost)
    a.send(caller.invite, t.to)
    a.expect_repeat(rang)
    given_up(lost)
    callee = invited(second)
    ringing = rings(caller, callee)
    before = a.repeats[rang.key]
    a.send(caller.invite, t.to)
    a.expect_repeat(ringing)
    need(a.repeats[rang.key] == before, "the ringing of the first attempt once more")
    silent(first, second)
    connect(caller, callee)
    t.hang_up(caller, callee)
    t.cdr_answered(**served(t, 1, callee, (0, 0), (1, 200)))


@scenario(carriers=TWO)
def interval_refused_then_failover(t):
    """422 and its repeat are one attempt (RFC 4028 7.4); the second carrier starts anew."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    refuse(lost, 422, [("Min-SE", "1200")])
    again = invited(first)
    need(again.call_id == lost.call_id and again.invite.cseq > lost.invite.cseq and
         again.invite.get("Min-SE") == "1200", "the repeat: %s", again.invite.raw)
    refuse(again, 503)
    callee = invited(second)
    need(callee.invite.get("Min-SE") == lost.invite.get("Min-SE"), "Min-SE: %s", callee.invite.get("Min-SE"))
    connect(caller, callee)
    t.hang_up(caller, callee)
    t.cdr_answered(**served(t, 1, callee, (0, 503), (1, 200)))


@scenario(carriers=TWO)
def delayed_offer_after_failover(t):
    """An INVITE without SDP: the second carrier's offer is in its 200, and its ACK bears the caller's answer."""
    a, first, second = two(t)
    caller = placed(t, a, b"")
    refuse(invited(first), 503)
    callee = invited(second)
    need(not callee.invite.body, "the INVITE has a body: %r", callee.invite.body)
    callee.reply(200, sdp(port=50000))
    ok = a.expect("200 INVITE")
    second.expect_silence(0.15)
    caller.confirm(ok).ack(body=sdp(port=40010))
    need(second.expect("ACK").body == sdp(port=40010), "the answer in the ACK")
    t.hang_up(caller, callee)
    t.cdr_answered(**served(t, 1, callee, (0, 503), (1, 200)))


# Several addresses

@scenario(carriers=({"addresses": 2, "capacity": 1, "timeout_invite": 1}, {}), profile="failover", seconds=2)
def second_address_after_silence(t):
    """The first address of a gateway is silent: its second one, on the same line of the gateway."""
    a, first, other, second = t.caller(), t.carrier(0), t.carrier(0, 1), t.carrier(1)
    caller = placed(t, a)
    lost = first.expect("INVITE")
    callee = invited(other)
    waited(lost.received_s, callee.invite, 1)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, first, second)
    t.cdr_answered(**served(t, 0, callee, (0, 0), (0, 200)))


@scenario(carriers=({"addresses": 3}, {}), profile="failover")
def next_address_after_503(t):
    """503 goes on to the gateway's next address, and from its last one to the next gateway."""
    a, first, second = t.caller(), [t.carrier(0, n) for n in range(3)], t.carrier(1)
    caller = placed(t, a)
    for address in first:
        refuse(invited(address), 503)
    callee = invited(second)
    connect(caller, callee)
    t.hang_up(caller, callee)
    silent(a, *first)
    t.cdr_answered(**served(t, 1, callee, (0, 503), (0, 503), (0, 503), (1, 200)))


@scenario(carriers=({"addresses": 2}, {}), profile="failover")
def other_failures_leave_the_gateway(t):
    """404 is the gateway's word at whichever address: the next gateway; and 486 ends the search."""
    a, first, other, second = t.caller(), t.carrier(0), t.carrier(0, 1), t.carrier(1)
    goes_on(t, (404, 500), first, second, a)
    stops(t, (486,), first, second, a)
    silent(other)


# What the caller is told

@scenario(mg={"failed_reason_map": ["503 -> 480", "5xx -> 486", "408 -> 404"]},
          carriers=({}, {"timeout_invite": 1}), profile="failover", seconds=2)
def failed_reason_map(t):
    """failed_reason_map changes what the caller is told, not what happened."""
    a, first, second = two(t)
    for code, told in ((503, 480), (500, 486), (404, 404)):
        caller = placed(t, a)
        refuse(invited(first), 403)
        callee = invited(second)
        refuse(callee, code)
        ended(caller, told)
        t.cdr(end_reason={"rejected", "no_answer"}, end_side="callee", sip_code=told,
              **served(t, 1, callee, (0, 403), (1, code)))
    caller = placed(t, a)
    refuse(invited(first), 503)
    callee = invited(second)
    ended(caller, 404)
    t.cdr(end_reason="timeout_invite", end_side="switch", sip_code=404, **served(t, 1, callee, (0, 503), (1, 0)))


@scenario(carriers=({"tech_prefix": "11#"}, {"tech_prefix": "22*"}), profile="failover")
def numbers_of_each_attempt(t):
    """Each carrier gets the number with its own tech_prefix; the CDR has the last one."""
    a, first, second = two(t)
    caller = placed(t, a)
    lost = invited(first)
    need(lost.invite.uri == "sip:11%%23%s@%s" % (t.number, first.host_port), "request-URI %s", lost.invite.uri)
    refuse(lost, 503)
    callee = invited(second)
    need(callee.invite.uri == "sip:22*%s@%s" % (t.number, second.host_port), "request-URI %s", callee.invite.uri)
    connect(caller, callee)
    t.hang_up(caller, callee)
    t.cdr_answered(**dict(served(t, 1, callee, (0, 503), (1, 200)), callee_out="22*" + t.number))

"""Set-up timeouts: how long a silent or ringing callee is waited for.  Spec 6."""

import time

from harness import scenario
from sipmsg import sdp
from ua import Dialog, need


def timed_out(t, caller, codes, at_least_s, began):
    final = caller.agent.expect(*["%d INVITE" % c for c in codes])
    need(time.monotonic() - began >= at_least_s - 0.05, "the time-out came after %.2f s", time.monotonic() - began)
    caller.ack_failure(final)
    return final


@scenario(rg={"timeout_invite": 1}, seconds=2)
def timeout_invite(t):
    """A callee that never answers: 408 after timeout_invite, and the INVITE was repeated."""
    a, b = t.caller(), t.callee()
    began = time.monotonic()
    caller = a.invite(t.to, t.number, sdp())
    invite = b.expect("INVITE")
    timed_out(t, caller, (408,), 1, began)
    b.expect_silence(0.3)
    need(b.repeats[invite.key] >= 1, "the INVITE was not repeated")
    before = b.repeats[invite.key]
    b.expect_silence(1.2)
    need(b.repeats[invite.key] == before, "the INVITE is still repeated after the attempt ended")
    t.cdr(end_reason="timeout_invite", end_side="switch", sip_code=408, routing_gateway=t.name)


@scenario(rg={"timeout_invite": 1}, seconds=2)
def timeout_invite_then_ringing(t):
    """The callee wakes up with a 180 after the attempt has ended: it gets a CANCEL."""
    a, b = t.caller(), t.callee()
    began = time.monotonic()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    timed_out(t, caller, (408,), 1, began)
    callee.reply(180)
    callee.answer(b.expect("CANCEL"), 200)
    callee.reply(487)
    b.expect("ACK")
    a.expect_silence(0.1)
    t.cdr(end_reason="timeout_invite", end_side="switch", sip_code=408)


@scenario(rg={"timeout_invite": 1}, seconds=2)
def timeout_invite_then_answer(t):
    """The callee wakes up with a 200 after the attempt has ended: ACK and BYE."""
    a, b = t.caller(), t.callee()
    began = time.monotonic()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    timed_out(t, caller, (408,), 1, began)
    callee.reply(200, sdp(port=50000))
    b.expect("ACK")
    callee.answer(b.expect("BYE"), 200)
    a.expect_silence(0.1)
    t.cdr(end_reason="timeout_invite", end_side="switch", sip_code=408)


def expires_with_cancel(t, provisional, codes, reason, body=b""):
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    began = time.monotonic()
    callee.reply(provisional, body)
    if provisional != 100:
        a.expect("%d INVITE" % provisional)
    callee.answer(b.expect("CANCEL"), 200)
    need(time.monotonic() - began >= 0.95, "CANCEL after %.2f s", time.monotonic() - began)
    callee.reply(487)
    b.expect("ACK")
    timed_out(t, caller, codes, 1, began)
    t.cdr(end_reason=reason, end_side="switch", sip_code=set(codes))


@scenario(rg={"timeout_trying": 1}, seconds=2)
def timeout_trying(t):
    """Only a 100 from the callee: CANCEL to it after timeout_trying, 408 to the caller."""
    expires_with_cancel(t, 100, (408,), "timeout_trying")


@scenario(rg={"timeout_ringing": 1}, seconds=2)
def timeout_ringing(t):
    """Nobody lifts the receiver: CANCEL to the callee after timeout_ringing, 480 to the caller."""
    expires_with_cancel(t, 180, (480,), "timeout_ringing")


@scenario(rg={"timeout_session_progress": 1}, seconds=2)
def timeout_progress(t):
    """183 without SDP and then nothing."""
    expires_with_cancel(t, 183, (408, 480), "timeout_progress")


@scenario(rg={"timeout_session_progress_sdp": 1}, seconds=2)
def timeout_progress_with_sdp(t):
    """183 with SDP and then nothing."""
    expires_with_cancel(t, 183, (408, 480), "timeout_progress", sdp(port=50000))


@scenario(rg={"timeout_invite": 1, "timeout_ringing": 3}, seconds=3)
def newest_timeout_counts(t):
    """After a 180 only timeout_ringing runs; a repeated 180 is passed on or not, but does not restart it."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(180)
    a.expect("180 INVITE")
    b.expect_silence(1.4)
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario(rg={"timeout_ringing": 2}, seconds=3)
def repeated_ringing_restarts_nothing(t):
    """A 180 repeated every half second does not keep a call ringing for ever."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    began = time.monotonic()
    callee.reply(180)
    cancel = None
    while cancel is None and time.monotonic() - began < 6:
        cancel = next((m for m in b.collect(0.5) if m.kind == "CANCEL"), None)
        if cancel is None:
            callee.reply(180)
    need(cancel is not None, "no CANCEL: the repeated 180 restarted the timer")
    callee.answer(cancel, 200)
    callee.reply(487)
    b.expect("ACK")
    caller.ack_failure(a.expect("480 INVITE", skip=("180 INVITE",)))
    t.cdr(end_reason="timeout_ringing", end_side="switch", sip_code=480)

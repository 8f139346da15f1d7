"""Ends of calls: lost, repeated, early and crossing BYEs; missing ACKs.  Spec 4."""

import time

from harness import scenario
from sipmsg import sdp
from ua import Dialog, need


@scenario()
def bye_repeated(t):
    """A retransmitted BYE gets the same answer, also when the call is long gone."""
    caller, callee = t.answered()
    bye = caller.send("BYE")
    relayed = callee.agent.expect("BYE")
    callee.answer(relayed, 200)
    ok = caller.agent.expect("200 BYE")
    for _ in range(3):
        caller.again(bye)
        caller.agent.expect_repeat(ok)
    time.sleep(0.3)
    caller.again(bye)
    caller.agent.expect_repeat(ok)
    callee.agent.expect_silence(0.1)
    t.cdr_answered()


@scenario()
def bye_lost(t):
    """The callee misses the BYE twice: it is retransmitted; the caller has its 200 meanwhile or after."""
    caller, callee = t.answered()
    caller.send("BYE")
    bye = callee.agent.expect("BYE")
    callee.agent.expect_repeat(bye, 2)
    callee.answer(bye, 200)
    caller.agent.expect("200 BYE")
    time.sleep(0.1)
    before = callee.agent.repeats[bye.key]
    callee.agent.expect_silence(0.8)
    need(callee.agent.repeats[bye.key] <= before + 1, "BYE repeated after its 200")
    t.cdr_answered()


@scenario()
def byes_cross(t):
    """BYEs from both sides at once: each gets a final answer at once, one CDR."""
    caller, callee = t.answered()
    caller.send("BYE")
    callee.send("BYE")
    for dialog in (caller, callee):
        agent = dialog.agent
        final = agent.expect("200 BYE", "481 BYE", "BYE", timeout=2)
        if final.kind == "BYE":  # the switch passed the other side's on before it saw this one's
            dialog.answer(final, 200)
            final = agent.expect("200 BYE", "481 BYE", timeout=2)
    t.cdr_answered({"caller", "callee"})


@scenario()
def byes_cross_on_leg_b(t):
    """The callee's BYE crosses the one that we pass on: both get a final answer at once."""
    caller, callee = t.answered()
    caller.send("BYE")
    passed = callee.agent.expect("BYE")
    callee.send("BYE")
    callee.agent.expect("200 BYE", "481 BYE", timeout=2)
    callee.answer(passed, 481)
    caller.agent.expect("200 BYE")
    t.cdr_answered("caller")


@scenario()
def callee_is_gone_when_the_caller_hangs_up(t):
    """The callee answers the relayed BYE with 481: the caller gets 200 nevertheless."""
    caller, callee = t.answered()
    caller.send("BYE")
    callee.answer(callee.agent.expect("BYE"), 481)
    caller.agent.expect("200 BYE")
    t.cdr_answered("caller")


@scenario()
def bye_with_a_reinvite_open(t):
    """The callee hangs up while the caller's re-INVITE waits at it: that gets a final answer, the call ends."""
    caller, callee = t.answered()
    request = caller.send("INVITE", sdp(2, 40002))
    relayed = callee.agent.expect("INVITE")
    callee.send("BYE")
    callee.agent.expect("200 BYE", skip=("CANCEL",))
    callee.answer(relayed, 487)
    got = {}
    for _ in range(2):
        message = caller.agent.expect("BYE", "487 INVITE", "481 INVITE", "500 INVITE", "491 INVITE", "408 INVITE")
        got[message.method] = message
        if message.kind == "BYE":
            caller.answer(message, 200)
        else:
            caller.ack_failure(message, request)
    need(set(got) == {"BYE", "INVITE"}, "got %s", list(got))
    t.cdr_answered("callee")


@scenario()
def bye_before_the_callers_ack(t):
    """The callee hangs up before the caller's ACK is in: the BYE to the caller waits for it."""
    caller, callee = t.answered(acknowledge=False)
    callee.send("BYE")
    callee.agent.expect("200 BYE")
    caller.agent.expect_silence(0.5)  # repeated 200s at most
    caller.ack()
    caller.answer(caller.agent.expect("BYE"), 200)
    t.cdr_answered("callee")


@scenario(profile="quick", seconds=3)
def bye_when_the_ack_never_comes(t):
    """The same with the ACK lost for good: the BYE is still sent, after 64*T1."""
    caller, callee = t.answered(acknowledge=False)
    callee.send("BYE")
    callee.agent.expect("200 BYE")
    bye = caller.agent.expect("BYE")
    need(bye.received_s - caller.response.received_s > 1.2, "BYE before 64*T1")
    caller.answer(bye, 200)
    t.cdr_answered("callee")


@scenario(profile="quick", seconds=3)
def ack_missing(t):
    """The caller never sends an ACK: BYE on both legs after 64*T1, once."""
    caller, callee = t.answered(acknowledge=False)
    for dialog in (callee, caller):
        bye = dialog.agent.expect("BYE")
        need(bye.received_s - caller.response.received_s > 1.2, "BYE before 64*T1")
        dialog.answer(bye, 200)
    need(caller.agent.repeats[caller.response.key] >= 3, "the 200 was hardly repeated")
    caller.agent.expect_silence(0.3)
    callee.agent.expect_silence(0.1)
    t.cdr(end_reason="ack_missing", end_side="switch", sip_code=200, answered=True)


@scenario(profile="quick", seconds=3)
def ack_missing_with_delayed_offer(t):
    """No ACK and so no SDP answer: leg B is acknowledged and ended all the same."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number)
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE"))
    b.expect("ACK")
    callee.answer(b.expect("BYE"), 200)
    caller.answer(a.expect("BYE"), 200)
    t.cdr(end_reason="ack_missing", end_side="switch", sip_code=200, answered=True)


@scenario(profile="quick", seconds=3)
def bye_never_answered(t):
    """The callee never answers the BYE: the caller has its answer, and nothing is left after 64*T1."""
    caller, callee = t.answered()
    caller.send("BYE")
    bye = callee.agent.expect("BYE")
    callee.agent.expect_repeat(bye, 3)
    caller.agent.expect("200 BYE", "408 BYE")
    t.cdr_answered("caller")


@scenario(profile="quick", seconds=2)
def caller_hangs_up_without_ack(t):
    """BYE from the caller instead of its ACK (RFC 3261 15 allows it): both legs end."""
    caller, callee = t.answered(acknowledge=False)
    t.hang_up(caller, callee)
    caller.agent.expect_silence(0.3)
    t.cdr_answered("caller")

"""Session timers in real time, with windows of a few seconds: who refreshes, what a refusal leads to, when a call ends.
Spec 5, RFC 4028.  The switches are "timers", "timers_grace" and "timers_probe" in profiles.py."""

import os
import subprocess
import time

from harness import RG_PORT, check_row, scenario
from sipmsg import sdp
from timed import (ALLOW, ALLOW_WITHOUT_UPDATE, SILENCE, agrees, answer, begin, hang_up, need_expired, need_refreshes,
                   need_request, need_session, need_within, run, says)
from switch import mapping_gateway, routing_gateway
from ua import Dialog, need

TTL, MIN, CAP = 4, 2, 5
EXPIRED = dict(end_reason="session_timeout", end_side="switch", sip_code=200, answered=True)


def around(milliseconds):
    """The hold time of a call that ended at a deadline: a CDR has the deadline, however late it fired."""
    return range(milliseconds - 3, milliseconds + 25)


def refreshes(t, *peers):
    """What the CDR must say of the refreshes that these peers saw and confirmed."""
    asked = sum(len(p.requests) for p in peers)
    return dict(refreshes_sent=asked, refreshes_confirmed=asked)


def need_last_confirmed(t, peers):
    """The CDR's last proof of life is the latest that a peer gave."""
    row = t.rows(1)[0]
    earliest, latest = max(c for p in peers for c in p.confirmed)
    at = row["last_confirmed_us"] / 1e6
    need(earliest - 0.05 <= at <= latest + 0.05 + peers[0].machine_late_s, "last_confirmed_us is %.3f s off",
         at - earliest)


# Who supports timers

@scenario(profile="timers", seconds=8)
def timers_both(t):
    """Both sides have timers: each leg is refreshed on its own schedule, beyond what the cap would allow."""
    a, b = begin(t, says(2), agrees(TTL))
    need_session(a.dialog.response, 2, "uas")
    need("timer" in a.dialog.response.tokens("Require"), "no Require: timer in the 200 to a caller with timers")
    need_session(b.dialog.invite, TTL, "uac")
    need(b.dialog.invite.get("Min-SE") == str(MIN), "Min-SE: %s", b.dialog.invite.get("Min-SE"))
    run((a, b), 7.5)
    need_refreshes(a, 2, 6)
    need_refreshes(b, TTL, 3)
    for request in a.requests:
        need_request(request, "UPDATE", 2, "uac", MIN)
    for request in b.requests:
        need_request(request, "UPDATE", TTL, "uac", MIN)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **refreshes(t, a, b))
    need_last_confirmed(t, (a, b))


@scenario(profile="timers", seconds=8)
def timers_caller_only(t):
    """A callee without timers is never refreshed; the caller is, and no cap applies."""
    a, b = begin(t, says(TTL), ())
    run((a, b), 7)
    need_refreshes(a, TTL, 3)
    need(not b.requests, "the callee was refreshed")
    hang_up(b, a)
    t.cdr_answered("callee", session_timer="a", **refreshes(t, a))
    need_last_confirmed(t, (a,))


@scenario(profile="timers", seconds=6)
def timers_callee_only(t):
    """A caller without timers: it is not refreshed, the callee is, and the call ends at the cap."""
    a, b = begin(t, (), agrees(TTL))
    need(not a.dialog.response.has("Session-Expires"), "Session-Expires in the 200 to a caller without timers")
    need("timer" not in a.dialog.response.tokens("Require"), "Require: timer to a caller without timers")
    run((a, b), CAP + 2, lambda: a.bye and b.bye)
    need(not a.requests, "the caller was refreshed")
    need_refreshes(b, TTL, 2)
    t.cdr(end_reason="no_timer_cap", end_side="switch", sip_code=200, answered=True, session_timer="b",
          hold_ms=around(1000 * CAP), **refreshes(t, b))


@scenario(profile="timers", seconds=6)
def timers_none(t):
    """Neither side has timers: nothing is sent until the cap, and then BYE on both legs, on time."""
    a, b = begin(t)
    run((a, b), CAP + 2, lambda: a.bye and b.bye)
    need(not a.requests and not b.requests and not a.probes and not b.probes, "a request during the call")
    for peer in (a, b):
        earliest, latest = peer.confirmed[0]
        need_within(peer, "BYE", peer.bye.received_s, earliest + CAP, latest + CAP)
    t.cdr(end_reason="no_timer_cap", end_side="switch", sip_code=200, answered=True, session_timer="none",
          hold_ms=around(1000 * CAP), refreshes_sent=0, refreshes_confirmed=0)


@scenario(profile="timers", seconds=5)
def timers_session_expires_without_tag(t):
    """Session-Expires alone counts as support (VOS3000): the switch refreshes, requires nothing, and raises a small
    value instead of refusing it."""
    a, b = begin(t, says(1, "uac", tag=False, name="x"))
    need_session(a.dialog.response, MIN, "uas")
    need("timer" not in a.dialog.response.tokens("Require"), "Require: timer")
    run((a, b), 2.5)
    need_refreshes(a, MIN, 2)
    hang_up(a, b)
    t.cdr_answered(session_timer="a", **refreshes(t, a))


@scenario(profile="timers", mg={"timer": "off"}, seconds=6)
def timers_off_for_caller(t):
    """timer = off on a mapping gateway: its callers are treated as without timers, whatever they say."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL))
    need(not a.dialog.response.has("Session-Expires"), "Session-Expires in the 200")
    run((a, b), CAP + 2, lambda: a.bye and b.bye)
    need(not a.requests, "the caller was refreshed")
    need_refreshes(b, TTL, 2)
    t.cdr(end_reason="no_timer_cap", end_side="switch", sip_code=200, answered=True, session_timer="b",
          hold_ms=around(1000 * CAP), **refreshes(t, b))


@scenario(profile="timers", rg={"timer": "off"}, seconds=6)
def timers_off_for_callee(t):
    """timer = off on a routing gateway: nothing of timers is sent to it, and what it says of them is ignored."""
    a, b = begin(t, says(TTL), agrees(TTL, "uas"))
    invite = b.dialog.invite
    need(not invite.has("Session-Expires") and not invite.has("Min-SE"), "the INVITE speaks of session timers")
    need("timer" not in invite.tokens("Supported"), "Supported: timer")
    run((a, b), 5.5)
    need_refreshes(a, TTL, 2)
    need(not b.requests and not b.bye, "the callee was refreshed or hung up")
    hang_up(a, b)
    t.cdr_answered(session_timer="a", **refreshes(t, a))


# Who dies

def dies(t, victim, other, interval):
    """`victim` confirms one refresh and then answers nothing more: BYE on both legs at its window's end."""
    run((victim, other), interval, lambda: len(victim.confirmed) == 2)
    victim.dead = True
    last = victim.confirmed[-1]
    run((victim, other), interval + 3, lambda: victim.bye and other.bye)
    need_expired((victim, other))
    for peer in (victim, other):
        need_within(peer, "BYE", peer.bye.received_s, last[0] + interval, last[1] + interval)
    need(len(victim.requests) == 2, "%d refreshes to the dead peer", len(victim.requests) - 1)
    need(len(other.requests) >= 2, "the living peer was not refreshed")
    hold = int(1000 * (last[0] + interval - victim.confirmed[0][0]))
    sent = len(victim.requests) + len(other.requests)
    t.cdr(**dict(EXPIRED, session_timer="a+b", hold_ms=range(hold - 30, hold + 30), refreshes_sent=sent,
                 refreshes_confirmed=sent - 1))
    need_last_confirmed(t, (victim, other))


@scenario(profile="timers", seconds=7)
def timers_caller_dies(t):
    """The caller's host dies: BYE with its Reason on both legs when its window ends."""
    a, b = begin(t, says(TTL), agrees(TTL))
    dies(t, a, b, TTL)


@scenario(profile="timers", seconds=7)
def timers_callee_dies(t):
    """The callee's host dies."""
    a, b = begin(t, says(TTL), agrees(TTL))
    dies(t, b, a, TTL)


@scenario(profile="timers", seconds=5)
def timers_dialog_lost(t):
    """481 to a refresh, here by a callee that was restarted: the call ends at once on the other leg."""
    a, b = begin(t, says(TTL), agrees(TTL))
    b.plan = [481]
    run((a, b), TTL, lambda: a.bye)
    need_within(a, "BYE", a.bye.received_s, b.requests[0].received_s, b.requests[0].received_s)
    t.cdr(end_reason="dialog_lost", end_side="callee", sip_code=200, answered=True, session_timer="a+b",
          refreshes_confirmed=len(a.requests), refreshes_sent=len(a.requests) + 1)


@scenario(profile="timers", seconds=5)
def timers_dialog_lost_by_408(t):
    """408 from the caller itself to a refresh: the same."""
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan = [408]
    run((a, b), TTL, lambda: b.bye)
    need_within(b, "BYE", b.bye.received_s, a.requests[0].received_s, a.requests[0].received_s)
    t.cdr(end_reason="dialog_lost", end_side="caller", sip_code=200, answered=True, session_timer="a+b")


# When the peer refreshes

@scenario(profile="timers", seconds=9)
def timers_caller_refreshes(t):
    """refresher=uac: the switch leaves it to a caller that refreshes at 60 % of its window, just before it would be
    probed, and answers each UPDATE as it was agreed."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL))
    need_session(a.dialog.response, TTL, "uac")
    a.refresh_every(0.6 * TTL, says(TTL, "uac", MIN))
    run((a, b), 2.2 * TTL)
    need(len(a.responses) == 3, "%d answers", len(a.responses))
    for response in a.responses:
        need(response.code == 200, "%s", response.start)
        need_session(response, TTL, "uac")
        need("timer" in response.tokens("Require"), "no Require: timer in the 2xx")
    need(not a.requests, "a compliant refresher was overtaken")
    need_refreshes(b, TTL, 3)
    hang_up(b, a)
    t.cdr_answered("callee", session_timer="a+b", **refreshes(t, b))
    need_last_confirmed(t, (a, b))


@scenario(profile="timers", seconds=9)
def timers_callee_refreshes(t):
    """refresher=uas in the callee's 200: it refreshes, by re-INVITE with its last SDP, and the caller sees nothing."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL, "uas"))
    a.refresh_every(2, says(TTL, "uac"))
    b.refresh_every(0.55 * TTL, says(TTL, "uac"), "INVITE")
    run((a, b), 2.2 * TTL)
    finals = [r for r in b.responses if r.code == 200]
    need(len(finals) == len(b.sent) == 3, "%d answers to %d re-INVITEs", len(finals), len(b.sent))
    for response in finals:
        need_session(response, TTL, "uac")
        need(response.body == sdp(), "SDP of the 200: %r", response.body)
    need(not a.requests and not b.requests, "the switch refreshed")
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", refreshes_sent=0, refreshes_confirmed=0)
    need_last_confirmed(t, (a, b))


def claims_and_does_not(t, liar, other):
    """`liar` was to refresh and does not."""
    run((liar, other), 7, lambda: len(liar.requests) == 2)
    probe = liar.requests[0]
    began = liar.confirmed[0]
    need_within(liar, "probe", probe.received_s, began[0] + TTL * 2 / 3, began[1] + TTL * 2 / 3)
    for request in liar.requests:
        need_request(request, "UPDATE", TTL, "uac", MIN)
    at = liar.confirmed[1]
    need_within(liar, "refresh", liar.requests[1].received_s, at[0] + 0.45 * TTL, at[1] + 0.5 * TTL)
    run((liar, other), 0.2)
    hang_up(liar, other)


@scenario(profile="timers", seconds=6)
def timers_caller_claims_only(t):
    """A caller that would refresh and does not: probed when a third of its window is left, and from then on refreshed
    by the switch."""
    a, b = begin(t, says(TTL, "uac"), agrees(TTL))
    claims_and_does_not(t, a, b)
    t.cdr_answered(session_timer="a+b", **refreshes(t, a, b))


@scenario(profile="timers", seconds=6)
def timers_callee_claims_only(t):
    """A callee that would refresh and does not."""
    a, b = begin(t, says(TTL), agrees(TTL, "uas"))
    claims_and_does_not(t, b, a)
    t.cdr_answered("callee", session_timer="a+b", **refreshes(t, a, b))


@scenario(profile="timers", seconds=5)
def timers_roles_swap(t):
    """The switch refreshes until the caller's UPDATE names itself, and again when its next one names the switch; an
    UPDATE with too small an interval is refused and changes nothing."""
    a, b = begin(t, says(TTL), agrees(TTL))
    update = a.dialog.send("UPDATE", headers=says(1, "uac"))
    run((a, b), 5, lambda: a.responses)
    need(a.responses[0].kind == "422 UPDATE" and a.responses[0].get("Min-SE") == str(MIN), "answer %s, Min-SE %s",
         a.responses[0].start, a.responses[0].get("Min-SE"))
    before = time.time()
    update = a.dialog.send("UPDATE", headers=says(TTL, "uac"))
    run((a, b), 5, lambda: len(a.responses) == 2)
    need(a.responses[1].cseq == update.cseq, "CSeq")
    need_session(a.responses[1], TTL, "uac")
    run((a, b), 0.6 * TTL)
    need(not a.requests, "the switch refreshed although the caller does")
    before = time.time()
    a.dialog.send("UPDATE", headers=says(2, "uas"))
    run((a, b), 5, lambda: len(a.responses) == 3)
    need_session(a.responses[2], 2, "uas")
    a.confirmed.append((before, a.responses[2].received_s))
    run((a, b), 2, lambda: a.requests)
    need_refreshes(a, 2, 1)
    run((a, b), 0.1)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **refreshes(t, a, b))


@scenario(profile="timers", seconds=7)
def timers_only_a_2xx_proves_life(t):
    """INFO from a peer that answers no refresh does not move its window."""
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan = [SILENCE] * 9
    run((a, b), 1)
    for _ in range(2):
        a.dialog.send("INFO")
        info = b.agent.expect("INFO", skip=("UPDATE",))
        b.dialog.answer(info, 200)
        run((a, b), 1.3)
    run((a, b), 3, lambda: a.bye and b.bye)
    need_expired((a, b))
    need_within(a, "BYE", a.bye.received_s, a.confirmed[0][0] + TTL, a.confirmed[0][1] + TTL)
    t.cdr(**dict(EXPIRED, hold_ms=around(1000 * TTL)))


# How a refresh is sent

def falls_back(t, code):
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan, b.plan = [code], [code]
    run((a, b), 7, lambda: len(a.requests) == 3 and len(b.requests) == 3)
    run((a, b), 0.2)
    for peer, body in ((a, sdp(port=50000)), (b, sdp())):
        update, first, second = peer.requests
        need_request(update, "UPDATE", TTL, "uac", MIN)
        for request in (first, second):
            need_request(request, "INVITE", TTL, "uac", MIN, body)
        need_within(peer, "re-INVITE", first.received_s, update.received_s, update.received_s)
        need(first.cseq == update.cseq + 1, "CSeq of the re-INVITE")
        at = peer.confirmed[1]
        need_within(peer, "refresh", second.received_s, at[0] + 0.45 * TTL, at[1] + 0.5 * TTL)
        need(len(peer.acks) == 2, "%d ACKs", len(peer.acks))
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", refreshes_sent=6, refreshes_confirmed=4)


@scenario(profile="timers", seconds=6)
def timers_update_405(t):
    """405 to UPDATE: re-INVITE with the unchanged last SDP at once, and from then on."""
    falls_back(t, 405)


@scenario(profile="timers", seconds=6)
def timers_update_501(t):
    """501 to UPDATE: the same."""
    falls_back(t, 501)


@scenario(profile="timers", seconds=6)
def timers_update_488(t):
    """488 to UPDATE: the same."""
    falls_back(t, 488)


@scenario(profile="timers", seconds=7)
def timers_update_not_allowed(t):
    """Peers without UPDATE in Allow are refreshed by re-INVITE with the SDP that they last had from the switch, byte
    for byte, also after a re-INVITE changed it."""
    a, b = begin(t, says(TTL), agrees(TTL), ALLOW_WITHOUT_UPDATE, ALLOW_WITHOUT_UPDATE)
    for peer in (a, b):
        peer.allow = ALLOW_WITHOUT_UPDATE
    run((a, b), TTL, lambda: a.acks and b.acks)
    need_request(a.requests[0], "INVITE", TTL, "uac", MIN, sdp(port=50000))
    need_request(b.requests[0], "INVITE", TTL, "uac", MIN, sdp())
    a.body, b.body = sdp(2, 40002, "sendonly"), sdp(2, 50002, "recvonly")
    a.dialog.send("INVITE", a.body, says(TTL) + [("Allow", ALLOW_WITHOUT_UPDATE)])
    run((a, b), 5, lambda: any(r.code == 200 for r in a.responses))
    need_request(b.requests[-1], "INVITE", TTL, "uac", MIN, a.body)
    need_session(a.responses[-1], TTL, "uas")
    need(a.responses[-1].body == b.body, "SDP of the 200: %r", a.responses[-1].body)
    changed = len(b.requests)
    run((a, b), TTL, lambda: len(a.requests) > 1 and len(b.requests) > changed)
    run((a, b), 0.1)
    need_request(a.requests[-1], "INVITE", TTL, "uac", MIN, b.body)
    need_request(b.requests[-1], "INVITE", TTL, "uac", MIN, a.body)
    hang_up(a, b)
    sent = len(a.requests) + len(b.requests) - 1
    t.cdr_answered(session_timer="a+b", refreshes_sent=sent, refreshes_confirmed=sent)


@scenario(profile="timers", seconds=7)
def timers_relayed_reinvite_confirms(t):
    """A re-INVITE that is passed on is a proof of life of both sides and carries each leg's own session timer."""
    a, b = begin(t, says(2), agrees(TTL))
    run((a, b), 1.4)
    need(not b.requests, "a refresh of leg B before its time")
    before = time.time()
    a.dialog.send("INVITE", sdp(2, 40002), says(2, "uas"))
    run((a, b), 5, lambda: a.responses and any(r.code == 200 for r in a.responses))
    need_request(b.requests[0], "INVITE", TTL, "uac", MIN, sdp(2, 40002))
    need_session(a.responses[-1], 2, "uas")
    a.confirmed.append((before, a.responses[-1].received_s))
    del b.requests[0]
    run((a, b), 2.5)
    need_refreshes(a, 2, 2)
    need_refreshes(b, TTL, 1)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **refreshes(t, a, b))


# 422

def refused_by_callee(t, minimum):
    """The callee's INVITEs, each of which it refuses with this Min-SE but the last, which it gets back."""
    a, b = t.caller(), t.callee()
    dialog = a.invite(t.to, t.number, sdp(), says(TTL))
    first = invite = b.expect("INVITE")
    asked = TTL
    for number, least in enumerate(minimum, 1):
        far = Dialog.incoming(b, invite)
        far.reply(422, headers=[("Min-SE", str(least))])
        need(b.expect("ACK").cseq == invite.cseq, "ACK to the 422")
        if number > 3 or not asked < least <= 86400:
            return dialog, None
        invite, asked = b.expect("INVITE"), least
        need(invite.call_id == first.call_id and invite.cseq == first.cseq + number, "Call-ID or CSeq after a 422")
        need(invite.from_tag == first.from_tag and invite.to_tag is None, "tags after a 422")
        need(invite.branch != first.branch and invite.body == first.body, "branch or SDP after a 422")
        need_session(invite, least, "uac")
        need(invite.get("Min-SE") == str(least), "Min-SE: %s", invite.get("Min-SE"))
    return dialog, Dialog.incoming(b, invite)


@scenario(profile="timers", seconds=5)
def timers_422_by_callee(t):
    """422 to an INVITE, three times: new INVITEs with the Min-SE it names, one attempt; leg B has the interval then."""
    dialog, far = refused_by_callee(t, (5, 6, 7))
    a, b = answer(dialog, far, says(TTL), agrees(7))
    run((a, b), 4, lambda: b.requests)
    need_request(b.requests[0], "UPDATE", 7, "uac", 7)
    run((a, b), 0.1)
    need_refreshes(b, 7, 1)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **refreshes(t, a, b))
    attempts = t.rows(1)[0]["attempts"]
    need(attempts.count("gateway") == 1, "attempts: %s", attempts)


def given_up(t, minimum):
    dialog, far = refused_by_callee(t, minimum)
    need(far is None, "another INVITE")
    final = dialog.agent.expect("503 INVITE")
    dialog.ack_failure(final)
    t.agents[1].expect_silence(0.2)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503)


@scenario(profile="timers")
def timers_422_by_callee_four_times(t):
    """A fourth 422: the attempt has failed, and the caller sees 503."""
    given_up(t, (5, 6, 7, 8))


@scenario(profile="timers")
def timers_422_by_callee_not_growing(t):
    """A 422 with the Min-SE that was just sent: no further INVITE."""
    given_up(t, (5, 5))


@scenario(profile="timers")
def timers_422_by_callee_too_large(t):
    """A 422 with a Min-SE beyond a day: no further INVITE."""
    given_up(t, (86401,))


@scenario(profile="timers", seconds=2)
def timers_422_to_caller(t):
    """A caller with timers asks for less than RW_SIP_MIN_SE: 422 with Min-SE, nothing at the callee, no CDR; then it
    asks for that."""
    a, b = t.caller(), t.callee()
    dialog = a.invite(t.to, t.number, sdp(), says(1, "uac"))
    refusal = a.expect("422 INVITE")
    need(refusal.get("Min-SE") == str(MIN), "Min-SE: %s", refusal.get("Min-SE"))
    dialog.ack_failure(refusal)
    b.expect_silence(0.2)
    need(not t.switch.rows("mapping_gateway = ?", (t.name,)), "a CDR of a refused INVITE")
    again = a.request("INVITE", t.to, t.number, says(MIN) + [("Allow", ALLOW)], sdp(), call_id=dialog.call_id,
                      from_=dialog.local, cseq="2 INVITE")
    dialog = Dialog.outgoing(a, a.send(again, t.to), t.to)
    dialog.cseq = 2
    a, b = answer(dialog, Dialog.incoming(b, b.expect("INVITE")), says(MIN), ())
    need_session(a.dialog.response, MIN, "uas")
    run((a, b), 1.2)
    need_refreshes(a, MIN, 1)
    hang_up(a, b)
    t.cdr_answered(session_timer="a", **refreshes(t, a))


@scenario(profile="timers", seconds=6)
def timers_422_to_refresh(t):
    """422 to a refresh: again at once with the Min-SE it names."""
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan = [(422, [("Min-SE", "6")])]
    run((a, b), 6, lambda: len(a.requests) == 3)
    run((a, b), 0.1)
    need_request(a.requests[0], "UPDATE", TTL, "uac", MIN)
    need_request(a.requests[1], "UPDATE", 6, "uac", 6)
    need_within(a, "second try", a.requests[1].received_s, a.requests[0].received_s, a.requests[0].received_s)
    need_request(a.requests[2], "UPDATE", 6, "uac", 6)
    at = a.confirmed[1]
    need_within(a, "refresh", a.requests[2].received_s, at[0] + 2.7, at[1] + 3)
    hang_up(a, b)
    sent = len(a.requests) + len(b.requests)
    t.cdr_answered(session_timer="a+b", refreshes_sent=sent, refreshes_confirmed=sent - 1)


# Refreshes that fail

def tried_again(t, peer, other, interval, step, earliest, latest):
    """The first refresh gets this answer; the next try comes within these seconds, is confirmed, and the call stays."""
    peer.plan = [step]
    run((peer, other), interval, lambda: len(peer.requests) == 2)
    first, second = peer.requests
    need_within(peer, "next try", second.received_s, first.received_s + earliest, first.received_s + latest)
    run((peer, other), interval + 0.3, lambda: len(peer.requests) == 3)
    at = peer.confirmed[1]
    need_within(peer, "refresh", peer.requests[2].received_s, at[0] + 0.45 * interval, at[1] + 0.5 * interval)
    run((peer, other), 0.1)
    need(not peer.bye and not other.bye, "the call was ended")
    hang_up(peer, other)
    return dict(refreshes_sent=len(peer.requests) + len(other.requests),
                refreshes_confirmed=len(peer.requests) + len(other.requests) - 1)


@scenario(profile="timers", seconds=9)
def timers_491_by_caller(t):
    """491 to a refresh of leg A: again after up to 2 s, as the Call-ID is the caller's.  RFC 3261 14.1"""
    a, b = begin(t, says(None, min_se=6), agrees(TTL))
    need_session(a.dialog.response, 6, "uas")
    t.cdr_answered(session_timer="a+b", **tried_again(t, a, b, 6, 491, 0, 2))


@scenario(profile="timers", seconds=13)
def timers_491_by_callee(t):
    """491 to a refresh of leg B: again after 2.1 to 4 s, as the Call-ID is the switch's."""
    dialog, far = refused_by_callee(t, (9,))
    a, b = answer(dialog, far, says(TTL), agrees(9))
    t.cdr_answered("callee", session_timer="a+b", **tried_again(t, b, a, 9, 491, 2.1, 4))


@scenario(profile="timers", seconds=6)
def timers_503_with_retry_after(t):
    """503 with Retry-After to a refresh: again after that, and the call stays."""
    a, b = begin(t, says(TTL), agrees(TTL))
    t.cdr_answered(session_timer="a+b", **tried_again(t, a, b, TTL, (503, [("Retry-After", "1 (busy)")]), 1, 1))


@scenario(profile="timers", seconds=6)
def timers_503_with_long_retry_after(t):
    """503 with a Retry-After beyond the window: again after clamp(interval/10, 1 s, 30 s)."""
    a, b = begin(t, says(TTL), agrees(TTL))
    t.cdr_answered("callee", session_timer="a+b",
                   **tried_again(t, b, a, TTL, (503, [("Retry-After", "3600")]), 1, 1))


@scenario(profile="timers", seconds=6)
def timers_refused_until_the_end(t):
    """Every refresh gets 500: tried each second, and BYE when the window ends, not earlier."""
    a, b = begin(t, says(TTL), agrees(TTL))
    b.plan = [500] * 20
    run((a, b), 7, lambda: a.bye and b.bye)
    need_expired((a, b))
    need(len(b.requests) == 3, "%d tries", len(b.requests))
    for peer in (a, b):
        need_within(peer, "BYE", peer.bye.received_s, b.confirmed[0][0] + TTL, b.confirmed[0][1] + TTL)
    t.cdr(**dict(EXPIRED, session_timer="a+b", hold_ms=around(1000 * TTL), refreshes_sent=3 + len(a.requests),
                 refreshes_confirmed=len(a.requests)))


# Four segments, and a last refresh with grace

@scenario(profile="timers_grace", seconds=8)
def timers_segments(t):
    """Four segments: a silent peer is asked at each boundary, once more at the window's end, and gets its BYE after the
    grace."""
    a, b = begin(t, says(TTL), agrees(TTL))
    run((a, b), TTL, lambda: len(b.confirmed) == 2)
    b.dead = True
    first, last = b.confirmed[1]
    run((a, b), TTL + 4, lambda: a.bye and b.bye)
    need_expired((a, b))
    asked = b.requests[1:]
    need(len(asked) == 4, "%d refreshes", len(asked))
    for k, request in enumerate(asked[:3], 1):
        need_within(b, "refresh %d" % k, request.received_s, first + k - 0.1, last + k)
    need_within(b, "last refresh", asked[3].received_s, first + TTL, last + TTL)
    need_request(asked[3], "UPDATE", TTL, "uac", MIN)
    for peer in (a, b):
        need_within(peer, "BYE", peer.bye.received_s, first + TTL + 2, last + TTL + 2)
    need_refreshes(a, TTL, 6, segments=4)
    t.cdr(**dict(EXPIRED, session_timer="a+b", refreshes_sent=len(a.requests) + len(b.requests),
                 refreshes_confirmed=len(a.requests) + 1))


@scenario(profile="timers_grace", seconds=8)
def timers_grace_rescues(t):
    """A peer that comes back before the grace is over, and answers the last refresh, keeps its call and its schedule."""
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan = [SILENCE] * 4
    run((a, b), TTL + 1, lambda: len(a.requests) == 4)
    need_within(a, "last refresh", a.requests[3].received_s, a.confirmed[0][0] + TTL, a.confirmed[0][1] + TTL)
    run((a, b), 1.5)
    a.reply(a.requests[3], 200)
    run((a, b), 2.2, lambda: len(a.requests) == 6)
    run((a, b), 0.6)
    need(not a.bye and not b.bye, "the call was ended")
    a.requests = a.requests[4:]
    need_refreshes(a, TTL, 2, segments=4)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", refreshes_sent=4 + len(a.requests) + len(b.requests),
                   refreshes_confirmed=1 + len(a.requests) + len(b.requests))


@scenario(profile="timers_grace", seconds=5)
def timers_late_2xx_confirms(t):
    """The 2xx to a refresh that was already replaced by the next one still counts."""
    a, b = begin(t, says(TTL), agrees(TTL))
    a.plan = [SILENCE] * 2
    run((a, b), TTL, lambda: len(a.requests) == 2)
    a.reply(a.requests[0], 200)
    run((a, b), 1.5, lambda: len(a.requests) == 3)
    at = a.confirmed[1]
    need_within(a, "refresh", a.requests[2].received_s, at[0] + 0.9, at[1] + 1)
    run((a, b), 0.1)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", refreshes_sent=3 + len(b.requests), refreshes_confirmed=2 + len(b.requests))


# OPTIONS on legs without timers, and caps

@scenario(profile="timers_probe", seconds=7)
def timers_probes(t):
    """OPTIONS each second on both legs of a call without timers, whatever a live peer answers, until
    RW_MAX_CALL_DURATION ends it."""
    a, b = begin(t)
    b.probes_plan = [405] * 9
    run((a, b), 8, lambda: a.bye and b.bye)
    for peer in (a, b):
        first, last = peer.confirmed[0]
        need(len(peer.probes) == 5, "%s: %d OPTIONS", peer.agent.name, len(peer.probes))
        for k, probe in enumerate(peer.probes, 1):
            need_within(peer, "OPTIONS %d" % k, probe.received_s, first + k, last + k + 0.01 * k)
            need(probe.to_tag == peer.dialog.local_tag, "the OPTIONS is not in the dialog")
        need_within(peer, "BYE", peer.bye.received_s, first + 6, last + 6)
    t.cdr(end_reason="max_duration", end_side="switch", sip_code=200, answered=True, hold_ms=around(6000),
          session_timer="none", refreshes_sent=0, refreshes_confirmed=0)


@scenario(profile="timers_probe", seconds=4)
def timers_probe_of_one_leg(t):
    """Only the leg without timers is probed; 481 from it ends the call."""
    a, b = begin(t, says(TTL), ())
    b.probes_plan = [200, 200, 481]
    run((a, b), 5, lambda: a.bye)
    need(len(b.probes) == 3 and not a.probes, "%d and %d OPTIONS", len(b.probes), len(a.probes))
    t.cdr(end_reason="dialog_lost", end_side="callee", sip_code=200, answered=True, session_timer="a",
          hold_ms=range(2990, 3200), refreshes_sent=len(a.requests), refreshes_confirmed=len(a.requests))


@scenario(profile="timers_probe", seconds=5)
def timers_probed_peer_dies(t):
    """A leg that answered an OPTIONS and then two no more: the call is over when the third is due."""
    a, b = begin(t)
    a.probes_plan = [200] + [SILENCE] * 9
    run((a, b), 6, lambda: a.bye and b.bye)
    first, last = a.confirmed[0]
    for peer in (a, b):
        need_within(peer, "BYE", peer.bye.received_s, first + 4, last + 4.04)
        need(peer.bye.get("Reason") == 'SIP;cause=408;text="no answer to probes"', "%s", peer.bye.get("Reason"))
    need(len(a.probes) == 3, "%d OPTIONS", len(a.probes))
    t.cdr(end_reason="dialog_lost", end_side="switch", sip_code=200, answered=True, hold_ms=range(3997, 4060))


@scenario(profile="timers_probe", seconds=7)
def timers_probes_never_answered(t):
    """A leg that never answered an OPTIONS is not probed beyond the second, and its call goes on."""
    a, b = begin(t)
    b.probes_plan = [SILENCE] * 9
    run((a, b), 8, lambda: a.bye and b.bye)
    need(len(a.probes) == 5 and len(b.probes) == 2, "%d and %d OPTIONS", len(a.probes), len(b.probes))
    t.cdr(end_reason="max_duration", end_side="switch", sip_code=200, answered=True, hold_ms=around(6000))


def capped(t, seconds):
    a, b = begin(t, says(2), agrees(TTL))
    run((a, b), seconds + 2, lambda: a.bye and b.bye)
    for peer in (a, b):
        first, last = peer.confirmed[0]
        need_within(peer, "BYE", peer.bye.received_s, first + seconds, last + seconds)
    need_refreshes(a, 2, 1)
    t.cdr(end_reason="max_duration", end_side="switch", sip_code=200, answered=True, hold_ms=around(1000 * seconds),
          session_timer="a+b", **refreshes(t, a, b))


@scenario(profile="timers_probe", mg={"max_duration": 2}, rg={"max_duration": 3}, seconds=3)
def timers_max_duration_of_caller(t):
    """max_duration of the mapping gateway, here the smallest, ends a call that is refreshed all the while."""
    capped(t, 2)


@scenario(profile="timers_probe", mg={"max_duration": 9}, rg={"max_duration": 3}, seconds=4)
def timers_max_duration_of_callee(t):
    """max_duration of the routing gateway."""
    capped(t, 3)


# Session timers that are somebody else's

NUA_SECONDS = 5 * TTL + 1


def nua_call(t, caller, callee, hang_up):
    """A call of at least five windows between two agents on Sofia-SIP's nua; each is (who refreshes, by what)."""
    program = os.path.join(os.path.dirname(t.configuration.options.ringwheel), "tests", "interop", "nua_agent")
    need(os.path.exists(program), "%s is not built", program)
    running = []

    def agent(role, host, port, refreshes, more):
        log = os.path.join(t.directory, "nua-" + role)
        command = [program, role, "--bind", "sip:%s:%d" % (host, port), "--interval", str(TTL), "--refresher",
                   refreshes[0], "--by", refreshes[1].lower(), "--seconds", str(NUA_SECONDS)] + more
        if hang_up == role:
            command.append("--hang-up")
        with open(log, "w") as out:
            running.append((role, log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)))

    def said(log):
        with open(log) as text:
            return text.read().splitlines()

    try:
        agent("callee", t.callee_host, 5060, callee, [])
        deadline = time.monotonic() + 10
        while "ready" not in said(running[0][1]):
            need(time.monotonic() < deadline and running[0][2].poll() is None, "callee: %s", said(running[0][1]))
            time.sleep(0.02)
        agent("caller", t.caller_host, 5070, caller, ["--to", "sip:%s@%s:%d" % ((t.number,) + t.to)])
        statuses = [process.wait(NUA_SECONDS + 30) for _, _, process in running]
        lines = {role: said(log) for role, log, _ in running}
        t.output += ["%s: %s" % (role, line) for role in lines for line in lines[role]]
        need(statuses == [0, 0], "exit status of callee and caller: %s", statuses)
    finally:
        for _, _, process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    need("timer %d %s" % (TTL, caller[0]) in lines["caller"], "the caller's timer: %s", lines["caller"])
    count = {role: lambda start, role=role: sum(line.startswith(start) for line in lines[role]) for role in lines}
    asked = 0
    for role, other, (refresher, method) in (("caller", "callee", caller), ("callee", "caller", callee)):
        # nua's UPDATE has its SDP, and so is passed on; its re-INVITE with the same one is answered by the switch.
        by_switch = count[role]("received ") - count[other]("sent UPDATE")
        asked += by_switch
        if refresher == "me":
            need(by_switch == 0, "%s: %d refreshes by the switch", role, by_switch)
            need(count[role]("sent %s 200" % method) >= 8, "%s: too few refreshes", role)
            need(count[role]("sent ") - count[role]("sent UPDATE 200") - count[role]("sent INVITE 200") == 0,
                 "%s: a refresh failed", role)
        else:
            need(by_switch >= 8 and count[role]("sent ") == 0, "%s: %d refreshes by the switch, %d by nua", role,
                 by_switch, count[role]("sent "))
    t.cdr_answered(hang_up, session_timer="a+b", refreshes_sent=asked, refreshes_confirmed=asked)


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_caller_refreshes(t):
    """nua as the refresher of leg A, and as the other party of leg B: five windows."""
    nua_call(t, ("me", "UPDATE"), ("you", "UPDATE"), "caller")


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_callee_refreshes(t):
    """nua as the other party of leg A, and as the refresher of leg B."""
    nua_call(t, ("you", "UPDATE"), ("me", "UPDATE"), "callee")


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_both_refresh(t):
    """nua as the refresher of both legs, by re-INVITE: the switch answers them all and sends none."""
    nua_call(t, ("me", "INVITE"), ("me", "INVITE"), "caller")


@scenario(profile="timers", seconds=NUA_SECONDS + 1)
def timers_nua_none_refreshes(t):
    """nua as the other party of both legs: the switch alone refreshes."""
    nua_call(t, ("you", "UPDATE"), ("you", "UPDATE"), "callee")


# Two switches in a row

@scenario(mg=None, rg=None, profile=None, seconds=23)
def timers_two_switches(t):
    """Two Ringwheels in a row: one refresher on each leg, no 491, and the call is up for ten windows."""
    parameters = {"RW_SIP_MIN_SE": 1, "SS_SIP_SESSION_TTL": 2}
    second = t.configuration.switch(t.name + "-2", parameters)
    first = t.configuration.switch(t.name + "-1", parameters, mapping_gateway(t.name, [t.caller_host]) +
                                   routing_gateway(t.name, second.host, second.port, [t.number[:4]]))
    second.gateways = (mapping_gateway(t.name, ["%s:%d" % first.address]) +
                       routing_gateway(t.name, t.callee_host, RG_PORT, [t.number[:4]]))
    try:
        t.switch, t.to = first.start(), first.address
        second.start()
        a, b = begin(t, says(2), agrees(2))
        need_session(b.dialog.invite, 2, "uac")
        run((a, b), 20)
        need_refreshes(a, 2, 18)
        need_refreshes(b, 2, 18)
        hang_up(a, b)
        between = t.rows(1)[0]["refreshes_sent"] - len(a.requests)
        need(between >= 18, "%d refreshes between the switches", between)
        t.cdr_answered(session_timer="a+b", refreshes_sent=len(a.requests) + between,
                       refreshes_confirmed=len(a.requests) + between)
        rows = second.wait_rows(1, "mapping_gateway = ?", (t.name,))
        need(len(rows) == 1, "%d CDRs of the second switch", len(rows))
        check_row(rows[0], dict(end_reason="normal", end_side="caller", answered=True, session_timer="a+b",
                                **refreshes(t, b)), t.name, 0)
        for switch in (first, second):
            need(switch.stats()["refresh_failed"] == 0, "a refresh failed")
            need(not switch.wait_stats(["calls_active", "calls_setup"], 5), "calls left")
    finally:
        first.stop()
        second.stop()

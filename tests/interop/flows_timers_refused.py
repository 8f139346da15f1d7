"""Session timers in real time: INVITEs and refreshes that are refused or not answered.  Spec 5, RFC 4028 6 to 8."""

from harness import scenario
from sipmsg import sdp
from timed import (ALLOW, EXPIRED, MIN, SILENCE, TTL, agrees, answer, around, begin, counted, hang_up, need_expired,
                   need_refreshes, need_request, need_session, need_within, run, says)
from ua import Dialog, need

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
    t.cdr_answered(session_timer="a+b", **counted(a, b))
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
    t.cdr_answered(session_timer="a", **counted(a))


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
    t.cdr_answered(session_timer="a+b", **counted(a, b))


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
    return counted(peer, other)


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
    # The first may be drawn so near to the boundary that the third would come behind the window's end.
    third_s = b.requests[0].received_s + 2 - b.confirmed[0][0]
    need(len(b.requests) == 3 or (len(b.requests) == 2 and third_s > TTL - 0.05), "%d tries", len(b.requests))
    for peer in (a, b):
        need_within(peer, "BYE", peer.bye.received_s, b.confirmed[0][0] + TTL, b.confirmed[0][1] + TTL)
    t.cdr(**dict(EXPIRED, session_timer="a+b", hold_ms=around(1000 * TTL), **counted(a, b)))


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
    t.cdr(**dict(EXPIRED, session_timer="a+b", **counted(a, b)))


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
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **counted(a, b))
    a.requests = a.requests[4:]
    need_refreshes(a, TTL, 2, segments=4)


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
    t.cdr_answered(session_timer="a+b", **counted(a, b))

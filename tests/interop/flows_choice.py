"""Which routing gateway a call goes to, and which ones it passes over: order, capacity, rate.  Spec 4, 7."""

import time

from carriers import connect, ended, invited, notes_come_home, placed, refuse, served
from harness import carrier_name, scenario
from ua import need

BUSY = dict(end_reason="rejected", end_side="callee", sip_code=486)
TWO = ({}, {})
EQUAL = ({"priority": 1}, {"priority": 1})


def goes_to(t, a, carriers, number):
    """A call that has one attempt, at this carrier and no other; it is busy there."""
    caller = placed(t, a)
    callee = invited(carriers[number])
    refuse(callee, 486)
    ended(caller, 486)
    t.cdr(**dict(BUSY, **served(t, number, callee, (number, 486))))


def stands_at(t, a, carriers, number):
    """The same, but the call is answered and stays up: (caller's dialog, callee's dialog)."""
    caller = placed(t, a)
    callee = invited(carriers[number])
    connect(caller, callee)
    t.cdr_answered(**served(t, number, callee, (number, 200)))
    return caller, callee


def agents(t, count=2):
    return t.caller(), [t.carrier(n) for n in range(count)]


def quiet(carriers):
    for carrier in carriers:
        carrier.expect_silence(0.1)


# Order

@scenario(carriers=({"priority": 30}, {"priority": 20}, {"priority": 10}))
def priority_decides(t):
    """The smallest priority first, whatever the names; a failure goes on in that order."""
    a, carriers = agents(t, 3)
    caller = placed(t, a)
    for number in (2, 1, 0):
        callee = invited(carriers[number])
        refuse(callee, 503)
    ended(caller, 503)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503, **served(t, 0, callee, (2, 503), (1, 503), (0, 503)))
    goes_to(t, a, carriers, 2)
    quiet(carriers)


@scenario(carriers=({"priority": 1, "capacity": 4}, {"priority": 1, "capacity": 2}))
def load_decides(t):
    """Of equal priority: the smaller share of the capacity in use, then the fewer calls so far, then the name."""
    a, carriers = agents(t)
    up = [stands_at(t, a, carriers, number) for number in (0, 1, 0, 1, 0, 0)]
    final = ended(placed(t, a), 503)
    need((final.get("Reason") or "").startswith("Q.850;cause=34") and not final.has("Retry-After"), "%s", final.raw)
    t.cdr(end_reason="capacity", end_side="switch", sip_code=503, q850=34, tried=[])
    for caller, callee in up:
        t.hang_up(caller, callee)
    quiet(carriers)


@scenario(carriers=EQUAL)
def equal_gateways_take_turns(t):
    """Of equal priority and without calls up: the one that had fewer calls so far."""
    a, carriers = agents(t)
    for number in (0, 1, 0, 1, 0, 1):
        goes_to(t, a, carriers, number)
    quiet(carriers)


@scenario(carriers=({"prefixes": ["5551"], "priority": 9}, {"prefixes": ["555", "99"]}))
def longest_prefix_decides(t):
    """The longest prefix wins over any priority, and no shorter one follows (prefix_mode terminate)."""
    a, carriers = agents(t)
    caller = placed(t, a)
    callee = invited(carriers[0])
    refuse(callee, 503)
    ended(caller, 503)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503, **served(t, 0, callee, (0, 503)))
    t.number = t.number[:4] + "5559999"
    goes_to(t, a, carriers, 1)
    quiet(carriers)


@scenario(mg={"prefix_mode": "continue"},
          carriers=({"prefixes": [""]}, {"prefixes": ["55"]}, {"prefixes": ["5551"]}, {"prefixes": ["8"]}))
def prefix_mode_continue(t):
    """prefix_mode continue: when the gateways of the longest prefix have failed, those of shorter ones, in turn."""
    a, carriers = agents(t, 4)
    caller = placed(t, a)
    refuse(invited(carriers[2]), 503)
    refuse(invited(carriers[1]), 503)
    callee = invited(carriers[0])
    connect(caller, callee)
    t.hang_up(caller, callee)
    t.cdr_answered(**served(t, 0, callee, (2, 503), (1, 503), (0, 200)))
    quiet(carriers)


@scenario(carriers=({"prefixes": [""]}, {"prefixes": ["555"], "prefix_mode": "continue"}))
def prefix_mode_of_a_gateway(t):
    """The same, said by the gateway of the longest prefix."""
    a, carriers = agents(t)
    caller = placed(t, a)
    refuse(invited(carriers[1]), 503)
    callee = invited(carriers[0])
    refuse(callee, 486)
    ended(caller, 486)
    t.cdr(**dict(BUSY, **served(t, 0, callee, (1, 503), (0, 486))))


# Who may use which

@scenario(mg={"deny": (0,)}, carriers=({}, {}, {}))
def denied_gateway(t):
    """deny: passed over, the others as ever."""
    a, carriers = agents(t, 3)
    caller = placed(t, a)
    refuse(invited(carriers[1]), 503)
    callee = invited(carriers[2])
    refuse(callee, 503)
    ended(caller, 503)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503, **served(t, 2, callee, (1, 503), (2, 503)))
    quiet(carriers)


@scenario(mg={"allow": (1,)}, carriers=({}, {}, {}))
def allowed_gateway(t):
    """allow: no other one is tried."""
    a, carriers = agents(t, 3)
    caller = placed(t, a)
    callee = invited(carriers[1])
    refuse(callee, 503)
    ended(caller, 503)
    t.cdr(end_reason="rejected", end_side="callee", sip_code=503, **served(t, 1, callee, (1, 503)))
    quiet(carriers)


@scenario(mg={"deny": (0, 1)}, carriers=TWO)
def all_denied(t):
    """No gateway that the customer may use: 404, as if none served the number."""
    a, carriers = agents(t)
    ended(placed(t, a), 404)
    t.cdr(end_reason="no_route", end_side="switch", sip_code=404, routing_gateway="", tried=[])
    quiet(carriers)


# Capacity

@scenario(carriers=({"capacity": 1}, {}))
def full_gateway_is_passed_over(t):
    """A call is up on the only line of the first: the next call goes to the second, which is no attempt more."""
    a, carriers = agents(t)
    caller, callee = stands_at(t, a, carriers, 0)
    goes_to(t, a, carriers, 1)
    t.hang_up(caller, callee)
    notes_come_home()
    goes_to(t, a, carriers, 0)
    quiet(carriers)


@scenario(carriers=({"capacity": 1}, {"capacity": 1}), profile="failover")
def line_of_a_failed_attempt_is_free(t):
    """A call that went on to the second gateway holds no line of the first any more."""
    a, carriers = agents(t)
    caller = placed(t, a)
    refuse(invited(carriers[0]), 503)
    callee = invited(carriers[1])
    connect(caller, callee)
    t.cdr_answered(**served(t, 1, callee, (0, 503), (1, 200)))
    notes_come_home()
    other, other_callee = stands_at(t, a, carriers, 0)
    ended(placed(t, a), 503)
    t.cdr(end_reason="capacity", end_side="switch", sip_code=503, q850=34, tried=[])
    t.hang_up(caller, callee)
    t.hang_up(other, other_callee)
    quiet(carriers)


# Rate

def burst(t, a, count):
    """So many INVITEs in one breath, by Call-ID."""
    began = time.monotonic()
    dialogs = [placed(t, a) for _ in range(count)]
    need(time.monotonic() - began < 0.9, "the machine is too slow for this")
    return {d.call_id: d for d in dialogs}


def busy_at(carrier, count):
    """So many calls come to this carrier, all busy."""
    for callee in [invited(carrier) for _ in range(count)]:
        callee.reply(486)
    for _ in range(count):
        carrier.expect("ACK")


def finals(a, dialogs, codes):
    """The final responses to all of them, by code."""
    found = {code: [] for code in codes}
    for _ in dialogs:
        final = a.expect(*["%d INVITE" % code for code in codes])
        found[final.code].append(final)
        dialogs[final.call_id].ack_failure(final)
    return found


@scenario(mg={"rate_limit": 10}, seconds=2)
def rate_limit_of_a_customer(t):
    """20 INVITEs in a second at 10 a second: 10 pass, 10 get 503 with Retry-After: 1; a second later 10 pass again."""
    a, b = t.caller(), t.callee()
    for _ in range(2):
        dialogs = burst(t, a, 20)
        busy_at(b, 10)
        found = finals(a, dialogs, (486, 503))
        need((len(found[486]), len(found[503])) == (10, 10), "%d passed, %d were refused", len(found[486]),
             len(found[503]))
        for final in found[503]:
            need(final.get("Retry-After") == "1", "Retry-After: %s", final.get("Retry-After"))
            need("cause=34" not in (final.get("Reason") or ""), "Reason: %s", final.get("Reason"))
        b.expect_silence(1.1)
    for _ in range(40):
        t.cdr(end_reason={"rejected", "capacity"}, sip_code={486, 503})
    rows = t.rows(40)
    refused = [r for r in rows if r["end_reason"] == "capacity"]
    need(len(refused) == 20 and all((r["sip_code"], r["end_side"], r["attempts"]) == (503, "switch", "[]")
                                    for r in refused), "CDRs: %s", [r["end_reason"] for r in rows])


@scenario(carriers=({"rate_limit": 2}, {}), seconds=2)
def rate_limit_of_a_carrier(t):
    """5 INVITEs in a second at 2 a second: 2 to the first gateway, 3 to the second; a second later to the first."""
    a, carriers = agents(t)
    dialogs = burst(t, a, 5)
    busy_at(carriers[0], 2)
    busy_at(carriers[1], 3)
    finals(a, dialogs, (486,))
    quiet(carriers)
    for _ in range(5):
        t.cdr(**BUSY)
    counts = [[r["routing_gateway"] for r in t.rows(5)].count(carrier_name(t.name, n)) for n in (0, 1)]
    need(counts == [2, 3], "calls of the gateways by CDR: %s", counts)
    time.sleep(1.1)
    goes_to(t, a, carriers, 0)


@scenario(carriers=({"rate_limit": 1},), seconds=2)
def rate_limit_of_the_only_carrier(t):
    """The only gateway is over its rate: 503 as when it is full, without Retry-After."""
    a, carriers = agents(t, 1)
    dialogs = burst(t, a, 2)
    busy_at(carriers[0], 1)
    found = finals(a, dialogs, (486, 503))
    need(len(found[503]) == 1 and not found[503][0].has("Retry-After"), "%s", found[503])
    need((found[503][0].get("Reason") or "").startswith("Q.850;cause=34"), "Reason: %s", found[503][0].get("Reason"))
    for _ in range(2):
        t.cdr(end_reason={"rejected", "capacity"}, sip_code={486, 503})

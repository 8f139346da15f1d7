"""IPv6 on either leg and on both: between agents of the suite, SIPp and nua.  Spec 4; RFC 5118.

There is one IPv6 loopback address: gateways at ::1 are told apart by their ports, which the configuration has."""

from carriers import connect, invited, placed, refuse, tried
from flows_proxy import everything_inside
from flows_timers_nua import nua_call
from harness import add, carrier_name
from sipp import run_pair
from timed import TTL, agrees, begin, counted, hang_up, need_refreshes, run, says
from ua import bracketed, need

SIDES = (("6_to_4", True, False), ("4_to_6", False, True), ("6_to_6", True, True))
SIPP_FLOWS = (("basic", "caller"), ("reinvite_by_callee", "caller"), ("update_with_sdp", "callee"),
              ("message_refer_notify", "caller"))
CALLS = 2
WINDOWS = 3


def head(message):
    return message.raw.partition(b"\r\n\r\n")[0].decode()


def own_family(t, side, message):
    """Every address on a leg is of its family; the other leg's is not to be seen.  The number may hold anything."""
    foreign = "127." if side in t.six else "::1"
    need(foreign not in head(message), "%s on the %s's leg: %s", foreign, side, message.raw)


def addresses(t, a_port, b_port):
    return dict(source_address="%s:%d" % (bracketed(t.caller_host), a_port),
                destination_address="%s:%d" % (bracketed(t.callee_host), b_port))


def whole_call(t):
    """Requests of every kind in both directions; the CDR has both addresses"""
    caller, callee = t.answered()
    for side, message in (("caller", caller.response), ("callee", callee.invite), ("callee", callee.ack_received)):
        own_family(t, side, message)
    need(caller.response.contact().endswith("@%s:%d" % (bracketed(t.to[0]), t.to[1])), "Contact of leg A: %s",
         caller.response.contact())
    need("received=" + t.caller_host in caller.response.get("Via"), "Via of leg A: %s", caller.response.get("Via"))
    everything_inside(caller, callee)
    t.hang_up(callee, caller)
    t.cdr_answered("callee", **addresses(t, caller.agent.port, t.callee_port))


def cancelled(t):
    """CANCEL, its 487 and their answers"""
    caller, callee = t.ringing()
    caller.cancel()
    caller.agent.expect("200 CANCEL")
    cancel = callee.agent.expect("CANCEL")
    own_family(t, "callee", cancel)
    callee.answer(cancel, 200)
    callee.reply(487)
    callee.agent.expect("ACK")
    caller.ack_failure(caller.agent.expect("487 INVITE"))
    t.cdr(end_reason="cancelled", end_side="caller", sip_code=487, **addresses(t, caller.agent.port, t.callee_port))


def sipp(t):
    """SIPp's calls: basic, re-INVITE, UPDATE, REFER"""
    for flow, ends in SIPP_FLOWS:
        run_pair(t, flow, CALLS)
        for _ in range(CALLS):
            t.cdr_answered(ends, **addresses(t, t.caller_port or 5070, t.callee_port))


def timers(t):
    """Session timers: refreshes of the switch on both legs"""
    a, b = begin(t, says(2), agrees(TTL))
    run((a, b), 4.5)
    need_refreshes(a, 2, 3)
    need_refreshes(b, TTL, 2)
    for side, peer in (("caller", a), ("callee", b)):
        for request in peer.requests:
            own_family(t, side, request)
    hang_up(a, b)
    t.cdr_answered(session_timer="a+b", **counted(a, b))


def nua(t):
    """Session timers with nua: it refreshes leg A, the switch leg B"""
    nua_call(t, ("me", "UPDATE"), ("you", "UPDATE"), "caller", windows=WINDOWS, refreshes=WINDOWS)


def failover(t):
    """From a carrier of one family to one of the other, and no further"""
    a, first, second = t.caller(), t.carrier(0), t.carrier(1)
    caller = placed(t, a)
    refuse(invited(first), 503)
    callee = invited(second)
    need(callee.invite.uri == "sip:%s@%s" % (t.number, second.host_port), "request-URI %s", callee.invite.uri)
    connect(caller, callee)
    t.hang_up(caller, callee)
    t.cdr_answered(tried=tried(t, (0, 503), (1, 200)), routing_gateway=carrier_name(t.name, 1),
                   destination_address=second.host_port)


for name, six_caller, six_callee in SIDES:
    sides = dict(mg={"six": True} if six_caller else (), rg={"six": True} if six_callee else ())
    for flow, options in ((whole_call, {}), (cancelled, {}), (sipp, {"seconds": 4}),
                          (timers, {"profile": "timers", "seconds": 6}),
                          (nua, {"profile": "timers", "seconds": WINDOWS * TTL + 3})):
        add(flow, "ipv%s_%s" % (name, flow.__name__), **dict(options, **sides))
    six = {"six": True}
    add(failover, "ipv%s_failover" % name, mg=sides["mg"], carriers=({}, six) if six_callee else (six, {}))

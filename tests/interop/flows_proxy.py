"""Proxies between the switch and either side: route sets, strict routers, ports that move, forks.  RFC 3261 12, 16.

The caller's agent sends to a proxy of its own, and the routing gateway is a proxy with the callee's agent behind it; each
insists on what its Record-Route has asked for (proxy.py)."""

from flows_dialog import relayed_reinvite
from harness import RG_PORT, add, scenario
from proxy import Proxy
from sipmsg import sdp
from timed import (ALLOW, ALLOW_WITHOUT_UPDATE, EXPIRED, TTL, agrees, begin, counted, hang_up, run, says)
from ua import Dialog, need

SECOND_PORT = 5062  # of a proxy with two interfaces, or of the second of two
AGENT_PORT = 5070   # of the agent behind the callee's proxy
FORK_PORT = 5072    # of another one
BEHIND = {"also": (lambda network, index: network.proxy(index),)}  # the caller's proxy is the customer's, too
IN_DIALOG = ("ACK", "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "BYE")


def at_caller(t, **kind):
    """A proxy that the caller sends to."""
    proxy = Proxy(t, t.network.proxy(t.index), RG_PORT, [t.switch.address], **kind)
    t.to = proxy.address
    return proxy


def at_callee(t, onward=None, **kind):
    """The routing gateway is a proxy."""
    t.callee_port = AGENT_PORT
    return Proxy(t, t.callee_host, RG_PORT, onward or [(t.callee_host, AGENT_PORT)], **kind)


def arrives(dialog, kind):
    """A request of the switch, after the last proxy has taken the Route away: for the Contact, RFC 3261 12.2.1.1."""
    message = dialog.agent.expect(kind)
    need(message.uri == "sip:%s@%s" % (dialog.agent.name, dialog.agent.host_port), "%s to %s", message.method,
         message.uri)
    need(not message.has("Route"), "%s with Route %s", message.method, message.get("Route"))
    return message


def everything_inside(caller, callee):
    """Requests of every kind in both directions, with their answers."""
    relayed_reinvite(caller, callee, sdp(2, 40002), sdp(2, 50002))
    relayed_reinvite(callee, caller, sdp(3, 50004), sdp(3, 40004))
    for first, second in ((caller, callee), (callee, caller)):
        first.send("UPDATE", sdp(9, 40010))
        second.answer(arrives(second, "UPDATE"), 200, sdp(9, 50010))
        first.agent.expect("200 UPDATE")
        first.send("UPDATE")  # the switch answers this one itself
        first.agent.expect("200 UPDATE")
        for method, headers, code in (("INFO", [], 200), ("REFER", [("Refer-To", "<sip:999@192.0.2.9>")], 202),
                                      ("NOTIFY", [("Event", "refer"), ("Subscription-State", "active")], 200)):
            first.send(method, b"", headers)
            second.answer(arrives(second, method), code)
            first.agent.expect("%d %s" % (code, method))


def whole_call(t, first="caller"):
    """A call that does everything; `first` hangs up.  Its dialogs."""
    caller, callee = t.answered()
    inside_and_over(t, caller, callee, first)
    return caller, callee


def inside_and_over(t, caller, callee, first):
    everything_inside(caller, callee)
    one, other = (caller, callee) if first == "caller" else (callee, caller)
    one.send("BYE")
    other.answer(arrives(other, "BYE"), 200)
    one.agent.expect("200 BYE")
    t.cdr_answered(first)


# One proxy, on either side and on both

KINDS = {
    "loose": {}, "strict": {"strict": True},
    "lr_with_value": {"lr": "lr=on"},
    "two_interfaces": {"inner": SECOND_PORT},
    "repeats": {"twice": True},
    "other_ports": {"moves": True},
    "other_ports_without_rport": {"moves": True, "rport": False},
}


def one_proxy(kind, options):
    def of_the_caller(t):
        proxy = at_caller(t, **options)
        whole_call(t, "callee")
        proxy.check(*IN_DIALOG)

    def of_the_callee(t):
        proxy = at_callee(t, **options)
        whole_call(t, "caller")
        proxy.check(*IN_DIALOG)

    of_the_caller.__doc__ = "all requests to a caller behind a proxy: %s" % kind.replace("_", " ")
    of_the_callee.__doc__ = "all requests to a callee behind a proxy: %s" % kind.replace("_", " ")
    add(of_the_caller, "proxy_caller_" + kind, mg=BEHIND)
    add(of_the_callee, "proxy_callee_" + kind)


for one in KINDS.items():
    one_proxy(*one)


@scenario(mg=BEHIND)
def proxy_on_both_sides(t):
    """A strict router before the caller and a loose one before the callee: neither leg's route is seen on the other."""
    proxies = at_caller(t, strict=True), at_callee(t)
    whole_call(t)
    for proxy in proxies:
        proxy.check(*IN_DIALOG[:-1])


@scenario()
def preloaded_route(t):
    """A caller that has the switch as its outbound proxy: the Route that names it leads nowhere else."""
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp(), [("Route", "<sip:%s:%d;lr>" % t.to)])
    callee = Dialog.incoming(b, b.expect("INVITE"))
    need(not callee.invite.has("Route"), "a Route on leg B: %s", callee.invite.get("Route"))
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    inside_and_over(t, caller, callee, "callee")


# Two in a row

def two_in_a_row(t, near, far):
    """Two proxies on either side, `near` beside the switch."""
    caller_near = at_caller(t, strict=near)
    caller_far = Proxy(t, caller_near.host, SECOND_PORT, [caller_near.address], strict=far)
    t.to = caller_far.address
    callee_near = at_callee(t, [(t.callee_host, SECOND_PORT)], strict=near)
    callee_far = Proxy(t, t.callee_host, SECOND_PORT, [(t.callee_host, AGENT_PORT)], strict=far)
    caller, _ = whole_call(t, "callee")
    need(len(caller.routes) == 2, "the 200 to the caller brings back %s", caller.routes)
    for proxy in (caller_near, callee_near):
        proxy.check(*IN_DIALOG[:-1])
    for proxy in (caller_far, callee_far):
        proxy.check()


@scenario(mg=BEHIND)
def proxies_loose_then_strict(t):
    """A loose router beside the switch, a strict one behind it, on both sides."""
    two_in_a_row(t, near=False, far=True)


@scenario(mg=BEHIND)
def proxies_strict_then_loose(t):
    """A strict router beside the switch, a loose one behind it.  RFC 3261 16.4"""
    two_in_a_row(t, near=True, far=False)


@scenario(mg=BEHIND)
def proxies_loose_twice(t):
    """Two loose routers on both sides: the route set has both, the near one first."""
    two_in_a_row(t, near=False, far=False)


# Host names: the address that the dialog's last message came from is used.  Spec 4

def with_names(t, strict):
    at_a = at_caller(t, host_name="edge-a.example.invalid", moves=True, strict=strict)
    at_b = at_callee(t, host_name="edge-b.example.invalid", moves=True, strict=strict)
    a, b = t.caller(), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    caller.outbound, callee.outbound = at_a.address, at_b.address
    callee.reply(180)
    a.expect("180 INVITE")
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    arrives(callee, "ACK")
    inside_and_over(t, caller, callee, "callee")
    at_a.check(*IN_DIALOG)
    at_b.check(*IN_DIALOG[:-1])


@scenario(mg=BEHIND)
def proxy_with_a_host_name(t):
    """Record-Route with a host name, from another port with each request: the last message's address is used."""
    with_names(t, strict=False)


@scenario(mg=BEHIND)
def strict_proxy_with_a_host_name(t):
    """The same without lr: the host name is the request-URI."""
    with_names(t, strict=True)


# Forks

def forked(t, **kind):
    """An INVITE that a proxy forks, ringing at both: the proxy, the caller's dialog, those of the two callees."""
    proxy = at_callee(t, [(t.callee_host, AGENT_PORT), (t.callee_host, FORK_PORT)], **kind)
    a, b, c = t.caller(), t.callee(), t.agent(t.callee_host, FORK_PORT, "other")
    caller = a.invite(t.to, t.number, sdp())
    first, second = (Dialog.incoming(agent, agent.expect("INVITE")) for agent in (b, c))
    first.reply(180)
    a.expect("180 INVITE")
    second.reply(183, sdp(port=50500))
    early = a.expect("183 INVITE")
    need(early.body == sdp(port=50500), "the second branch's early media: %r", early.body)
    return proxy, caller, first, second


def lost(dialog):
    """The branch that was too late: ACK, and BYE in its own dialog.  RFC 3261 13.2.2.4"""
    for kind in ("ACK", "BYE"):
        message = arrives(dialog, kind)
        need(message.to_tag == dialog.local_tag and message.call_id == dialog.call_id, "%s of another dialog: %s",
             kind, message.raw)
    dialog.answer(message, 200)


def two_answers(t, **kind):
    proxy, caller, first, second = forked(t, **kind)
    second.reply(200, sdp(port=50600))
    ok = caller.agent.expect("200 INVITE")
    need(ok.body == sdp(port=50600), "the winner's session: %r", ok.body)
    caller.confirm(ok).ack()
    arrives(second, "ACK")
    first.reply(200, sdp(port=50000))
    lost(first)
    caller.agent.expect_silence(0.1)
    inside_and_over(t, caller, second, "caller")
    first.agent.expect_silence(0.1)
    proxy.check()
    return proxy


@scenario()
def fork_two_answers(t):
    """Two 18x and two 200s: the first 200 is the call, the other gets ACK and BYE, by its own route set."""
    two_answers(t).check(*IN_DIALOG)


@scenario()
def fork_two_answers_strict(t):
    """The same through a strict router."""
    two_answers(t, strict=True).check(*IN_DIALOG)


@scenario()
def fork_two_answers_without_record_route(t):
    """A forking proxy that does not record its route: ACK and BYE go to the Contact, also those of the late branch."""
    two_answers(t, records=False)


@scenario()
def fork_answered_at_once(t):
    """Both branches answer in the same moment, and repeat their 200 until their ACK."""
    proxy, caller, first, second = forked(t, twice=True)
    first.reply(200, sdp(port=50000))
    second.reply(200, sdp(port=50600))
    ok = caller.agent.expect("200 INVITE")
    caller.confirm(ok).ack()
    won, late = (first, second) if ok.body == sdp(port=50000) else (second, first)
    lost(late)
    arrives(won, "ACK")
    inside_and_over(t, caller, won, "callee")
    proxy.check("ACK", "BYE")


@scenario()
def fork_cancelled(t):
    """CANCEL while both branches ring: one CANCEL, one 487, one ACK."""
    proxy, caller, first, second = forked(t)
    caller.cancel()
    caller.agent.expect("200 CANCEL")
    caller.ack_failure(caller.agent.expect("487 INVITE"))
    for dialog in (first, second):
        dialog.answer(dialog.agent.expect("CANCEL"), 200)
        dialog.reply(487)
        dialog.agent.expect("ACK")
    t.cdr(end_reason="cancelled", end_side="caller", sip_code=487)
    proxy.check()


@scenario()
def fork_refused(t):
    """Both branches refuse: the caller has the last word of the proxy."""
    proxy, caller, first, second = forked(t)
    for dialog, code in ((first, 486), (second, 603)):
        dialog.reply(code)
        dialog.agent.expect("ACK")
    caller.ack_failure(caller.agent.expect("603 INVITE"))
    t.cdr(end_reason="rejected", end_side="callee", sip_code=603)
    proxy.check()


# What the switch sends by itself

def refreshed(t, strict, callee_allow):
    proxies = at_caller(t, strict=strict), at_callee(t, strict=strict)
    a, b = begin(t, says(2), agrees(TTL), callee_allow=callee_allow)
    run((a, b), 4.5)
    need(len(a.requests) >= 3 and len(b.requests) >= 2, "%d and %d refreshes", len(a.requests), len(b.requests))
    for request in a.requests + b.requests:
        need(not request.has("Route"), "a Route is left: %s", request.get("Route"))
    hang_up(b, a)
    t.cdr_answered("callee", session_timer="a+b", **counted(a, b))
    for proxy, method in zip(proxies, ("UPDATE", b.requests[0].method)):
        proxy.check(method)


@scenario(profile="timers", mg=BEHIND, seconds=6)
def timers_through_proxies(t):
    """Session refreshes of the switch follow the route sets of both legs."""
    refreshed(t, False, ALLOW)


@scenario(profile="timers", mg=BEHIND, seconds=6)
def timers_through_strict_proxies(t):
    """The same through strict routers, by re-INVITE on leg B."""
    refreshed(t, True, ALLOW_WITHOUT_UPDATE)


@scenario(profile="timers", mg=BEHIND, seconds=6)
def proxies_when_the_session_expires(t):
    """A caller that has died: the BYEs of the switch follow the route sets."""
    proxies = at_caller(t), at_callee(t, strict=True)
    a, b = begin(t, says(2), agrees(TTL))
    a.dead = True
    run((a, b), 4, lambda: a.bye and b.bye)
    for peer in (a, b):
        need(not peer.bye.has("Route"), "a Route is left: %s", peer.bye.get("Route"))
    t.cdr(**dict(EXPIRED, session_timer="a+b"))
    for proxy in proxies:
        proxy.check("BYE")


@scenario(mg=BEHIND)
def proxies_cancelled_reinvite(t):
    """CANCEL of a re-INVITE, and the ACK of its 487, take the way of the re-INVITE.  RFC 3261 9.1, 17.1.1.3"""
    proxies = at_caller(t, strict=True), at_callee(t, strict=True)
    caller, callee = t.answered()
    for first, second in ((caller, callee), (callee, caller)):
        request = first.send("INVITE", sdp(2, 40002))
        relayed = arrives(second, "INVITE")
        second.answer(relayed, 180)
        first.agent.expect("180 INVITE")
        first.cancel(request)
        first.agent.expect("200 CANCEL")
        cancel = arrives(second, "CANCEL")
        need(cancel.branch == relayed.branch, "the CANCEL is of another INVITE")
        second.answer(cancel, 200)
        second.answer(relayed, 487)
        arrives(second, "ACK")
        first.ack_failure(first.agent.expect("487 INVITE"), request)
    t.hang_up(caller, callee)
    t.cdr_answered()
    for proxy in proxies:
        proxy.check("CANCEL", "ACK", "INVITE")

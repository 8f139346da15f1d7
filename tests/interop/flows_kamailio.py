"""Calls through Kamailio on both sides of the switch, between agents that are not ours either: SIPp and nua."""

from flows_proxy import AGENT_PORT, BEHIND, FORK_PORT, inside_and_over, lost
from flows_timers_nua import nua_call
from harness import SIX, Skip, scenario
from kamailio import Kamailio
from sipmsg import sdp
from sipp import run_pair
from switch import has_ipv6
from timed import TTL
from ua import Dialog

CALLS = 2
WINDOWS = 3
FLOWS = ("basic", "bye_by_callee", "early_media", "delayed_offer", "reinvite_by_caller", "reinvite_by_callee",
         "reinvite_refused", "update_with_sdp", "info", "message_refer_notify")
BY_CALLEE = ("bye_by_callee", "update_with_sdp")


@scenario(mg=BEHIND, seconds=8)
def kamailio_sipp(t):
    """SIPp behind Kamailio on both sides: re-INVITE, UPDATE, INFO, REFER and BYE by Route, CANCEL, failures."""
    t.callee_port = AGENT_PORT
    with Kamailio(t, (t.callee_host, AGENT_PORT)) as proxy:
        first = ["-rsa", "%s:%d" % proxy.address]
        for flow in FLOWS:
            run_pair(t, flow, CALLS, more=first)
            for _ in range(CALLS):
                t.cdr_answered("callee" if flow in BY_CALLEE else "caller", source_address="%s:5060" % proxy.address[0],
                               destination_address="%s:5060" % t.callee_host)
        run_pair(t, "cancelled", CALLS, more=first)
        run_pair(t, "failure", CALLS, more=first, values={"CODE": "486"})
    for fields in (dict(end_reason="cancelled", end_side="caller", sip_code=487),
                   dict(end_reason="rejected", end_side="callee", sip_code=486)):
        for _ in range(CALLS):
            t.cdr(**fields)


def nua_through(t, full_lr, caller, callee, hang_up):
    t.callee_port = AGENT_PORT
    with Kamailio(t, (t.callee_host, AGENT_PORT), full_lr=full_lr) as proxy:
        t.to = proxy.address
        nua_call(t, caller, callee, hang_up, windows=WINDOWS, refreshes=WINDOWS)


@scenario(profile="timers", mg=BEHIND, seconds=WINDOWS * TTL + 4)
def kamailio_timers_nua_refreshes(t):
    """nua behind Kamailio refreshes leg A by UPDATE, the switch leg B, BYE by the caller."""
    nua_through(t, False, ("me", "UPDATE"), ("you", "UPDATE"), "caller")


@scenario(profile="timers", mg=BEHIND, seconds=WINDOWS * TTL + 4)
def kamailio_timers_nua_refreshed(t):
    """The switch refreshes nua on leg A, nua leg B by re-INVITE; ;lr=on; BYE by the callee."""
    nua_through(t, True, ("you", "UPDATE"), ("me", "INVITE"), "callee")


@scenario(mg=BEHIND, seconds=2)
def kamailio_fork(t):
    """Kamailio forks to two agents: two 18x, and a second 200 that is too late."""
    t.callee_port = AGENT_PORT
    with Kamailio(t, (t.callee_host, AGENT_PORT), fork=(t.callee_host, FORK_PORT)) as proxy:
        t.to = proxy.address
        a, b, c = t.caller(), t.callee(), t.agent(t.callee_host, FORK_PORT, "other")
        caller = a.invite(t.to, t.number, sdp())
        first, second = (Dialog.incoming(agent, agent.expect("INVITE")) for agent in (b, c))
        first.reply(180)
        a.expect("180 INVITE")
        second.reply(180)
        second.reply(200, sdp(port=50600))
        ok = a.expect("200 INVITE", skip=("180 INVITE",))
        caller.confirm(ok).ack()
        c.expect("ACK")
        cancel = b.expect("CANCEL")
        first.reply(200, sdp(port=50000))  # it crosses the CANCEL
        first.answer(cancel, 200)
        lost(first)
        inside_and_over(t, caller, second, "caller")


@scenario(profile="timers", mg=BEHIND, seconds=WINDOWS * TTL + 4)
def kamailio_between_ipv4_and_ipv6(t):
    """A Record-Route for each address family (RFC 5658): nua at ::1 behind Kamailio, the switch's leg is IPv4."""
    if not has_ipv6():
        raise Skip("this machine has no IPv6 address ::1 on lo")
    host, port = SIX, t.network.port6(t.index, "agent")
    with Kamailio(t, (host, port), six=True) as proxy:
        t.to = proxy.address
        nua_call(t, ("you", "UPDATE"), ("you", "UPDATE"), "callee", callee_at=(host, port), windows=WINDOWS,
                 refreshes=WINDOWS)

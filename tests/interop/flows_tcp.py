"""SIP over TCP: RFC 3261 18, RFC 5626 4.4.1; TCP on either leg and on both, connections that come, go and halt."""

import socket
import time

from harness import RG_PORT, Skip, add, scenario
from sipmsg import sdp
from sipp import Callee, run_flow
from stream import StreamAgent
from switch import free_port, mapping_gateway, routing_gateway
from ua import Dialog, need

TCP = {"transport": "tcp"}


def stream_agent(t, host, port=0, name="agent"):
    agent = StreamAgent(host, port, name)
    t.agents.append(agent)
    return agent


def stream_caller(t):
    t.to = t.switch.tcp_address
    return stream_agent(t, t.caller_host, name="caller")


def stream_callee(t):
    return stream_agent(t, t.callee_host, RG_PORT, "callee")


def own_switch(t, parameters=None, rg=(), **more):
    """A switch for this scenario alone, with TCP; rg: options of its gateway, None: there is none."""
    gateways = mapping_gateway(t.name, [t.caller_host])
    if rg is not None:
        gateways += routing_gateway(t.name, t.callee_host, RG_PORT, [t.number[:4]], **dict(rg))
    t.switch = t.configuration.switch(t.name, dict({"RW_SIP_T1": 100}, **(parameters or {})), gateways, with_tcp=True,
                                      **more)
    t.to = t.switch.address
    return t.switch.start()


def has_ipv6():
    try:
        with open("/proc/net/if_inet6") as table:
            return any(line.split()[5] == "lo" for line in table)
    except OSError:
        return False


def answered(t, a, b):
    """A call that is up: (caller's dialog, callee's dialog)."""
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(180)
    a.expect("180 INVITE")
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    return caller, callee


# SIPp on both sides

SOCKETS = ["-max_socket", "100"]  # its own default is above the limit of open files
CALLS = 10
NORMAL = dict(end_reason="normal", end_side="caller", sip_code=200, answered=True)


def sipp_flow(name, scenario_name, caller, callee, cdr=NORMAL, values=None):
    """caller, callee: SIPp's option -t: u1, t1 (one connection for all calls), tn (one a call)."""
    def function(t):
        if caller.startswith("t"):
            t.to = t.switch.tcp_address
        run_flow(t, scenario_name, [Callee(scenario_name, t.callee_host, transport=callee, values=values)], CALLS, 50,
                 values=values, more=["-t", caller] + SOCKETS)
        for _ in range(CALLS):
            t.cdr(**cdr)
    function.__doc__ = "%s, the caller by %s, the callee by %s" % (scenario_name, caller, callee)
    add(function, "tcp_sipp_" + name, "tcp", rg=TCP if callee.startswith("t") else {}, seconds=2)


sipp_flow("basic", "basic", "t1", "t1")
sipp_flow("basic_tn", "basic", "tn", "t1")
sipp_flow("basic_tn_tn", "basic", "tn", "tn")
sipp_flow("from_udp", "basic", "u1", "t1")
sipp_flow("to_udp", "basic", "t1", "u1")
sipp_flow("bye_by_callee", "bye_by_callee", "t1", "t1", dict(NORMAL, end_side="callee"))
sipp_flow("cancelled", "cancelled", "t1", "t1", dict(end_reason="cancelled", end_side="caller", sip_code=487))
sipp_flow("failure", "failure", "t1", "t1", dict(end_reason="rejected", end_side="callee", sip_code=486),
          {"CODE": "486"})
sipp_flow("delayed_offer", "delayed_offer", "t1", "t1")
sipp_flow("reinvite_by_caller", "reinvite_by_caller", "tn", "t1")
sipp_flow("update_with_sdp", "update_with_sdp", "t1", "t1", dict(NORMAL, end_side="callee"))


# Every message as the test writes it

@scenario(profile="tcp", rg=TCP)
def tcp_via_and_contact(t):
    """Via and Contact say TCP; responses come back on the connection of their request; one connection a gateway."""
    a, b = stream_caller(t), stream_callee(t)
    caller, callee = answered(t, a, b)
    invite, ok = callee.invite, caller.response
    need(invite.get("Via").startswith("SIP/2.0/TCP %s:%d;" % t.switch.tcp_address), "Via: %s", invite.get("Via"))
    need(invite.contact().endswith(":%d;transport=tcp" % t.switch.tcp_port), "Contact: %s", invite.contact())
    need(ok.contact().endswith(":%d;transport=tcp" % t.switch.tcp_port), "Contact: %s", ok.contact())
    need(len(a.connections) == 1 and len(b.connections) == 1, "%d and %d connections", len(a.connections),
         len(b.connections))
    need("received=%s" % a.host in ok.get("Via"), "Via of the 200: %s", ok.get("Via"))
    t.hang_up(caller, callee)
    caller, callee = answered(t, a, b)  # another call, by the same connections
    t.hang_up(callee, caller)
    need(len(a.connections) == 1, "%d connections of the caller", len(a.connections))
    t.cdr_answered()
    t.cdr_answered("callee")


@scenario(profile="tcp")
def tcp_to_udp(t):
    """From TCP to UDP, requests of either side inside the dialog."""
    a, b = stream_caller(t), t.callee()
    caller, callee = answered(t, a, b)
    need(callee.invite.get("Via").startswith("SIP/2.0/UDP "), "Via: %s", callee.invite.get("Via"))
    need("transport" not in callee.invite.contact(), "Contact: %s", callee.invite.contact())
    caller.send("INFO", b"x", content_type="text/plain")
    callee.answer(b.expect("INFO"), 200)
    a.expect("200 INFO")
    callee.send("INFO", b"y", content_type="text/plain")
    info = a.expect("INFO")
    need(info.get("Via").startswith("SIP/2.0/TCP "), "Via: %s", info.get("Via"))
    caller.answer(info, 200)
    b.expect("200 INFO")
    t.hang_up(callee, caller)
    t.cdr_answered("callee")


@scenario(profile="tcp", rg=TCP)
def tcp_from_udp(t):
    """From UDP to TCP, and a CANCEL."""
    a, b = t.caller(), stream_callee(t)
    caller, callee = answered(t, a, b)
    t.hang_up(caller, callee)
    t.cdr_answered()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(180)
    a.expect("180 INVITE")
    caller.cancel()
    refused = a.expect_all("200 CANCEL", "487 INVITE")["487 INVITE"]
    caller.ack_failure(refused)
    cancel = b.expect("CANCEL")
    need(cancel.get("Via") == callee.invite.get("Via"), "Via of the CANCEL: %s", cancel.get("Via"))
    need(cancel.source == callee.invite.source, "the CANCEL goes by another connection than its INVITE")
    callee.answer(cancel, 200)
    callee.reply(487)
    b.expect("ACK")
    t.cdr(end_reason="cancelled", end_side="caller", sip_code=487)


@scenario(profile="tcp")
def tcp_byte_by_byte(t):
    """An INVITE that comes a byte at a time, with keep-alives before and after it."""
    a, b = stream_caller(t), t.callee()
    caller = a.invite(t.to, t.number, sdp(), send=False)
    a.write(b"\r\n\r\n" + caller.invite.encode() + b"\r\n\r\n", t.to, pause=0.0005, piece=1)
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    need(a.connections[0].pongs == 2, "%d pongs to 2 pings", a.connections[0].pongs)
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario(profile="tcp", rg=None)
def tcp_many_in_one_segment(t):
    """A hundred requests in one write, a line end between them, get an answer each."""
    a = stream_caller(t)
    requests = [a.request("OPTIONS", t.to) for _ in range(100)]
    a.write(b"\r\n".join(r.encode() for r in requests), t.to)
    answers = [a.expect("200 OPTIONS").call_id for _ in requests]  # in any order: they are of several shards
    need(sorted(answers) == sorted(r.call_id for r in requests), "not one answer each")


@scenario(profile="tcp", rg=None)
def tcp_half_closed(t):
    """A peer that ends its direction behind its request has the answer, whichever worker its Call-ID belongs to."""
    a = stream_caller(t)
    for _ in range(20):
        connection = a.connect(t.to)
        request = a.request("OPTIONS", t.to)
        connection.sock.sendall(request.encode())
        connection.sock.shutdown(socket.SHUT_WR)
        need(a.expect("200 OPTIONS").call_id == request.call_id, "of another request")
        a.expect_end(connection)


@scenario(profile="tcp", rg=None)
def tcp_18_3_no_content_length(t):
    """A request without Content-Length: 400, and the connection ends.  RFC 3261 18.3."""
    a = stream_caller(t)
    request = a.request("OPTIONS", t.to)
    raw = request.encode().replace(b"Content-Length: 0\r\n", b"")
    connection = a.write(raw + a.request("OPTIONS", t.to).encode(), t.to)
    need(a.expect("400 OPTIONS").call_id == request.call_id, "of another request")
    a.expect_end(connection)
    a.expect_silence(0.1)


@scenario(profile="tcp", rg=None)
def tcp_too_large(t):
    """A message above max_message: 513, and the connection ends; so does one whose header section does not."""
    a = stream_caller(t)
    connection = a.write(a.request("OPTIONS", t.to, headers=[("Content-Length", "16384")]).encode(), t.to)
    a.expect("513 OPTIONS")
    a.expect_end(connection)
    endless = a.request("OPTIONS", t.to).encode()[:-2] + b"X-Long: " + b"x" * 20000
    connection = a.write(endless, t.to)
    a.expect("513 OPTIONS")
    a.expect_end(connection)
    connection = a.write(b"\x16\x03\x01\x00\xa5\x01", t.to)  # TLS on this port
    a.expect_end(connection)


@scenario(profile="tcp", rg=TCP)
def tcp_reset_in_mid_call(t):
    """Both connections are reset in mid call: the call goes on, and its BYE opens another one."""
    a, b = stream_caller(t), stream_callee(t)
    caller, callee = answered(t, a, b)
    a.reset()
    b.reset()
    time.sleep(0.2)
    need(t.switch.calls(gateway=t.name), "the call has ended")
    t.hang_up(caller, callee)  # the caller by a new connection of its own, the switch by one to the callee
    t.cdr_answered()
    caller, callee = answered(t, a, b)
    a.reset()
    t.hang_up(callee, caller)  # to the caller's Contact
    t.cdr_answered("callee")


@scenario(profile="tcp")
def tcp_18_2_2_response_by_another_connection(t):
    """The connection of an INVITE ends before its answer: that comes to received and the port of sent-by."""
    a, b = stream_caller(t), t.callee()
    caller = a.invite(t.to, t.number, sdp())
    callee = Dialog.incoming(b, b.expect("INVITE"))
    callee.reply(180)
    a.expect("180 INVITE")
    a.reset()
    time.sleep(0.1)
    callee.reply(200, sdp(port=50000))
    ok = a.expect("200 INVITE")
    caller.confirm(ok).ack()
    b.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered()


@scenario(profile="tcp", carriers=({"transport": "tcp"}, {"transport": "tcp"}, {}))
def tcp_failover(t):
    """Nobody listens at the first gateway, the second hangs up on the INVITE: at once the third is tried."""
    second = stream_agent(t, t.network.carrier(t.index, 1), RG_PORT, "carrier2")
    a, third = t.caller(), t.carrier(2)
    started = time.monotonic()
    caller = a.invite(t.to, t.number, sdp())
    second.expect("INVITE")
    second.reset()
    callee = Dialog.incoming(third, third.expect("INVITE"))
    need(time.monotonic() - started < 3, "it took %.1f s", time.monotonic() - started)
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    third.expect("ACK")
    t.hang_up(caller, callee)
    t.cdr_answered(tried=[("%s-1" % t.name, 503), ("%s-2" % t.name, 503), ("%s-3" % t.name, 200)])


@scenario(profile="tcp", rg=TCP, seconds=6)
def tcp_refreshes(t):
    """Session refreshes of the switch on both legs: by the connections that there are, each once."""
    a, b = stream_caller(t), stream_callee(t)
    timer = [("Supported", "timer"), ("Session-Expires", "4")]
    caller = a.invite(t.to, t.number, sdp(), timer)
    callee = Dialog.incoming(b, b.expect("INVITE"))
    answer = [("Require", "timer"), ("Session-Expires", "4;refresher=uac"), ("Allow", "INVITE, ACK, BYE, UPDATE")]
    callee.reply(200, sdp(port=50000), answer)
    caller.confirm(a.expect("200 INVITE")).ack()
    b.expect("ACK")
    for agent, dialog in ((a, caller), (b, callee)):
        update = agent.expect("UPDATE", timeout=3)
        dialog.answer(update, 200, headers=[("Require", "timer"), ("Session-Expires", "4;refresher=uac")])
        need(agent.repeats[update.key] == 0, "the refresh was repeated")
    need(len(a.connections) == 1 and len(b.connections) == 1, "further connections")
    for agent, dialog in ((a, caller), (b, callee)):  # an answer each: what came before on their connections was read
        dialog.send("OPTIONS")
        agent.expect("200 OPTIONS")
    t.hang_up(caller, callee)
    t.cdr_answered(session_timer="a+b", refreshes_confirmed=2)


@scenario(profile="tcp")
def tcp_caller_does_not_read(t):
    """A peer that does not read loses its connection, and delays nobody."""
    deaf = StreamAgent(t.caller_host, name="deaf")
    t.agents.append(deaf)
    connection = deaf.connect(t.switch.tcp_address)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sock.settimeout(0.2)
    raw = b"".join(deaf.request("OPTIONS", t.switch.tcp_address).encode() for _ in range(100))
    before, ended = t.switch.stats()["connections_unread"], False
    a, b = stream_caller(t), t.callee()
    for turn in range(400):
        try:
            connection.sock.sendall(raw)
        except socket.timeout:
            pass
        except OSError:
            ended = True
            break
        if turn % 50 == 0:
            caller, callee = answered(t, a, b)
            t.hang_up(caller, callee)
            t.cdr_answered()
    need(ended, "it is served on and on")
    need(t.switch.stats()["connections_unread"] > before, "not counted")


@scenario(profile=None, mg=None, rg=None, seconds=8)
def tcp_limits(t):
    """max_connections_per_source, connection_idle, and the statistics of both."""
    own_switch(t, keys={"max_connections_per_source": 3, "connection_idle": 5})
    try:
        a = stream_caller(t)
        standing = [a.connect(t.to) for _ in range(3)]
        for connection in standing:
            a.write(a.request("OPTIONS", t.to).encode(), connection.peer)
            a.expect("200 OPTIONS")
        a.expect_end(a.connect(t.to))
        wanted = {"connections": 3, "connections_accepted": 3, "connections_refused": 1}
        until = time.monotonic() + 4  # they are published ten times a second
        while {k: t.switch.stats()[k] for k in wanted} != wanted:
            need(time.monotonic() < until, "%s, not %s", t.switch.stats(), wanted)
            time.sleep(0.02)
        for connection in standing:
            a.expect_end(connection)
        need(not t.switch.wait_stats(["connections"], 4), "not counted off")
        need(t.switch.stats()["connections_idle"] == 3, "%d were idle", t.switch.stats()["connections_idle"])
        a.connect(t.to)
    finally:
        status = t.switch.stop()
    need(status == 0, "exit status %s: %s", status, t.switch.log_tail(20))


@scenario(profile=None, mg=None, rg=None, seconds=4)
def tcp_reload_of_transport(t):
    """A reload moves a gateway from UDP to TCP and back; calls that are up stay where they are."""
    own_switch(t)
    try:
        def route(**options):
            t.switch.gateways = (mapping_gateway(t.name, [t.caller_host]) +
                                 routing_gateway(t.name, t.callee_host, RG_PORT, [t.number[:4]], **options))
            t.switch.write_configuration()
            t.switch.call("config.reload")

        a, udp, tcp = t.caller(), t.callee(), stream_callee(t)
        first = answered(t, a, udp)
        route(transport="tcp")
        second = answered(t, a, tcp)
        route(transport="udp")
        third = answered(t, a, udp)
        for caller, callee in (first, second, third):
            t.hang_up(caller, callee)
            t.cdr_answered()
    finally:
        status = t.switch.stop()
    need(status == 0, "exit status %s: %s", status, t.switch.log_tail(20))


@scenario(profile=None, mg=None, rg=None, seconds=6)
def tcp_over_a_restart(t):
    """kill -9 in mid call: the next process goes on with it by connections of its own, from either side."""
    own_switch(t, {"SS_SIP_SESSION_TTL": 600}, TCP)
    try:
        a, b = stream_caller(t), stream_callee(t)
        first, second = answered(t, a, b), answered(t, a, b)
        time.sleep(0.2)
        t.switch.process.kill()
        t.switch.process.wait(10)
        t.switch.start()
        t.hang_up(*first)
        t.cdr_answered(recovered=1)
        t.hang_up(second[1], second[0])
        t.cdr_answered("callee", recovered=1)
    finally:
        status = t.switch.stop()
    need(status == 0, "exit status %s: %s", status, t.switch.log_tail(20))


@scenario(profile=None, mg=None, rg=None, seconds=2)
def tcp_ipv6(t):
    """From IPv4 by TCP to IPv6 by TCP, and the address of the listener is the one that connects."""
    if not has_ipv6():
        raise Skip("no IPv6 on the loopback interface")
    own_switch(t, rg=None)
    try:
        b = stream_agent(t, "::1", free_port("::1", socket.SOCK_STREAM), "callee")
        port6 = free_port("::1", socket.SOCK_STREAM)
        t.switch.gateways += ('listen "stream6" {\n\ttransport = "tcp"\n\taddress = "::1"\n\tport = %d\n}\n' % port6 +
                              routing_gateway(t.name, "::1", b.port, [t.number[:4]], transport="tcp"))
        t.switch.stop()
        t.switch.start()
        a = stream_caller(t)
        caller, callee = answered(t, a, b)
        need(callee.invite.get("Via").startswith("SIP/2.0/TCP [::1]:%d;" % port6), "Via: %s", callee.invite.get("Via"))
        t.hang_up(callee, caller)
        t.cdr_answered("callee")
    finally:
        status = t.switch.stop()
    need(status == 0, "exit status %s: %s", status, t.switch.log_tail(20))

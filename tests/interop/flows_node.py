"""The node as a whole: operator, shutdown, IPv6, steering, the accuracy of times, load."""

import json
import os
import socket
import subprocess
import time

import lateness
from harness import RG_PORT, Skip, scenario
from sipmsg import sdp
from sipp import run_pair
from switch import drained_gauges, mapping_gateway, routing_gateway
from ua import Dialog, need


def own_switch(t, **more):
    """A switch for this scenario alone; t.to and t.switch become it."""
    gateways = (mapping_gateway(t.name, [t.caller_host]) +
                routing_gateway(t.name, t.callee_host, RG_PORT, [t.number[:4]]))
    t.switch = t.configuration.switch(t.name, gateways=gateways, **more)
    t.to = t.switch.address
    return t.switch.start()


def rwctl(t, *arguments, json_output=True):
    """Output of rwctl, and its exit status."""
    command = [t.configuration.options.rwctl, "-s", t.switch.socket_path] + (["--json"] if json_output else [])
    done = subprocess.run(command + list(arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=20)
    return done.stdout, done.returncode


@scenario()
def operator_hangs_up(t):
    """rwctl hangup ends a live call with BYE on both legs."""
    caller, callee = t.answered()
    caller.send("INFO")
    info = callee.agent.expect("INFO")
    callee.answer(info, 200)
    caller.agent.expect("200 INFO")
    mine = t.switch.calls(gateway=t.name)
    need(len(mine) == 1, "calls.list shows %d calls", len(mine))
    row = mine[0]
    need(row["call_id_a"] == caller.call_id and row["call_id_b"] == callee.call_id, "Call-IDs: %s", row)
    need(row["callee_in"] == t.number and row["connect_us"] > 0, "row: %s", row)
    shown, status = rwctl(t, "call", row["cdr_id"])
    need(status == 0 and row["cdr_id"] in shown, "rwctl call: %s", shown)
    shown, status = rwctl(t, "hangup", row["cdr_id"])
    need(status == 0, "rwctl hangup: exit status %d: %s", status, shown)
    for dialog in (caller, callee):
        bye = dialog.agent.expect("BYE")
        dialog.answer(bye, 200)
    need(bye.cseq > info.cseq, "the BYE does not go on in leg B's CSeq: %d after %d", bye.cseq, info.cseq)
    t.cdr(end_reason="operator_hangup", end_side="switch", sip_code=200, answered=True, cdr_id=row["cdr_id"])
    shown, status = rwctl(t, "hangup", row["cdr_id"])
    need(status == 1, "hanging up a call that has ended: exit status %d", status)


@scenario()
def operator_hangs_up_while_ringing(t):
    """rwctl hangup of a ringing call: CANCEL to the callee, a final response to the caller."""
    caller, callee = t.ringing()
    shown, status = rwctl(t, "hangup", caller.call_id)
    need(status == 0, "rwctl hangup: %s", shown)
    callee.answer(callee.agent.expect("CANCEL"), 200)
    callee.reply(487)
    callee.agent.expect("ACK")
    final = caller.agent.expect("480 INVITE", "487 INVITE", "500 INVITE", "503 INVITE", "603 INVITE")
    caller.ack_failure(final)
    t.cdr(end_reason="operator_hangup", end_side="switch", sip_code=final.code)


@scenario()
def cdr_by_rwctl(t):
    """rwctl cdr prints the record as a table and as JSON."""
    caller, callee = t.answered()
    t.hang_up(caller, callee)
    t.cdr_answered()
    row = t.rows(1)[0]
    shown, status = rwctl(t, "cdr")
    need(status == 0 and row["cdr_id"] in shown, "rwctl --json cdr lacks %s: %s", row["cdr_id"], shown[:500])
    json.loads(shown)
    shown, status = rwctl(t, "cdr", json_output=False)
    need(status == 0 and "normal" in shown, "rwctl cdr: %s", shown[:500])
    for command in ("info", "stats", "shards", "calls"):
        shown, status = rwctl(t, command)
        need(status == 0, "rwctl %s: exit status %d", command, status)
        json.loads(shown)


@scenario(mg=None, rg=None, profile=None, seconds=2)
def shutdown_ends_live_calls(t):
    """SIGTERM: BYE on both legs of a live call, CANCEL and a final answer for a ringing one, CDRs, exit status 0."""
    switch = own_switch(t)
    try:
        caller, callee = t.answered()
        a, b = caller.agent, callee.agent
        ringing = a.invite(t.to, t.number, sdp())
        ringing_callee = Dialog.incoming(b, b.expect("INVITE"))
        ringing_callee.reply(180)
        a.expect("180 INVITE")
        status = switch.terminate()
        need(status == 0, "exit status %s: %s", status, switch.log_tail(5))
        at_b = b.expect_all("BYE", "CANCEL")
        need(at_b["BYE"].call_id == callee.call_id, "BYE to the wrong call")
        final = [m for m in a.collect(0.3)]
        need(any(m.kind == "BYE" and m.call_id == caller.call_id for m in final), "no BYE to the caller: %s",
             [m.start for m in final])
        need(any(m.code and m.code >= 400 and m.call_id == ringing.call_id for m in final),
             "no final answer to the ringing caller: %s", [m.start for m in final])
        t.cdr(end_reason="node_shutdown", end_side="switch", sip_code=200, answered=True)
        t.cdr(end_reason="node_shutdown", end_side="switch")
    finally:
        switch.stop()


@scenario(mg={"also": ("::1",)})
def ipv6_caller(t):
    """An IPv6 caller and an IPv4 callee: every address is the leg's own, the SDP is the peers'."""
    if t.switch.port6 is None:
        raise Skip("no IPv6 on lo")
    a, b = t.agent("::1", name="caller"), t.callee()
    to = ("::1", t.switch.port6)
    caller = a.invite(to, t.number, sdp(address="2001:db8::1").replace(b"IN IP4", b"IN IP6"))
    callee = Dialog.incoming(b, b.expect("INVITE"))
    need("::1" not in callee.invite.raw.partition(b"\r\n\r\n")[0].decode(), "an IPv6 address on leg B: %s",
         callee.invite.raw)
    callee.reply(200, sdp(port=50000))
    ok = a.expect("200 INVITE")
    need("[::1]:%d" % t.switch.port6 in ok.get("Contact"), "Contact of leg A: %s", ok.get("Contact"))
    need("received=::1" in ok.get("Via") or "received=[::1]" in ok.get("Via"), "Via of leg A: %s", ok.get("Via"))
    caller.confirm(ok).ack()
    b.expect("ACK")
    t.hang_up(callee, caller)
    t.cdr_answered("callee", source_address=a.host_port, destination_address=b.host_port)


@scenario(mg=None, rg=None, profile=None, seconds=8)
def spreading(t):
    """400 calls between one source and one destination address spread over 2 shards, 35 to 65 % each."""
    if t.configuration.workers != 2:
        raise Skip("needs 2 workers")
    switch = own_switch(t)
    try:
        run_pair(t, "load", calls=400, rate=50 if lateness.instrumented else 200, timeout=40, trace=False)
        stats = switch.stats()
        need(stats["calls_attempted"] == 400, "calls_attempted %d", stats["calls_attempted"])
        shares = [s["calls_attempted"] for s in stats["shards"]]
        need(len(shares) == 2 and all(140 <= s <= 260 for s in shares), "calls by shard: %s", shares)
        handed, came = stats["datagrams_handed_over"], stats["datagrams_in"]
        t.note = ("calls by shard %s, %d of %d datagrams handed over" % (shares, handed, came))
        if t.configuration.steering == "bpf":
            need(handed == 0, "%d of %d datagrams were handed over", handed, came)
        else:
            need(0.3 <= handed / came <= 0.7, "%d of %d datagrams were handed over", handed, came)
        for _ in range(400):
            t.cdr_answered()
    finally:
        # CDRs are judged from the database after the switch has stopped
        switch.stop()


@scenario(mg=None, rg=None, profile=None, seconds=6)
def times_agree_with_a_capture(t):
    """connect_us and end_us agree within 1 ms with a packet capture on lo of the same calls."""
    switch = own_switch(t)
    capture = os.path.join(t.directory, "capture.pcap")
    log = open(os.path.join(t.directory, "tshark.log"), "w+")
    tshark = None
    try:
        tshark = start_capture(switch.port, capture, log)
        run_pair(t, "basic", calls=15, rate=30)
        run_pair(t, "bye_by_callee", calls=15, rate=30)
        rows = t.switch.wait_rows(30)
        time.sleep(0.5)
        end_capture(tshark)
        compare_times(t, rows, captured(capture, switch.port), switch.address)
        for side in ["caller"] * 15 + ["callee"] * 15:
            t.cdr_answered(side)
    finally:
        if tshark is not None:
            end_capture(tshark)
        log.close()
        switch.stop()


def start_capture(port, path, log):
    try:
        tshark = subprocess.Popen(["tshark", "-i", "lo", "-q", "-f", "udp port %d" % port, "-w", path],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    except FileNotFoundError:
        raise Skip("tshark is not installed")
    # It captures when a datagram of ours has reached the file.
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    deadline = time.monotonic() + 10
    try:
        while time.monotonic() < deadline:
            if tshark.poll() is not None:
                log.seek(0)
                raise Skip("tshark cannot capture: %s" % " ".join(log.read().split())[-200:])
            probe.sendto(b"\r\n\r\n", ("127.0.0.1", port))
            time.sleep(0.1)
            if os.path.exists(path) and os.path.getsize(path) > 500:
                return tshark
    finally:
        probe.close()
    end_capture(tshark)
    raise Skip("tshark captured nothing within 10 s")


def end_capture(tshark):
    """SIGTERM, so that tshark ends its dumpcap and writes the file to its end."""
    if tshark.poll() is not None:
        return
    tshark.terminate()
    try:
        tshark.wait(15)
    except subprocess.TimeoutExpired:
        tshark.kill()
        tshark.wait()


def captured(path, port):
    """[(time in us, source port, destination port, method, code, CSeq method, Call-ID)] of a capture file."""
    fields = ["frame.time_epoch", "udp.srcport", "udp.dstport", "sip.Method", "sip.Status-Code", "sip.CSeq.method",
              "sip.Call-ID"]
    command = ["tshark", "-n", "-r", path, "-d", "udp.port==%d,sip" % port, "-Y", "sip", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    packets = []
    for line in out.splitlines():
        parts = line.split("\t")
        if len(parts) == len(fields):
            seconds, _, fraction = parts[0].partition(".")
            packets.append((int(seconds) * 1000000 + int((fraction + "000000")[:6]), parts[1], parts[2], parts[3],
                            parts[4], parts[5], parts[6]))
    return packets


def compare_times(t, rows, packets, address):
    port = str(address[1])

    def first(call_id, method, code, cseq_method):
        times = [p[0] for p in packets if p[2] == port and p[6] == call_id and p[3] == method and p[4] == code and
                 p[5] == cseq_method]
        need(times, "the capture lacks %s%s of %s", method, code, call_id)
        return min(times)

    need(len(rows) == 30, "%d CDRs", len(rows))
    worst = 0
    for row in rows:
        leg = row["call_id_a"] if row["end_side"] == "caller" else row["call_id_b"]
        expected = {"start_us": first(row["call_id_a"], "INVITE", "", "INVITE"),
                    "connect_us": first(row["call_id_b"], "", "200", "INVITE"),
                    "end_us": first(leg, "BYE", "", "BYE")}
        for name, seen in expected.items():
            error = abs(row[name] - seen)
            worst = max(worst, error)
            need(error <= 1000, "%s is %d us from the packet", name, row[name] - seen)
    t.note = ("the largest difference is %d us" % worst)


@scenario(mg=None, rg=None, profile=None, alone=True, once=True, on_request=True)
def load(t):
    """20,000 calls at 1,000 a second without a failure; nothing is left afterwards."""
    calls = 20000
    switch = own_switch(t)
    try:
        run_pair(t, "load", calls=calls, rate=1000, timeout=120, trace=False, more=["-l", "8000"])
        wrong = switch.wait_stats(["calls_active", "calls_setup"], 10)
        need(not wrong, "10 s after the last call: %s", wrong)
        stats = switch.stats()
        need(stats["calls_attempted"] == calls and stats["calls_answered"] == calls and stats["calls_failed"] == 0,
             "attempted %d, answered %d, failed %d", stats["calls_attempted"], stats["calls_answered"],
             stats["calls_failed"])
        need(stats["parsed_by_library"] <= stats["datagrams_in"] / 100, "%d of %d messages went to the library",
             stats["parsed_by_library"], stats["datagrams_in"])
        need(stats["datagrams_bad"] == 0, "datagrams_bad %d", stats["datagrams_bad"])
        rows = switch.wait_rows(calls, timeout=20)
        need(len(rows) == calls, "%d CDRs", len(rows))
        need(len({r["cdr_id"] for r in rows}) == calls, "a cdr_id stands twice")
        need(all(r["end_reason"] == "normal" and r["sip_code"] == 200 and r["connect_us"] for r in rows),
             "end reasons: %s", {r["end_reason"] for r in rows})
        wrong = switch.wait_stats(drained_gauges, 40)
        need(not wrong, "40 s after the last call: %s", wrong)
        for _ in range(calls):
            t.cdr_answered()
    finally:
        status = switch.stop()
    need(status == 0, "exit status %s", status)

"""Torture messages and malformed datagrams over a real socket.  Spec 11, RFC 4475."""

import os
import re
import time

from harness import RG_PORT, Skip, scenario
from sipmsg import Message, Malformed
from switch import mapping_gateway, routing_gateway
from torture import SAME_KEY, jsip, listed, port_of, read, right, seeds, with_own_call_id
from ua import Dialog, Unmet, need

SILENCE_S = 0.6  # how long nothing must come for DROP
HERE = os.path.dirname(os.path.abspath(__file__))


class Target:
    """A switch of its own, a carrier that answers 486 to every INVITE, and a sender."""

    def __init__(self, t):
        self.t = t
        gateways = (mapping_gateway(t.name, [t.caller_host]) +
                    routing_gateway(t.name, t.callee_host, RG_PORT, [""]))
        t.switch = t.configuration.switch(t.name, gateways=gateways)
        self.switch = t.switch.start()
        self.address = t.switch.address
        self.senders = {}
        self.carrier = t.callee()

    def sender(self, port):
        if port not in self.senders:
            self.senders[port] = self.t.caller("sender", port)
        return self.senders[port]

    def close(self):
        self.switch.stop()

    def try_out(self, name, raw, port, answers):
        """Sends one datagram; the answers in words, wrong ones as Unmet."""
        sender = self.sender(port)
        sender.send(raw, self.address)
        final = self.final_answer(sender, may_be_silent=right(None, answers))
        return self.judge(name, raw, sender, final, answers)

    def judge(self, name, raw, sender, final, answers):
        code = final.code if final else None
        need(right(code, answers), "%s: %s instead of %s", name, final.start if final else "silence",
             " or ".join(str(a) for a in sorted(answers, key=str)))
        if final and final.method == "INVITE" and code != 400:
            self.acknowledge(sender, raw, final)
        return final

    def serve_carrier(self, seconds):
        """Answers the INVITEs that were passed on; how many."""
        invites = [m for m in self.carrier.collect(seconds) if m.kind == "INVITE"]
        for invite in invites:
            check_forwarded(invite)
            Dialog.incoming(self.carrier, invite).reply(486)
        return len(invites)

    def final_answer(self, sender, may_be_silent):
        """The final answer to what was sent; the carrier answers its INVITEs meanwhile."""
        deadline = time.monotonic() + (SILENCE_S if may_be_silent else 8)
        while time.monotonic() < deadline:
            messages = sender.collect(0.02)
            self.serve_carrier(0.02)
            finals = [m for m in messages if m.code is not None and m.code >= 200]
            need(len(finals) <= 1, "several answers: %s", [m.start for m in finals])
            need(all(m.code is not None for m in messages), "a request came: %s", [m.start for m in messages])
            if finals:
                return finals[0]
        return None

    def try_all(self, messages):
        """Sends (name, bytes) one after the other, each with a Call-ID of its own; the final answers to each, by its
        place.  What makes the switch unwell is named."""
        sent, answers = [], [[] for _ in messages]

        def place_of(message):
            mark = re.search(r"~(\d+)$", message.call_id or "")
            if mark:
                return int(mark.group(1))
            for place in reversed(range(len(sent))):  # its Call-ID stands in no usual form
                if (message.call_id or "").encode("utf-8", "surrogateescape") in sent[place]:
                    return place
            raise Unmet("an answer to nobody: %s" % message.start)

        def pump(seconds):
            heard = self.serve_carrier(seconds)
            for sender in self.senders.values():
                for message in sender.collect(seconds):
                    need(message.code is not None, "a request came: %s", message.start)
                    place = place_of(message)
                    answers[place].append(message)
                    heard += 1
                    if message.method == "INVITE" and message.code != 400:
                        self.acknowledge(sender, sent[place], message)
            return heard

        for place, (name, raw) in enumerate(messages):
            sent.append(with_own_call_id(raw, "~%d" % place))
            sender = self.sender(port_of(raw))
            sender.send(sent[-1], self.address)
            self.is_well(name)
            pump(0.001)
        quiet = time.monotonic()
        while time.monotonic() < quiet + 1:
            if pump(0.01):
                quiet = time.monotonic()
        return answers

    def acknowledge(self, sender, raw, final):
        via = final.all("Via")[0]
        lines = [("Via", re.sub(r";(received|rport)=[^;]*", "", via)), ("From", final.get("From")),
                 ("To", final.get("To")), ("Call-ID", final.call_id), ("CSeq", "%d ACK" % final.cseq),
                 ("Max-Forwards", "70")]
        uri = raw.split(b" ")[1].decode("latin-1")
        sender.send(Message("ACK %s SIP/2.0" % uri, lines), self.address)

    def is_well(self, after):
        need(self.switch.alive(), "the switch died after %s: %s", after, self.switch.log_tail(5))
        need(self.switch.answers_options(self.t.caller_host, timeout=8), "no answer to OPTIONS after %s", after)

    def nothing_left(self, seconds=10):
        wrong = self.switch.wait_stats(["calls_active", "calls_setup"], seconds)
        need(not wrong, "left over: %s", wrong)
        status = self.switch.terminate()
        need(status == 0, "exit status %s: %s", status, self.switch.log_tail(5))


def check_forwarded(invite):
    """What the parser let through must leave in good form."""
    need(re.fullmatch(r"INVITE sips?:[^ <>?]+ SIP/2\.0", invite.start), "forwarded as %r", invite.start)
    need(0 <= int(invite.get("Max-Forwards")) <= 254, "forwarded with Max-Forwards %s", invite.get("Max-Forwards"))


def collection(t):
    folder = t.configuration.options.torture
    if not os.path.isdir(os.path.join(folder, "rfc4475")):
        raise Skip("no torture messages in %s" % os.path.relpath(folder))
    return folder


class Table:
    """A line for each message, and the verdict on all; kept beside the switch's log."""

    def __init__(self, t):
        self.t = t
        self.wrong = []
        self.lines = []
        self.dialogs = set()

    def row(self, name, attempt):
        """attempt(): the final answer, or Unmet."""
        try:
            final = attempt()
            if final and final.method == "INVITE":
                self.dialogs.add(final.call_id)
            self.lines.append("ok    %-50s %s" % (name, final.start if final else "silence"))
        except (Unmet, Malformed) as problem:
            self.wrong.append(str(problem))
            self.lines.append("FAIL  %-50s %s" % (name, problem))

    def end(self, target):
        t = self.t
        with open(os.path.join(t.directory, "table"), "w", errors="replace") as out:
            out.write("\n".join(self.lines + ["%d passed, %d failed" % (len(self.lines) - len(self.wrong),
                                                                       len(self.wrong))]) + "\n")
        t.output += self.wrong
        target.nothing_left()
        rows = t.switch.rows()
        calls = [r["call_id_a"] for r in rows]
        need(len(calls) == len(set(calls)), "several CDRs of one call: %s", sorted(calls))
        need(not self.wrong, "%d of %d messages: %s", len(self.wrong), len(self.lines),
             self.wrong[0] if self.wrong else "")
        need(set(calls) <= self.dialogs, "CDRs of what was no call: %s", set(calls) - self.dialogs)
        t.note = "%d messages" % len(self.lines)
        for _ in rows:
            t.cdr()


@scenario(mg=None, rg=None, profile=None, seconds=20)
def rfc4475(t):
    """The torture messages of RFC 4475 and RFC 5118 get the answers that a UDP B2BUA owes them."""
    folder = collection(t)
    target = Target(t)
    table = Table(t)
    try:
        for count, (name, port, answers) in enumerate(listed()):
            raw = read(folder, name)
            if name in SAME_KEY:
                raw = re.sub(rb"(?i)(branch=[^;\s]*)[^;\s]", rb"\1~", raw, count=1)
            if not name.startswith("rfc4475/"):  # several have one
                raw = with_own_call_id(raw, "-%d" % count)

            def attempt():
                final = target.try_out(name, raw, port, answers)
                check_answer(name.rpartition("/")[2], raw, final)
                return final
            table.row(name, attempt)
            target.is_well(name)
        table.end(target)
    finally:
        target.close()


@scenario(mg=None, rg=None, profile=None, seconds=25, once=True)
def torture_collections(t):
    """The JAIN-SIP messages are answered as their index says; the seeds of other stacks do no harm."""
    folder = collection(t)
    target = Target(t)
    table = Table(t)
    try:
        messages = list(jsip(folder)) + list(seeds(folder))
        finals = target.try_all([(name, raw) for name, raw, _ in messages])
        for (name, _raw, answers), got in zip(messages, finals):
            def verdict():
                need(len(got) <= 1, "%s: several answers: %s", name, [m.start for m in got])
                code = got[0].code if got else None
                need(right(code, answers), "%s: %s instead of %s", name, got[0].start if got else "silence",
                     " or ".join(str(a) for a in sorted(answers, key=str)))
                return got[0] if got else None
            table.row(name, verdict)
        table.end(target)
    finally:
        target.close()


@scenario(mg=None, rg=None, profile=None, seconds=25, once=True)
def torture_from_64_ports(t):
    """All of it from 64 ports, as fast as it can be sent: no harm, nothing left, one CDR a call."""
    folder = collection(t)
    messages = [read(folder, name) for name, _, _ in listed()]
    messages += [raw for _, raw, _ in jsip(folder)] + [raw for _, raw, _ in seeds(folder)]
    target = Target(t)
    senders = [t.caller("sender%d" % n) for n in range(64)]
    try:
        for step, _ in enumerate(messages):
            for n, sender in enumerate(senders):  # each in another place of the list
                raw = messages[(step + n * len(messages) // 64) % len(messages)]
                sender.sock.sendto(with_own_call_id(raw, "~%d" % n), target.address)
            target.serve_carrier(0.001)
            if step % 50 == 0:
                target.is_well("%d of %d messages" % (step, len(messages)))
        while target.serve_carrier(0.5):
            pass
        target.is_well("all messages")
        target.nothing_left(45)  # 64*T1 for what nobody acknowledges
        rows = t.switch.rows()
        need(rows, "no call came of it")
        need(len(rows) == len({r["cdr_id"] for r in rows}), "a CDR stands twice")
        t.note = "%d datagrams, %d calls" % (64 * len(messages), len(rows))
        for _ in rows:
            t.cdr()
    finally:
        target.close()


def check_answer(name, raw, final):
    """Beyond the code: what the answer to a few of them must hold."""
    if final is None:
        return
    if name == "longreq.dat":
        vias = sum(len(v.split(",")) for v in final.all("Via"))
        need(vias == 34, "%s: %d of 34 Vias returned", name, vias)
    if name == "transports.dat":
        need(sum(len(v.split(",")) for v in final.all("Via")) == 5, "%s: Vias lost", name)
    if name == "bext01.dat":
        need(final.tokens("Unsupported") >= {"nothingsupportsthis", "nothingsupportsthiseither"}, "%s: Unsupported: %s",
             name, final.get("Unsupported"))
    if name == "intmeth.dat":
        to = re.search(rb"\r\nTo\s*:\s*(.*?)\r\n", raw, re.DOTALL).group(1)
        need(to in final.raw, "%s: To was changed", name)
    if final.code in (405, 501):
        need(final.has("Allow"), "%s: %d without Allow", name, final.code)


@scenario(mg=None, rg=None, profile=None, seconds=15)
def malformed(t):
    """Our own malformed datagrams: an answer where enough could be read, else silence; never harm."""
    target = Target(t)
    folder = os.path.join(HERE, "malformed")
    wrong = []
    count = 0
    try:
        with open(os.path.join(folder, "INDEX.tsv")) as index:
            rows = [line.rstrip("\n").split("\t") for line in index][1:]
        for name, answers, _what in rows:
            with open(os.path.join(folder, name), "rb") as file:
                raw = file.read()
            allowed = {int(a) if a.isdigit() else a for a in answers.split("|")}
            count += 1
            try:
                target.try_out(name, raw, 5099, allowed)
            except (Unmet, Malformed) as problem:
                wrong.append(str(problem))
            target.is_well(name)
        stats = target.switch.stats()
        need(stats["datagrams_bad"] > 0, "nothing was counted as bad")
        target.nothing_left()
        t.output += wrong
        need(not wrong, "%d of %d: %s", len(wrong), count, wrong[0] if wrong else "")
        t.note = "%d datagrams" % count
        for _ in t.switch.rows():
            t.cdr()
    finally:
        target.close()


@scenario(mg=None, rg=None, profile=None, seconds=10)
def prefixes_of_a_message(t):
    """An INVITE cut after each of its octets: never harm, never more than one call."""
    target = Target(t)
    try:
        sender = target.sender(0)
        whole = sender.request("INVITE", target.address, "15551234", body=b"v=0\r\n").encode()
        for size in range(1, len(whole)):
            sender.sock.sendto(whole[:size], target.address)
            if size % 50 == 0:
                sender.collect(0.005)
        target.is_well("prefixes")
        sender.collect(0.3)
        for message in target.carrier.collect(0.2):
            if message.kind == "INVITE":
                Dialog.incoming(target.carrier, message).reply(486)
        target.nothing_left()
        for _ in t.switch.rows():
            t.cdr()
    finally:
        target.close()

"""Accounts, rates and what calls cost: the steps of scenarios about money, and the amounts as Python's decimal works
them out, from spec 10 alone.  Spec 9, 10."""

import collections
import decimal
import json
import os
import select
import subprocess
import time

import lateness
from sipmsg import sdp
from ua import Dialog, Unmet, need

DECIMALS = 4  # SERVER_BILLING_FEE_PRECISION of the profile "billing"
TICK_S = 0.02
DEADLINE_MS = 20  # how far the end of a call may be from the whole increment
EXHAUSTED_REASON = 'SIP;cause=402;text="balance exhausted"'

Rate = collections.namedtuple("Rate", "prefix per_minute connect first next grace since until",
                              defaults=("", "", "", "", "", ""))
COLUMNS = ("prefix,rate_per_minute,connect_fee,first_increment_s,next_increment_s,grace_s,effective_from,"
           "effective_to")

# Until the call is answered it is this cheap, so that little credit is enough to begin with (the advance time is a
# minute); then a second costs 1: the rate at connect counts.
CHEAP, DEAR = "0.06", "60"


# What a call costs

def billed_s(hold_ms, rate, free_s=0, precision_ms=50):
    seconds, rest = divmod(hold_ms, 1000)
    seconds += 1 if rest and rest >= precision_ms else 0
    if seconds <= int(rate.grace or 0):
        return 0
    seconds -= free_s
    if seconds <= 0:
        return 0
    first, following = int(rate.first or 1), int(rate.next or 1)
    return first + -(-max(0, seconds - first) // following) * following


def amount(billed, rate, decimals=DECIMALS):
    """The fee or cost of so many billed seconds."""
    with decimal.localcontext() as context:
        context.prec = 60
        exact = decimal.Decimal(rate.connect or 0) + billed * decimal.Decimal(rate.per_minute) / 60 if billed else 0
        return decimal.Decimal(exact).quantize(decimal.Decimal(1).scaleb(-decimals), decimal.ROUND_HALF_UP)


def need_fee(row, rate, decimals=DECIMALS, free_s=0, hold_ms=None):
    """billed_s, rate_prefix, rate and fee of a CDR; returns the fee."""
    billed = billed_s(row["hold_ms"] if hold_ms is None else hold_ms, rate, free_s)
    fee = amount(billed, rate, decimals)
    wanted = dict(billed_s=billed, rate_prefix=rate.prefix, fee=format(fee, "f"))
    got = {key: row[key] for key in wanted}
    need(got == wanted, "%s of a call of %d ms to %s, not %s", got, row["hold_ms"], row["callee_in"], wanted)
    need(decimal.Decimal(row["rate"]) == decimal.Decimal(rate.per_minute), "rate is %s, not %s", row["rate"],
         rate.per_minute)
    return fee


def need_cost(row, rate, decimals=DECIMALS, free_s=0):
    cost = amount(billed_s(row["hold_ms"], rate, free_s), rate, decimals)
    need(row["cost"] == format(cost, "f"), "cost is %s, not %s (%d ms to %s)", row["cost"], cost, row["hold_ms"],
         row["callee_in"])
    return cost


# rwctl

def rwctl(t, *arguments):
    """What rwctl --json prints; it must succeed."""
    command = [t.configuration.options.rwctl, "-s", t.switch.socket_path, "--json"] + [str(a) for a in arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    need(done.returncode == 0, "rwctl %s: exit status %d: %s", " ".join(command[4:]), done.returncode, done.stderr)
    return json.loads(done.stdout)


def rates(t, table, *rows):
    """These rates are the table's from now on."""
    path = os.path.join(t.directory, table + ".csv")
    with open(path, "w") as out:
        out.write(COLUMNS + "\n")
        for rate in rows:
            out.write(",".join([rate.prefix, rate.per_minute, rate.connect, rate.first, rate.next, rate.grace,
                                rate.since, rate.until]) + "\n")
    rwctl(t, "rates", "import", table, path)


def account(t, name, balance="0", table=None, *options):
    rwctl(t, "account", "add", name, *(("--rate-table", table) if table else ()), *options)
    if decimal.Decimal(balance):
        topup(t, name, balance)


def topup(t, name, by):
    rwctl(t, "account", "topup", "--", name, by)


def balance(t, name):
    rows = rwctl(t, "account", "list", name)
    need(len(rows) == 1, "account list %s: %s", name, rows)
    return decimal.Decimal(rows[0]["balance"])


def need_balance(t, name, wanted, timeout=6.0):
    """The balance becomes this one, and stays there."""
    deadline = time.monotonic() + timeout
    while balance(t, name) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    need(balance(t, name) == wanted, "the balance of %s is %s, not %s", name, balance(t, name), wanted)


def movements(t, name, kind):
    """{cdr_id: amount} of the account's rows of a kind; one row a call."""
    rows = [r for r in rwctl(t, "account", "ledger", name, "--limit", 1000) if r["kind"] == kind]
    found = {r["cdr_id"]: decimal.Decimal(r["amount"]) for r in rows}
    need(len(found) == len(rows), "%s of %s: a call stands there twice: %s", kind, name, rows)
    return found


def utc(at):
    """A whole second of wall time as rates have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


# Calls

class Talk:
    """A call with a caller's socket of its own; callees share theirs."""

    def __init__(self, t, number, callee):
        self.caller = t.caller().invite(t.to, number, sdp())
        self.callee = Dialog.incoming(callee, callee.expect("INVITE"))
        self.callee.reply(180)
        self.caller.agent.expect("180 INVITE")
        self.byes = {}  # by Call-ID

    def answer(self):
        self.callee.reply(200, sdp(port=50000))
        self.caller.confirm(self.caller.agent.expect("200 INVITE")).ack()
        self.callee.agent.expect("ACK")
        return self

    def hang_up(self):
        self.caller.send("BYE")
        self.callee.answer(self.callee.agent.expect("BYE"), 200)
        self.caller.agent.expect("200 BYE")

    @property
    def call_ids(self):
        return {self.caller.call_id, self.callee.call_id}

    @property
    def is_over(self):
        return set(self.byes) == self.call_ids


def refused(t, number, code):
    agent = t.caller("refused")
    agent.invite(t.to, number, sdp()).ack_failure(agent.expect("%d INVITE" % code))


def until_over(calls, seconds):
    """Waits until the switch has sent BYE to both sides of all of them; answers; how late this machine was to wake us
    meanwhile (the switch may have been as late)."""
    agents = {a.sock: a for c in calls for a in (c.caller.agent, c.callee.agent)}
    of = {call_id: c for c in calls for call_id in c.call_ids}
    deadline, late_s, waits = time.monotonic() + seconds, 0.0, lateness.Waits()
    while not all(c.is_over for c in calls):
        waits.look()
        wake = time.monotonic() + TICK_S
        need(wake < deadline, "no BYE to both sides within %.1f s", seconds)
        readable, _, _ = select.select(list(agents), [], [], TICK_S)
        late_s = max(late_s, time.monotonic() - wake)
        for agent in [agents[sock] for sock in readable]:
            agent._pull(time.monotonic() + 0.1)
            while agent.inbox:
                message = agent.inbox.popleft()
                if message.kind != "BYE":
                    raise Unmet("%s: expected BYE, got %s" % (agent.name, message.start))
                call = of[message.call_id]
                call.byes[message.call_id] = message
                (call.caller if agent is call.caller.agent else call.callee).answer(message, 200)
    return max(late_s, waits.longest_s())


def need_exhausted(call, row, increment_s, late_s):
    """The call was cut at a whole increment from its connect, in the CDR and on the wire."""
    past_ms = row["hold_ms"] % (1000 * increment_s)
    need(row["end_reason"] == "balance_exhausted", "end_reason is %s", row["end_reason"])
    need(past_ms <= DEADLINE_MS, "hold_ms is %d", row["hold_ms"])
    for bye in call.byes.values():
        end_s = row["connect_us"] / 1e6 + row["hold_ms"] / 1000
        after_s = bye.received_s - end_s
        need(-0.002 <= after_s <= lateness.allowed(end_s, bye.received_s) + late_s, "BYE came %.3f s after the end", after_s)
        need(bye.get("Reason") == EXHAUSTED_REASON, "Reason: %s", bye.get("Reason"))


def row_of(rows, call):
    found = [r for r in rows if r["call_id_a"] == call.caller.call_id]
    need(len(found) == 1, "%d CDRs of a call", len(found))
    return found[0]

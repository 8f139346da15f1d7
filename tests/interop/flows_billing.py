"""What calls cost and who may make them: from rwctl and ringwheel.db to the switch, the CDRs and the ledger.
Spec 7, 9, 10."""

import contextlib
import csv
import decimal
import glob
import os
import signal
import time

import lateness
import timed
from carriers import ended, invited, placed, refuse
from harness import RG_PORT, carrier_name, scenario
from money import (CHEAP, DEAR, Rate, Talk, account, movements, need_balance, need_cost, need_exhausted, need_fee,
                   rates, refused, row_of, rwctl, topup, until_over, utc)
from sipmsg import sdp
from switch import mapping_gateway, routing_gateway
from ua import need

EXHAUSTED = dict(end_reason="balance_exhausted", end_side="switch", sip_code=200, answered=True)
OWN = dict(mg=None, rg=None, profile=None)


def billing(customer=None, vendor=None, **options):
    """A scenario on the switch of the profile "billing": the accounts' names are its own."""
    options.setdefault("mg", {"account": customer} if customer else {})
    options.setdefault("rg", {"account": vendor} if vendor else {})
    return scenario(profile="billing", **options)


CALLS_MAX = 8  # all of them are in one shard of two once in 128 runs


def shards_of(t):
    """How many shards the scenario's calls are in."""
    return len({r["shard"] for r in t.switch.calls(gateway=t.name)})


def prepaid(t, calls, credit, name, increment="", most=1, overdraft="0"):
    """Calls that have begun with so much credit between them, up to so many if fewer are all in one of two shards; from
    their connect on each costs 1 a second."""
    rates(t, name, Rate(t.number[:4], CHEAP))
    account(t, name, credit, name, "--overdraft", overdraft)
    callee = t.callee()
    talks = [Talk(t, t.number, callee) for _ in range(calls)]
    while len(talks) < most and shards_of(t) < t.configuration.workers:
        talks.append(Talk(t, t.number, callee))
    rates(t, name, Rate(t.number[:4], DEAR, first=increment, next=increment))
    return [talk.answer() for talk in talks]


# What calls cost

@billing("fb-rated", "fb-rated-vendor", seconds=3)
def a_call_costs_what_its_rate_says(t):
    """Connect fee, increments, grace, longest prefix, dates: fee and cost of each call, in CDR, ledger and balances."""
    p, now, day = t.number[:4], int(time.time()), 86400
    fees = {  # by the digit behind the scenario's prefix: what is to count
        "1": Rate(p + "1", "0.6543", "0.0123"),
        "2": Rate(p + "2", "1.2", first="60", next="60"),
        "3": Rate(p + "3", "0.77777777", first="1", next="6"),
        "4": Rate(p + "4", "3", "5", grace="5"),
        "55": Rate(p + "55", "2.5"),
        "6": Rate(p + "6", "0.06", since=utc(now - 60), until=utc(now + day)),
        "7": Rate(p, "0.5", "0.1"),
        "8": Rate(p + "8", "0"),
    }
    others = [Rate(p + "5", "9"), Rate(p + "555", "9", since=utc(now + day)), Rate(p + "556", "9", until=utc(now - 2)),
              Rate(p + "6", "9", since=utc(now - day)), Rate(p + "6", "9", since=utc(now + 3600)),
              Rate(p + "7", "9", until=utc(now - 1)), Rate(p + "71", "9", since=utc(now + 3600))]
    costs = {"": Rate(p, "0.4321", first="1", next="1"), "3": Rate(p + "3", "0.3", "0.01", "30", "6"),
             "4": Rate(p + "4", "0.6")}
    rates(t, t.name, *fees.values(), *others)
    rates(t, t.name + "-cost", *costs.values())
    account(t, "fb-rated", "1000", t.name)
    account(t, "fb-rated-vendor", "0", t.name + "-cost")
    callee = t.callee()
    tails = {"1": "15", "2": "25", "3": "35", "4": "45", "55": "555", "55.": "556", "6": "65", "7": "715", "8": "85"}
    talks = {digits: Talk(t, p + tail + "551", callee).answer() for digits, tail in tails.items()}
    time.sleep(1.3)
    for talk in talks.values():
        talk.hang_up()
        t.cdr_answered(account="fb-rated", vendor_account="fb-rated-vendor")
    rows = t.rows(len(talks))
    paid, earned = {}, {}
    for digits, talk in talks.items():
        row = row_of(rows, talk)
        paid[row["cdr_id"]] = need_fee(row, fees[digits.rstrip(".")])
        earned[row["cdr_id"]] = need_cost(row, costs.get(digits, costs[""]))
    need_balance(t, "fb-rated", 1000 - sum(paid.values()))
    need_balance(t, "fb-rated-vendor", sum(earned.values()))
    need(movements(t, "fb-rated", "charge") == {i: -fee for i, fee in paid.items()}, "charges: not those of the CDRs")
    need(movements(t, "fb-rated-vendor", "cost") == earned, "costs: not those of the CDRs")
    sums_agree(t, "fb-rated", paid.values(), earned.values())
    adjusted(t, "fb-rated", row_of(rows, talks["1"]), 1000 - sum(paid.values()))


def sums_agree(t, name, fees, costs):
    """rwctl cdr --sums account says what the CDRs do."""
    result = rwctl(t, "cdr", "--account", name, "--since", "1h", "--sums", "account")
    row = [r for r in result["rows"] if r["account"] == name]
    need(len(row) == 1 and decimal.Decimal(row[0]["fee"]) == sum(fees) and decimal.Decimal(row[0]["cost"]) == sum(costs)
         and row[0]["answered"] == len(list(fees)), "sums of %s: %s", name, result)


def adjusted(t, name, row, before):
    """cdr adjust moves the balance by the difference; the CDR is listed with both fees."""
    fee = decimal.Decimal(row["fee"])
    rwctl(t, "cdr", "adjust", row["cdr_id"], "--fee", "7.5", "--reason", "wrong rate")
    need_balance(t, name, before - decimal.Decimal("7.5") + fee)
    listed = rwctl(t, "cdr", "--id", row["cdr_id"])
    need(len(listed) == 1 and decimal.Decimal(listed[0]["fee"]) == decimal.Decimal("7.5") and
         decimal.Decimal(listed[0]["fee_original"]) == fee, "rwctl cdr: %s", listed)
    need(t.switch.rows("cdr_id = ?", (row["cdr_id"],))[0]["fee"] == row["fee"], "the CDR itself has changed")


@billing("fb-date", seconds=6)
def the_rate_in_effect_at_connect(t):
    """A new rate begins while one call rings and one is up; an import changes the table while both are up."""
    p = t.number[:4]
    at = int(time.time()) + 5
    old, new = Rate(p, "0.6", until=utc(at)), Rate(p, "1.5", since=utc(at))
    rates(t, t.name, old, new)
    account(t, "fb-date", "100", t.name)
    callee = t.callee()
    up, rings = Talk(t, t.number, callee).answer(), Talk(t, t.number, callee)
    need(time.time() < at, "this machine is too slow for this scenario")
    time.sleep(max(0, at + 0.05 - time.time()))
    rings.answer()
    rates(t, t.name, Rate(p, "40", "3"))
    time.sleep(0.3)
    up.hang_up()
    rings.hang_up()
    t.cdr_answered()
    t.cdr_answered()
    rows = t.rows(2)
    paid = need_fee(row_of(rows, up), old) + need_fee(row_of(rows, rings), new)
    need_balance(t, "fb-date", 100 - paid)


# Prepaid

@billing("fb-parallel", seconds=5)
def parallel_calls_end_with_the_credit(t):
    """Calls in all shards share 10.3 at 1 a second: all of it is used but what pays for no further second."""
    talks = prepaid(t, 4, "10.3", "fb-parallel", most=CALLS_MAX)
    late_s = until_over(talks, 16)
    for _ in talks:
        t.cdr(**EXHAUSTED)
    rows = t.rows(len(talks))
    fees = [need_fee(row_of(rows, talk), Rate(t.number[:4], DEAR)) for talk in talks]
    for talk in talks:
        need_exhausted(talk, row_of(rows, talk), 1, late_s)
    left = decimal.Decimal("10.3") - sum(fees)
    need(0 <= left < 1, "%s is left of 10.3 after %s", left, fees)
    need_balance(t, "fb-parallel", left)
    t.note = "fees %s in shards %s" % (" ".join(map(str, fees)), sorted({r["shard"] for r in rows}))


@billing("fb-increments", seconds=5)
def the_last_increment_is_a_whole_one(t):
    """Calls by 2 s share 7.9 and an overdraft of 10: none begins 2 s that are not there; 1.9 is left."""
    talks = prepaid(t, 3, "7.9", "fb-increments", "2", CALLS_MAX, overdraft="10")
    late_s = until_over(talks, 16)
    for _ in talks:
        t.cdr(**EXHAUSTED)
    rows = t.rows(len(talks))
    for talk in talks:
        need_exhausted(talk, row_of(rows, talk), 2, late_s)
        need_fee(row_of(rows, talk), Rate(t.number[:4], DEAR, first="2", next="2"))
    need_balance(t, "fb-increments", decimal.Decimal("-8.1"))


def cut_after(t, talk, seconds, **fields):
    late_s = until_over([talk], seconds + 8)
    t.cdr(billed_s=seconds, fee="%d.0000" % seconds, **dict(EXHAUSTED, **fields))
    need_exhausted(talk, row_of(t.rows(len(t.expected)), talk), seconds, late_s)


@billing("fb-topup", seconds=5)
def a_top_up_extends_a_call(t):
    """3.5 is there, 2 more come after a second: the call ends after 5 s."""
    talk, = prepaid(t, 1, "3.5", "fb-topup")
    time.sleep(1)
    topup(t, "fb-topup", 2)
    cut_after(t, talk, 5)
    need_balance(t, "fb-topup", decimal.Decimal("0.5"))


@billing("fb-overdraft", seconds=5)
def an_overdraft_extends_a_call(t):
    """The same, but the balance may go to -2 from then on; and locking the account meanwhile changes nothing."""
    talk, = prepaid(t, 1, "3.5", "fb-overdraft")
    rwctl(t, "account", "lock", "fb-overdraft")
    time.sleep(1)
    rwctl(t, "account", "set", "fb-overdraft", "--overdraft", "2")
    cut_after(t, talk, 5)
    need_balance(t, "fb-overdraft", decimal.Decimal("-1.5"))


@billing("fb-less", seconds=5)
def less_credit_shortens_a_call(t):
    """6.5 is there; a payment out and a higher fee of an earlier call take 3.2: the call ends after 3 s."""
    rates(t, "fb-less", Rate(t.number[:4], CHEAP))
    account(t, "fb-less", "6.5", "fb-less")
    callee = t.callee()
    earlier = Talk(t, t.number, callee).answer()
    earlier.hang_up()
    t.cdr_answered()
    row = t.rows(1)[0]
    need_balance(t, "fb-less", decimal.Decimal("6.5") - need_fee(row, Rate(t.number[:4], CHEAP)))
    talk = Talk(t, t.number, callee)
    rates(t, "fb-less", Rate(t.number[:4], DEAR))
    talk.answer()
    topup(t, "fb-less", "-1.2")
    rwctl(t, "cdr", "adjust", row["cdr_id"], "--fee", "2")
    cut_after(t, talk, 3)
    need_balance(t, "fb-less", decimal.Decimal("0.3"))


# Who may call

def need_free(row, name, rate):
    """It costs nothing; what it would have cost is said where that has been looked up."""
    rated = (rate.prefix, rate.per_minute) if row["end_reason"] == "no_balance" else ("", "")
    got = (row["account"], row["billed_s"], row["rate_prefix"], row["rate"], row["fee"])
    need(got == (name, 0) + rated + ("0.0000",), "CDR of a refused call: %s", got)


@billing("fb-refused", seconds=3)
def calls_that_an_account_may_not_make(t):
    """402 without credit, 403 without rate or of a locked account, each with its CDR; overdraft; unlimited."""
    p = t.number[:4]
    rate = Rate(p + "1", "6", first="60", next="60")  # 6 for the advance time, and for a call
    rates(t, t.name, rate)
    account(t, "fb-refused", "5.9999", t.name)
    callee, number = t.callee(), p + "1551"
    refused(t, number, 402)
    t.cdr(end_reason="no_balance", end_side="switch", sip_code=402, attempts="[]")
    topup(t, "fb-refused", "0.0001")
    refused(t, p + "2551", 403)
    t.cdr(end_reason="no_rate", end_side="switch", sip_code=403, attempts="[]")
    up = Talk(t, number, callee).answer()
    refused(t, number, 402)  # the other one has all of it
    rwctl(t, "account", "lock", "fb-refused")
    refused(t, number, 403)
    time.sleep(0.2)
    up.hang_up()  # the lock has left it alone
    t.cdr_answered(fee="6.0000", rate_prefix=p + "1", billed_s=60)
    t.cdr(end_reason="no_balance", end_side="switch", sip_code=402)
    t.cdr(end_reason="account_locked", end_side="switch", sip_code=403, attempts="[]")
    for row in t.rows(5):
        if not row["connect_us"]:
            need_free(row, "fb-refused", rate)
    need_balance(t, "fb-refused", 0)
    rwctl(t, "account", "unlock", "fb-refused")
    owed = 0
    for overdraft in ("6", "unlimited", "unlimited"):
        rwctl(t, "account", "set", "fb-refused", "--overdraft", overdraft)
        talk = Talk(t, number, callee).answer()
        time.sleep(0.1)  # what is shorter than SERVER_BILLING_HOLD_TIME_PRECISION costs nothing
        talk.hang_up()
        t.cdr_answered(fee="6.0000")
        owed += 6
        need_balance(t, "fb-refused", -owed)
    rwctl(t, "account", "set", "fb-refused", "--overdraft", "23.9999")
    refused(t, number, 402)
    t.cdr(end_reason="no_balance", end_side="switch", sip_code=402)
    need(set(movements(t, "fb-refused", "charge").values()) == {-6}, "charges: %s",
         movements(t, "fb-refused", "charge"))


@billing("fb-nobody")
def an_unknown_account_passes_unrated(t):
    """The mapping gateway's account is in no ringwheel.db: nobody pays, the CDR names it."""
    Talk(t, t.number, t.callee()).answer().hang_up()
    t.cdr_answered(account="fb-nobody", fee="", rate="", rate_prefix="", cost="", billed_s={0, 1})


@contextlib.contextmanager
def running(t, more="", customers=(("customer", "caller"),), vendor="vendor", **parameters):
    """A switch for this scenario alone, which writes text files too.  customers: account and whose address."""
    hosts = {"caller": t.caller_host, "stranger": t.network.stranger(t.index)}
    text = "cdr_files = on\n" + more
    for number, (name, host) in enumerate(customers):
        text += mapping_gateway(t.name + "-2" * number, [hosts[host]], account=name)
    text += routing_gateway(t.name, t.callee_host, RG_PORT, [t.number[:4]], account=vendor)
    t.switch = t.configuration.switch(t.name, dict({"RW_SIP_T1": 100, "SERVER_BILLING_FEE_PRECISION": 4}, **parameters),
                                      text)
    t.to = t.switch.address
    t.switch.start()
    try:
        yield
    finally:
        status = t.switch.stop()
    need(status == 0, "exit status %s: %s", status, t.switch.log_tail(30))
    need_files(t)


def need_files(t):
    """The hourly files have the same rows as cdr.db."""
    read = {}
    for path in glob.glob(os.path.join(t.switch.data, "cdr", "*.csv")):
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                need(row["cdr_id"] not in read, "%s stands twice", row["cdr_id"])
                hour = time.strftime("%Y%m%d%H", time.gmtime(int(row["end_us"]) // 1000000))
                need(os.path.basename(path) == hour + ".csv", "a CDR of %s in %s", hour, path)
                read[row["cdr_id"]] = row
    stored = {r["cdr_id"]: {key: str(value) for key, value in r.items()} for r in t.switch.rows()}
    need(read == stored, "files: %s, cdr.db: %s", read, stored)


@scenario(seconds=4, **OWN)
def free_time_and_an_account_that_must_exist(t):
    """SERVER_BILLING_FREE_TIME, two decimals rounded half up; unknown_account = "refuse": 403."""
    fee, cost = Rate(t.number[:4], "0.3"), Rate(t.number[:4], "0.9", first="2", next="2")
    with running(t, 'unknown_account = "refuse"\n', (("customer", "caller"), ("nobody", "stranger")),
                 SERVER_BILLING_FREE_TIME=1, SERVER_BILLING_FEE_PRECISION=2):
        rates(t, "fees", fee)
        rates(t, "costs", cost)
        account(t, "customer", "10", "fees")
        account(t, "vendor", "0", "costs")
        callee = t.callee()
        for seconds in (0.5, 1.3):
            talk = Talk(t, t.number, callee).answer()
            time.sleep(seconds)
            talk.hang_up()
            t.cdr_answered()
        rows = t.rows(2)
        paid = [need_fee(r, fee, 2, free_s=1) for r in rows]
        earned = [need_cost(r, cost, 2, free_s=1) for r in rows]
        for row in rows:  # unless this machine was slow: nothing, and 0.005
            wanted = {0: "0.00", 1: "0.01"}.get(row["billed_s"])
            need(wanted in (None, row["fee"]), "fee of %d s: %s", row["billed_s"], row["fee"])
        need_balance(t, "customer", 10 - sum(paid))
        need_balance(t, "vendor", sum(earned))
        agent = t.agent(t.network.stranger(t.index), name="stranger")
        agent.invite(t.to, t.number, sdp()).ack_failure(agent.expect("403 INVITE"))
        rows = t.switch.wait_rows(1, "mapping_gateway = ?", (t.name + "-2",))
        said = [(r["end_reason"], r["sip_code"], r["account"], r["fee"]) for r in rows]
        need(said == [("no_rate", 403, "nobody", "")], "CDR of the unknown account: %s", rows)


# What a call is billed to that nobody hung up

def a_peer_dies(t, name, bill_until):
    """The session timer ends a call whose caller is not heard of after 1.5 s: its CDR."""
    rate = Rate(t.number[:4], "6")
    rates(t, name, rate)
    account(t, name, "100", name, "--bill-until", bill_until)
    caller, callee = timed.begin(t, timed.says(6), timed.agrees(6))
    caller.refresh_every(1.5, timed.says(6, "uac"))
    timed.run((caller, callee), 4, lambda: caller.responses)
    caller.dead = callee.dead = True
    timed.run((caller, callee), 15, lambda: caller.bye and callee.bye)
    t.cdr(**timed.EXPIRED)
    row = t.rows(1)[0]
    timed.need_last_confirmed(t, (caller, callee))
    proved_ms = (row["last_confirmed_us"] - row["connect_us"]) // 1000
    need(1300 < proved_ms < row["hold_ms"] - 3000, "heard of until %d of %d ms", proved_ms, row["hold_ms"])
    fee = need_fee(row, rate, hold_ms=proved_ms if bill_until == "last_confirmed" else None)
    need_balance(t, name, 100 - fee)


@billing("fb-proved", seconds=9)
def billed_until_the_last_proof_of_life(t):
    """bill_until = last_confirmed: a call that a session timer ends costs what was proved; the CDR has its real end."""
    a_peer_dies(t, "fb-proved", "last_confirmed")


@billing("fb-teardown", seconds=9)
def billed_until_teardown(t):
    """bill_until = teardown: the same call costs its whole time."""
    a_peer_dies(t, "fb-teardown", "teardown")


# Choice by price

def carriers_of(scenario_name, *more):
    return tuple(dict({"account": "%s-%d" % (scenario_name, n + 1), "priority": 1}, **m) for n, m in enumerate(more))


def priced(t, short, *per_minute):
    """The vendors' rates for the scenario's numbers; None: an account without rates.  Returns the carriers' agents."""
    for number, rate in enumerate(per_minute):
        name = "%s-%d" % (short, number + 1)
        if rate:
            rates(t, name, Rate(t.number[:4], rate))
        account(t, name, "0", name if rate else None)
    return [t.carrier(n) for n in range(len(per_minute))]


def tries(t, carriers, *order):
    """A call that all of these refuse, in this order; nobody else is asked."""
    caller = placed(t)
    for number in order:
        refuse(invited(carriers[number]), 503)
    ended(caller, 503)
    t.cdr(sip_code=503, tried=[(carrier_name(t.name, n), 503) for n in order])
    for carrier in carriers:
        carrier.expect_silence(0.05)


@billing(mg={"sort": ["price"]}, carriers=carriers_of("fb-sort", {}, {}, {}, {}), seconds=2)
def sort_by_price(t):
    """sort = {"price"}: the lower rate of the vendor's account first, one without rate last."""
    carriers = priced(t, "fb-sort", "0.03", None, "0.01", "0.02")
    tries(t, carriers, 2, 3, 0, 1)
    rates(t, "fb-sort-1", Rate(t.number[:4], "0.005", "100"))  # what it costs to connect does not count
    tries(t, carriers, 0, 2, 3, 1)


@billing(carriers=carriers_of("fb-least", {}, {"least_cost": "on"}, {"least_cost": "on"}), seconds=2)
def least_cost(t):
    """least_cost: those with it first, cheapest first, whatever the others cost."""
    tries(t, priced(t, "fb-least", "0.01", "0.03", "0.02"), 2, 1, 0)


@billing(mg={"sort": ["price"]}, carriers=carriers_of("fb-max", {"max_price": "0.02"}, {"max_price": "0.02"},
                                                      {"max_price": "0.02"}, {}), seconds=2)
def max_price(t):
    """max_price: at the limit is allowed, above it and without a known rate is not."""
    tries(t, priced(t, "fb-max", "0.02", "0.02000001", None, "0.05"), 0, 3)


PROFIT = {"min_profit_percent": 25}


@billing(mg={"sort": ["price"], "account": "fb-profit"},
         carriers=carriers_of("fb-profit", PROFIT, PROFIT, PROFIT, PROFIT), seconds=2)
def min_profit_percent(t):
    """min_profit_percent: of the customer's rate; exactly so much is enough, an unknown rate is not."""
    rates(t, "fb-profit", Rate(t.number[:4], "0.04"))
    account(t, "fb-profit", "10", "fb-profit")
    tries(t, priced(t, "fb-profit", "0.03", "0.03000001", "0.01", None), 2, 0)


# Over a restart

def killed(t):
    t.switch.process.send_signal(signal.SIGKILL)
    t.switch.process.wait(10)


def kept(t):
    rwctl(t, "stop", "--keep-calls")
    need(t.switch.wait_exit(10) == 0, "stop --keep-calls: %s", t.switch.log_tail(5))


def goes_on(t, stop):
    p = t.number[:4]
    fee, cost = Rate(p, DEAR), Rate(p, "0.6")
    with running(t):
        rates(t, "vendor", cost)
        account(t, "vendor", "0", "vendor")
        first, *talks = prepaid(t, 3, "14.3", "customer")
        time.sleep(1.2)
        first.hang_up()
        t.cdr_answered(recovered=0)
        t.switch.wait_rows(1)
        stop(t)
        t.switch.start()
        late_s = until_over(talks, 20)
        for _ in talks:
            t.cdr(recovered=1, **EXHAUSTED)
        rows = t.rows(1 + len(talks))
        for talk in talks:
            need_exhausted(talk, row_of(rows, talk), 1, late_s)
        paid = {r["cdr_id"]: need_fee(r, fee) for r in rows}
        earned = {r["cdr_id"]: need_cost(r, cost) for r in rows}
        need(sum(paid.values()) == 14, "fees: %s", paid)
        need_balance(t, "customer", decimal.Decimal("0.3"))
        need_balance(t, "vendor", sum(earned.values()))
        need(movements(t, "customer", "charge") == {i: -a for i, a in paid.items()}, "charges: %s",
             movements(t, "customer", "charge"))
        need(movements(t, "vendor", "cost") == earned, "costs: %s", movements(t, "vendor", "cost"))
        sums_agree(t, "customer", paid.values(), earned.values())


@scenario(seconds=11, **OWN)
def prepaid_calls_outlive_a_kill(t):
    """kill -9: calls go on, are cut when the credit ends, and charged once."""
    goes_on(t, killed)


@scenario(seconds=11, **OWN)
def prepaid_calls_outlive_keep_calls(t):
    """stop --keep-calls and a start: calls go on, are cut when the credit ends, and charged once."""
    goes_on(t, kept)


@scenario(seconds=9, **OWN)
def credit_that_ends_while_nobody_is_there(t):
    """The switch is down when the credit of a call ends: the next start ends the call at once, and the time that was
    talked meanwhile is charged."""
    with running(t):
        account(t, "vendor", "0")
        talk, = prepaid(t, 1, "2.3", "customer")
        time.sleep(1.2)
        killed(t)
        time.sleep(2.5)
        t.switch.start()
        until_over([talk], 8)
        t.cdr(recovered=1, **EXHAUSTED)
        row = t.rows(1)[0]
        need(row["hold_ms"] > 3600, "the end is %d ms after connect", row["hold_ms"])
        after_s = min(bye.received_s for bye in talk.byes.values()) - row["end_us"] / 1e6
        need(-0.002 <= after_s <= 20 * lateness.allowed_s, "BYE came %.3f s after the end", after_s)
        need_balance(t, "customer", decimal.Decimal("2.3") - need_fee(row, Rate(t.number[:4], DEAR)))

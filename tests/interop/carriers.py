"""Steps of calls in which several routing gateways take part, and what their CDRs hold."""

import time

from harness import carrier_name
from sipmsg import sdp
from ua import Dialog, need


def placed(t, caller=None, body=None, **fields):
    """An INVITE of the customer: its dialog."""
    return (caller or t.caller()).invite(t.to, t.number, sdp() if body is None else body, **fields)


def invited(carrier):
    """The carrier's side of the attempt that comes to it."""
    return Dialog.incoming(carrier, carrier.expect("INVITE"))


def rings(caller, callee):
    """180 at the carrier and at the caller; the latter."""
    callee.reply(180)
    return caller.agent.expect("180 INVITE")


def refuse(callee, code, headers=()):
    """The carrier's final response, and the ACK to it.  RFC 3261 17.1.1.3"""
    callee.reply(code, headers=headers)
    acknowledged(callee)


def acknowledged(callee):
    ack = callee.agent.expect("ACK")
    need(ack.branch == callee.invite.branch and ack.to_tag == callee.local_tag, "the ACK is of another INVITE: %s",
         ack.raw)


def given_up(callee):
    """The carrier's INVITE is cancelled, and it ends with 487; the CANCEL."""
    cancel = callee.agent.expect("CANCEL")
    need((cancel.branch, cancel.call_id, cancel.cseq, cancel.uri) ==
         (callee.invite.branch, callee.call_id, callee.invite.cseq, callee.invite.uri),
         "the CANCEL is of another INVITE: %s", cancel.raw)
    callee.answer(cancel, 200)
    refuse(callee, 487)
    return cancel


def late_answer(callee):
    """The carrier answers an INVITE that was given up: its ACK and BYE."""
    callee.reply(200, sdp(port=50666))
    ack, bye = callee.agent.expect("ACK"), callee.agent.expect("BYE")
    for message in (ack, bye):
        need(message.to_tag == callee.local_tag and message.call_id == callee.call_id, "%s of another dialog: %s",
             message.method, message.raw)
    callee.answer(bye, 200)


def connect(caller, callee, port=50000):
    """The carrier answers: 200 to the caller, ACKs on both sides."""
    answer = sdp(port=port)
    callee.reply(200, answer)
    ok = caller.agent.expect("200 INVITE")
    need(ok.body == answer, "the caller got another answer: %r", ok.body)
    caller.confirm(ok).ack()
    callee.agent.expect("ACK")
    return ok


def ended(caller, code):
    """The caller gets this final response and acknowledges it; the response."""
    final = caller.agent.expect("%d INVITE" % code)
    caller.ack_failure(final)
    return final


def notes_come_home():
    """A line that is free again, or a gateway's rest, is known to every shard: a note between two of them may be behind
    the next INVITE."""
    time.sleep(0.25)


def silent(*agents):
    """Nothing more comes to any of them."""
    for agent in agents:
        agent.expect_silence(0.1)


def waited(began_s, message, seconds):
    """The message came this long after that wall time: never early, and not much later."""
    after = message.received_s - began_s
    need(seconds - 0.05 <= after <= seconds + 2, "%s came after %.3f s, not %d", message.kind, after, seconds)


def tried(t, *attempts):
    """The attempts of a CDR: (number of the carrier, code)."""
    return [(carrier_name(t.name, number), code) for number, code in attempts]


def served(t, number, callee, *attempts):
    """What the CDR of a call has that ended up with this carrier, after these attempts."""
    return dict(routing_gateway=carrier_name(t.name, number), destination_address=callee.agent.host_port,
                call_id_b=callee.call_id, caller_in="+49301000", caller_out="+49301000", callee_in=t.number,
                callee_out=t.number, source_address="%s:%d" % (t.caller_host, t.agents[0].port),
                tried=tried(t, *attempts))


def state_of(t, number):
    """up, down or resting, as gateways.list has it."""
    name = carrier_name(t.name, number)
    return next(row["state"] for row in t.switch.call("gateways.list") if row["name"] == name)

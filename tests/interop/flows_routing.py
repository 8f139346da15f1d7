"""Where calls go, and with which numbers.  Spec 7."""

from harness import scenario
from sipmsg import sdp
from ua import Dialog, need


@scenario(mg={"caller_from": "p-asserted-identity", "rewrite_caller": ["+49 -> 0", "+ ->"],
              "rewrite_callee": ["0 -> 1", r"^9(\d)0+(\d{5,}) -> \2"]},
          rg={"tech_prefix": "55#", "rewrite_caller": [r"^0(\d{2}) -> +43-\1-"],
              "rewrite_callee": [r"^(\d{4})(\d+)$ -> \2*\1"]})
def numbers_by_rules(t):
    """Rules of both gateways, prefixes and patterns, and a tech prefix: what is sent, and the CDR."""
    a, b = t.caller(), t.callee()
    dialled = "+9-100" + t.number
    caller = a.invite(t.to, dialled, sdp(), [("P-Asserted-Identity", '"Ringo" <tel:+4930-77>, <sip:1@example.com>')])
    invite = b.expect("INVITE")
    callee = Dialog.incoming(b, invite)
    callee_out = "55#%s*%s" % (t.number[4:], t.number[:4])
    on_wire = callee_out.replace("#", "%23")
    need(invite.uri.startswith("sip:%s@%s" % (on_wire, b.host)), "request-URI %s", invite.uri)
    need("<sip:%s@" % on_wire in invite.get("To"), "To: %s", invite.get("To"))
    need("<sip:+43-30--77@" in invite.get("From"), "From: %s", invite.get("From"))
    callee.reply(180)
    a.expect("180 INVITE")
    callee.reply(200, sdp(port=50000))
    caller.confirm(a.expect("200 INVITE")).ack()
    ack = b.expect("ACK")
    need(ack.get("To").split(";")[0] == invite.get("To"), "To of the ACK: %s", ack.get("To"))
    t.hang_up(caller, callee)
    t.cdr_answered(caller_in="+4930-77", callee_in=dialled, caller_out="+43-30--77", callee_out=callee_out)


@scenario(carriers=({"p_asserted_identity": "pass", "privacy": "pass"}, {"p_asserted_identity": "caller"}, {}))
def identity_by_gateway(t):
    """P-Asserted-Identity and Privacy go to the carriers that are to have them, and a private number to no other."""
    a = t.caller()
    asserted = '"Private" <sip:+49302222@customer.example>'
    caller = a.invite(t.to, t.number, sdp(), [("P-Asserted-Identity", asserted), ("Privacy", "id")])
    wanted = ((asserted, "id", "anonymous@anonymous.invalid"), (None, None, "+49301000@"), (None, None, "+49301000@"))
    for number, (identity, privacy, number_in_from) in enumerate(wanted):
        carrier = t.carrier(number)
        invite = carrier.expect("INVITE")
        need(invite.get("P-Asserted-Identity") == identity, "%d: %s", number, invite.get("P-Asserted-Identity"))
        need(invite.get("Privacy") == privacy, "%d: Privacy: %s", number, invite.get("Privacy"))
        need(number_in_from in invite.get("From"), "%d: From: %s", number, invite.get("From"))
        need("+49302222" not in invite.raw.decode() or identity, "%d has the private number", number)
        Dialog.incoming(carrier, invite).reply(500)
        carrier.expect("ACK")
    caller.ack_failure(a.expect("500 INVITE"))
    t.cdr(end_reason="rejected", sip_code=500)

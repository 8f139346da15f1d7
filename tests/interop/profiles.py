"""The switches that scenarios run on: one process each, with its own parameters."""

PROFILES = {
    # The parameters as an operator has them, but T1 = 200 ms, so that what lasts 64*T1 is over in 13 s.
    "main": dict(parameters={"RW_SIP_T1": 200, "SERVER_BILLING_RECORD_ILLEGAL_CALL": "off"}, drained_s=30),
    # 64*T1 in 1.3 s, and strangers get no answer.
    "quick": dict(parameters={"RW_SIP_T1": 20, "SS_REPLY_UNAUTHORIZED": "off",
                              "SS_SIP_RESEND_INTERVAL": '"0.05,0.1,0.2,0.4"'}, drained_s=12),
}

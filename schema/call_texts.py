"""What the inputs about calls say of the fields that they share, with the limits that are kept to."""

from billing.charge_order import CALL_ID_LENGTH_MAX, DURATION_S_MAX

CALL_ID = (
    "The switch's own id of the call, unique for ever: the idempotency key. "
    f"1 to {CALL_ID_LENGTH_MAX} printable characters."
)
CALLER_NUMBER = (
    f"The number shown to the called party; kept as it comes. At most {CALL_ID_LENGTH_MAX} printable characters."
)
TALKED_SECONDS = (
    "Talked time in whole seconds, 0 for a call that nobody answered; "
    f"at most {DURATION_S_MAX} ({DURATION_S_MAX // 86_400} days)."
)
STARTED_WITHIN = "Not before 2000, and at most a day from now."
STARTED_AT = f"When the call began; its rates are those of this instant. {STARTED_WITHIN}"

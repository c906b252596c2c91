"""Files of calls as switches write them, made up for the tests."""

OWN_HEADER = "callId,username,number,callerNumber,startedAt,durationSeconds"


def own(call_id: str, username: str, *, number: str = "+43 1 234", seconds: object = 60, at: str | None = None) -> str:
    """A line of the documented own form; noon of 31 January 2026 UTC unless said."""
    return f"{call_id},{username},{number},,{at or '2026-01-31T12:00:00Z'},{seconds}"


def asterisk(
    uniqueid: str,
    accountcode: str,
    *,
    dst: str = "00431234",
    src: str = "101",
    answer: str = "2026-01-31 12:00:00",
    billsec: object = 60,
    disposition: str = "ANSWERED",
) -> str:
    """A line as cdr_csv writes it: text in quotes, numbers without, quotes in text doubled."""
    texts = [accountcode, src, dst, "from-internal", '""Shop, front"" <101>', f"PJSIP/{src}-0000001a"]
    texts += ["PJSIP/trunk-0000001b", "Dial", "PJSIP/trunk/1,60,Tt", "2026-01-31 11:59:51", answer]
    quoted = ",".join(f'"{text}"' for text in texts)
    return f'{quoted},"2026-01-31 12:01:00",69,{billsec},"{disposition}","DOCUMENTATION","{uniqueid}",""'


def text_of(*lines: str) -> str:
    """The lines as one file."""
    return "".join(line + "\n" for line in lines)

"""What each interface replies to a recipient: one function per interface, over one table.

The table is `kinds.TABLE`; what each MTA makes of it is written down here:

- a map can say yes, no and later; Postfix and Sendmail have words of their own for that;
- Postfix puts the recipient before a policy's text, and makes DEFER_IF_PERMIT code 450;
- Sendmail puts the recipient before a milter's text if the code is 550 or 553.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.verification.kinds import Kind
from tests.interfaces.kinds import TABLE, Row
from tests.interfaces.model import SENDMAIL, VIRTUAL, Case, Flow, Interface, Rcpt

CONTINUE = b"continue"
POSTFIX_OK = b"250 2.1.5 Ok"
POSTFIX_SENT = b"250 2.0.0 Ok: queued as ID"
SENDMAIL_SENT = b"250 2.0.0 ID Message accepted for delivery"
SENDMAIL_VRFY = b"252 2.5.2 Cannot VRFY user; try RCPT to attempt delivery (or try finger)"
# sendmail/err.c, fmtmsg: not for codes 551, 552, 554 and temporary ones.
SENDMAIL_SHOWS = (550, 553)
SENDMAIL_NO_MAIL = b"503 5.0.0 Need MAIL before RCPT"


def engine(_case: Case, rcpt: Rcpt) -> bytes:
    """The name of the verdict's kind."""
    return rcpt.kind.name.encode()


def socketmap(_case: Case, rcpt: Rcpt) -> bytes:
    """The reply's payload; a key that is not a recipient of ours is not looked up."""
    if rcpt.address.startswith(b"@"):
        return b"NOTFOUND no local part"
    if b"@" in rcpt.address and not rcpt.ours:
        return b"NOTFOUND the domain is none of [scope]'s"
    kind = rcpt.asked_of_map(Interface.SOCKETMAP)
    row = TABLE[kind]
    if kind is Kind.DELIVERABLE:
        return b"OK " + rcpt.address
    return b"%s %s" % (row.status, rcpt.reason if row.map_text is None else row.map_text)


def policy(_case: Case, rcpt: Rcpt) -> bytes:
    """The action."""
    row = TABLE[rcpt.judged()]
    if row.code == 250:
        return b"DUNNO"
    verb = b"%d" % row.code if row.final else b"DEFER_IF_PERMIT"
    return b"%s %s %s" % (verb, row.enhanced, _text(row, rcpt))


def milter(_case: Case, rcpt: Rcpt) -> bytes:
    """The whole SMTP reply."""
    row = TABLE[rcpt.judged()]
    if row.code == 250:
        return CONTINUE
    return b"%d %s %s" % (row.code, row.enhanced, _text(row, rcpt))


def postfix_maps(case: Case, rcpt: Rcpt) -> bytes:
    """NOTFOUND is an unknown user, TEMP is 451 4.3.0 and PERM 451 4.3.5, whatever the text."""
    status = TABLE[rcpt.asked_of_map(Interface.POSTFIX_MAPS)].status
    table = b"virtual mailbox" if rcpt.domain == VIRTUAL else b"relay recipient"
    shown = _shown(rcpt)
    return (
        _postfix_foreign(case, rcpt)
        or {
            b"OK": _postfix_ok(case, rcpt),
            b"NOTFOUND": b"550 5.1.1 <%s>: Recipient address rejected: User unknown in %s table"
            % (shown, table),
            b"TEMP": b"451 4.3.0 <%s>: Temporary lookup failure" % shown,
            b"PERM": b"451 4.3.5 Server configuration error",
        }[status]
    )


def postfix_policy(case: Case, rcpt: Rcpt) -> bytes:
    """The action's text behind the recipient; a deferral is 450, whatever its enhanced code."""
    row = TABLE[rcpt.judged()]
    foreign = _postfix_foreign(case, rcpt)
    if foreign or row.code == 250:
        return foreign or _postfix_ok(case, rcpt)
    code = row.code if row.final else 450
    text = _text(row, rcpt)
    return b"%d %s <%s>: Recipient address rejected: %s" % (code, row.enhanced, _shown(rcpt), text)


def postfix_milter(case: Case, rcpt: Rcpt) -> bytes:
    """The milter's reply as it is."""
    foreign = _postfix_foreign(case, rcpt)
    if foreign or case.flow is Flow.VRFY:
        return foreign or _postfix_ok(case, rcpt)
    reply = milter(case, rcpt)
    return POSTFIX_OK if reply == CONTINUE else reply


def sendmail_map(case: Case, rcpt: Rcpt) -> bytes:
    """The rig's check_rcpt: TEMP is 451 4.3.0, everything but OK is an unknown user."""
    if case.flow is Flow.VRFY:
        return SENDMAIL_VRFY
    if not rcpt.ours:
        return b"550 5.7.1 <%s>... relaying denied" % rcpt.argument
    status = TABLE[rcpt.asked_of_map(Interface.SENDMAIL_MAP)].status
    return {
        b"OK": b"250 2.1.5 <%s>... Recipient ok" % rcpt.argument,
        b"TEMP": b"451 4.3.0 smap: try later",
    }.get(status, b"550 5.1.1 <%s>... smap: no such user" % rcpt.argument)


def sendmail_milter(case: Case, rcpt: Rcpt) -> bytes:
    """The milter's reply; before some texts Sendmail puts the recipient."""
    if case.flow is Flow.VRFY:
        return SENDMAIL_VRFY
    row = TABLE[rcpt.judged()]
    if row.code == 250:
        return b"250 2.1.5 <%s>... Recipient ok" % rcpt.argument
    who = b"<%s>... " % rcpt.argument if row.code in SENDMAIL_SHOWS else b""
    return b"%d %s %s%s" % (row.code, row.enhanced, who, _text(row, rcpt))


INTERFACES: Mapping[Interface, Callable[[Case, Rcpt], bytes]] = {
    Interface.ENGINE: engine,
    Interface.SOCKETMAP: socketmap,
    Interface.POLICY: policy,
    Interface.MILTER: milter,
    Interface.POSTFIX_MAPS: postfix_maps,
    Interface.POSTFIX_POLICY: postfix_policy,
    Interface.POSTFIX_MILTER: postfix_milter,
    Interface.SENDMAIL_MAP: sendmail_map,
    Interface.SENDMAIL_MILTER: sendmail_milter,
}


def _text(row: Row, rcpt: Rcpt) -> bytes:
    return rcpt.reason if row.text is None else row.text


def _shown(rcpt: Rcpt) -> bytes:
    return rcpt.shown or rcpt.address


def _postfix_ok(case: Case, rcpt: Rcpt) -> bytes:
    return b"252 2.0.0 " + _shown(rcpt) if case.flow is Flow.VRFY else POSTFIX_OK


def _postfix_foreign(case: Case, rcpt: Rcpt) -> bytes:
    """What Postfix says to recipients elsewhere, or nothing for ours."""
    if rcpt.ours:
        return b""
    if case.login:
        return POSTFIX_OK
    return b"554 5.7.1 <%s>: Relay access denied" % _shown(rcpt)


# --- whole conversations ------------------------------------------------------------------


def expected(interface: Interface, case: Case) -> list[bytes]:
    """Every reply of a conversation, in order; queue ids are written ID."""
    if case.smtputf8 and interface in SENDMAIL:
        # Debian's Sendmail does not know the parameter and refuses MAIL.
        return [SENDMAIL_NO_MAIL] * len(case.rcpts)
    replies = [
        rcpt.by_mta.get(interface) or INTERFACES[interface](case, _at_rcpt(case, rcpt))
        for rcpt in case.rcpts
    ]
    if case.flow is Flow.TWO_MAILS:
        replies += [sent for sent in (_SENT.get(interface),) if sent]
    if case.flow in (Flow.RSET, Flow.TWO_MAILS):
        replies *= 2
    if case.message is not None:
        replies += _to_message(interface, case)
    return replies


_SENT = {
    **dict.fromkeys(
        (Interface.POSTFIX_MAPS, Interface.POSTFIX_POLICY, Interface.POSTFIX_MILTER), POSTFIX_SENT
    ),
    **dict.fromkeys(SENDMAIL, SENDMAIL_SENT),
    Interface.MILTER: CONTINUE,
}


def _at_rcpt(case: Case, rcpt: Rcpt) -> Rcpt:
    """The recipient as it looks before the message's real size is known."""
    if case.message is None or rcpt.kind is not Kind.SIZE_OVER_QUOTA:
        return rcpt
    return Rcpt(rcpt.argument)


def _to_message(interface: Interface, case: Case) -> list[bytes]:
    """The reply to a message to one recipient: only the policy front end looks at its size."""
    (rcpt,) = case.rcpts
    row = TABLE[rcpt.judged()]
    if interface in (Interface.ENGINE, Interface.POLICY):
        return [INTERFACES[interface](case, rcpt)]
    if interface is Interface.POSTFIX_POLICY and row.code != 250:
        text = b"<END-OF-MESSAGE>: End-of-data rejected: " + _text(row, rcpt)
        return [b"450 %s %s" % (row.enhanced, text)]
    return [sent for sent in (_SENT.get(interface),) if sent]

"""The prose of the reference that belongs to no single setting (see `reference`)."""

from __future__ import annotations

from gateway.verification.kinds import NOT_CAUGHT

REPLIES_TITLE = "Replies: [replies.KIND]"
REPLIES_DESCRIPTION = (
    "What the SMTP client hears, for each kind of verdict. The policy and milter front ends use "
    "it; a socketmap has no place for it. A key that is not set keeps the default of its kind. "
    "Code and enhanced code must be of one class, and a kind that can only be a fault of the "
    "server must stay temporary. The codes 421 and 521 are refused, because they end the whole "
    "session."
)

MAN_HEAD = (
    ".\\\" Made by gateway.config.reference from the settings' declarations; change them there.",
    ".TH GATEWAY.TOML 5 2026-11-30 smmapd",
    ".SH NAME",
    "gateway.toml \\- configuration of smmapd\\-gateway",
    ".SH SYNOPSIS",
    ".B /etc/smmapd/gateway.toml",
    ".SH DESCRIPTION",
    ".BR smmapd\\-gateway (8)",
    "reads this file at start and when it gets SIGHUP.",
    "It is TOML 1.0: strings are written in double quotes, lists in brackets, comments begin with "
    "#.",
    "Every setting has a default; a front end is on when its",
    ".B listen",
    "names a socket.",
    ".PP",
    "A file with an unknown key, a wrong value or a contradiction is refused as a whole.",
    "Every problem is reported at once, with the file, line and key, the reason and what to do.",
    "At start the exit code is then 78; at a reload the old configuration stays in force.",
    ".SH SOCKETS",
    "Every",
    ".B listen",
    "is a list of strings of these forms:",
    ".TP",
    "\\fBunix:\\fIPATH\\fR[\\fB?mode=\\fIOCTAL\\fR][\\fB&user=\\fINAME\\fR][\\fB&group=\\fINAME\\fR]",
    "A Unix stream socket. The path is absolute and has at most 107 bytes. The default mode is "
    "0660; a client needs write permission to connect. The default owner is the user and group "
    "that the gateway runs as. The folder must exist. A socket that a dead process left behind is "
    "replaced; one that a process still serves, and any other file, is not. For Sendmail, no "
    "folder above the socket may be writable by its group or by others.",
    ".TP",
    "\\fBinet:\\fIADDRESS\\fB:\\fIPORT\\fR[\\fB?tls=yes\\fR]",
    "A TCP socket on a numeric address; IPv6 addresses are written in brackets. 0.0.0.0 and [::] "
    "are every address of their family. With ?tls=yes clients speak TLS, as [tls] says; only the "
    "socketmap front end supports it.",
    ".TP",
    "\\fBfd:\\fINAME\\fR",
    "The sockets that",
    ".BR systemd (1)",
    "passes under that name, see FileDescriptorName= in",
    ".BR systemd.socket (5).",
    ".SH SETTINGS",
)

# What the two authorities answer differently; smmapd(8) has the same table.
MAN_ANSWERS = (
    ".SH ANSWERS",
    ".B answers",
    "chooses between two authorities, for all front ends or for one. With \\fBdelivery\\fR the "
    "answer is what Cyrus' own delivery does in the end, at RCPT and after DATA, for mail from an "
    "unspecified sender, with the options of imapd.conf under the name of the delivery service. "
    "With \\fBsmmapd\\fR the answer is that of the program of that name. Where both find the "
    "mailbox and it is on a backend of a Murder, and where",
    ".B store",
    "names other servers, those answer in their own way: a smmapd as smmapd, a gateway as its own "
    "\\fBanswers\\fR says, an LMTP server as it delivers. The differences:",
    ".TP",
    "a user\\(aqs folder that is missing, full, or not to post to",
    "smmapd: NOTFOUND, TEMP or OK.",
    ".br",
    "delivery: delivered into INBOX.",
    ".TP",
    "INBOX over quota, the folder not",
    "smmapd: OK, the folder\\(aqs quota counts.",
    ".br",
    "delivery: over quota.",
    ".TP",
    "a quota of messages exactly at its limit",
    "smmapd: TEMP.",
    ".br",
    "delivery: delivered.",
    ".TP",
    "annotations or mailboxes over their quota",
    "smmapd: OK.",
    ".br",
    "delivery: over quota.",
    ".TP",
    "the size of the mail, with \\fIlmtp_strict_quota\\fR",
    "smmapd: not looked at.",
    ".br",
    "delivery: counts.",
    ".TP",
    "no mailbox, with \\fIautocreate_post\\fR",
    "smmapd: NOTFOUND.",
    ".br",
    "delivery: made and delivered; TEMP for a name that Cyrus does not allow.",
    ".TP",
    "what is refused, with \\fIlmtp_catchall_mailbox\\fR",
    "smmapd: as without it.",
    ".br",
    "delivery: delivered there, or that mailbox\\(aqs own refusal; but for what is "
    + ", ".join(kind.name for kind in NOT_CAUGHT)
    + ".",
    ".TP",
    "a shared folder in a domain (lists of 3.0 and later)",
    "smmapd: NOTFOUND.",
    ".br",
    "delivery: delivered, with its rights and quota.",
    ".TP",
    "\\fIpostuser\\fR",
    "smmapd: compared with user and domain.",
    ".br",
    "delivery: compared with the local part alone.",
    ".TP",
    "\\(lq+fred\\(rq with another \\fIpostuser\\fR",
    "smmapd: user fred.",
    ".br",
    "delivery: unknown.",
    ".TP",
    "a local part that needs quotes",
    "smmapd: as without them.",
    ".br",
    "delivery: unknown from 3.0 on.",
    ".TP",
    "eight\\-bit characters, odd characters in a domain",
    "smmapd: looked up.",
    ".br",
    "delivery: no address, but for \\fIlmtp_strict_rfc2821: no\\fR.",
    ".TP",
    "a source route in front",
    "smmapd: part of the name.",
    ".br",
    "delivery: skipped.",
    ".TP",
    "a calendar or an address book in the place of INBOX",
    "smmapd: OK.",
    ".br",
    "delivery: TEMP.",
    ".TP",
    "a mailbox that is being moved",
    "smmapd: OK.",
    ".br",
    "delivery: TEMP.",
    ".TP",
    "userdeny, for the delivery service",
    "smmapd: not asked.",
    ".br",
    "delivery: TEMP.",
    ".TP",
    "userdeny, for smmapd\\(aqs own service",
    "smmapd: NOTFOUND.",
    ".br",
    "delivery: delivered; the gateway refuses all the same.",
    ".TP",
    "options",
    "smmapd: those of its own service.",
    ".br",
    "delivery: those of the delivery service.",
    ".PP",
    "A mail server may put an address in lower case before it asks a socketmap, as Postfix does. "
    "With \\fBdelivery\\fR an address without capitals there, for which no shared folder of that "
    "spelling exists (nor, with \\fIlmtp_downcase_rcpt: no\\fR, a user), is judged by one that "
    "differs in capitals only. Where the versions of Cyrus that may have written a mailbox list "
    "deliver differently, no recipient is permanently refused that one of them would deliver to.",
    ".PP",
    "A socketmap does not find a bare domain, whatever would be made or caught.",
)

MAN_TAIL = (
    ".SH EXAMPLES",
    "Postfix asks for the existence of recipients by socketmap, and for the reply by policy:",
    ".PP",
    ".nf",
    "[socketmap]",
    "listen = [\\(dqunix:/run/smmapd/socketmap?mode=0660&group=postfix\\(dq]",
    "",
    "[policy]",
    "listen = [\\(dqinet:127.0.0.1:12346\\(dq]",
    "mode = \\(dqobserve\\(dq",
    "",
    "[scope]",
    "domains = [\\(dqexample.org\\(dq]",
    "aliases = [\\(dq/etc/aliases\\(dq]",
    "",
    "[replies.over\\-quota]",
    "text = \\(dqThe mailbox of {recipient} is full\\(dq",
    ".fi",
    ".SH FILES",
    ".TP",
    ".I /etc/smmapd/gateway.toml",
    "The default path; another one is named with",
    ".BR \\-c .",
    ".TP",
    ".I /etc/smmapd/gateway.toml.d/*.toml",
    "Read after it, in the order of their names\\(aq bytes; the folder has the name of the file, "
    "with",
    ".I .d",
    "added. Names that begin with a dot are ignored. Tables are merged; a key that a later file "
    "sets replaces the earlier value, a list too. They are checked in the same way, and messages "
    "name the file and the line.",
    ".B smmapd\\-gateway print\\-config settings",
    "prints what is in force, and where it was set.",
    ".SH SEE ALSO",
    ".BR smmapd\\-gateway (8),",
    ".BR smmapd (8),",
    ".BR imapd.conf (5),",
    ".BR socketmap_table (5)",
)

EXAMPLE_HEAD = (
    "# gateway.toml - configuration of smmapd-gateway",
    "#",
    "# Made from the settings' declarations; gateway.toml(5) is the reference. Lines that",
    "# begin with # and a key show the default. Check a change with",
    "# smmapd-gateway check-config before a reload.",
)

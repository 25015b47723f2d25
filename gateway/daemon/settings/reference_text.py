"""The prose of the reference that belongs to no single setting (see `reference`)."""

from __future__ import annotations

REPLIES_TITLE = "Replies: [replies.KIND]"
REPLIES_DESCRIPTION = (
    "What the SMTP client hears, for each kind of verdict. The policy and milter front ends use "
    "it; a socketmap has no place for it. A key that is not set keeps the default of its kind. "
    "Code and enhanced code must be of one class, and what can only be a fault of the server "
    "must stay temporary. The codes 421 and 521 are refused, because they end the whole session."
)

MAN_HEAD = (
    ".\\\" Made by gateway.daemon.settings.reference from the settings' declarations; "
    "change them there.",
    ".TH GATEWAY.TOML 5 2025-01-01 smmapd",
    ".SH NAME",
    "gateway.toml \\- configuration of smmapd\\-gateway",
    ".SH SYNOPSIS",
    ".B /etc/smmapd/gateway.toml",
    ".SH DESCRIPTION",
    ".BR smmapd\\-gateway (8)",
    "reads this file at start and when it gets SIGHUP.",
    "It is TOML 1.0: strings stand in double quotes, lists in brackets, comments begin with #.",
    "Every setting has a default; a front end is on when its",
    ".B listen",
    "names a socket.",
    ".PP",
    "A file with an unknown key, a wrong value or a contradiction is refused as a whole.",
    "Every problem is told at once, with the file, line and key, the reason and what to do.",
    "At start the exit code is then 78; at a reload the old configuration stays in force.",
    ".SH SOCKETS",
    "Every",
    ".B listen",
    "is a list of strings of these forms:",
    ".TP",
    "\\fBunix:\\fIPATH\\fR[\\fB?mode=\\fIOCTAL\\fR][\\fB&user=\\fINAME\\fR][\\fB&group=\\fINAME\\fR]",
    "A Unix stream socket. The path is absolute and has at most 107 bytes. The mode is 0660 where "
    "none is given; whoever is to connect needs write permission. The owner is the user and group "
    "that the gateway runs as, where none is given. The folder must exist. A socket that a dead "
    "process left behind is replaced; one that somebody serves, and any other file, is not. For "
    "Sendmail no folder above the socket may be writable by its group or by others.",
    ".TP",
    "\\fBinet:\\fIADDRESS\\fB:\\fIPORT\\fR[\\fB?tls=yes\\fR]",
    "A TCP socket on a numeric address; IPv6 addresses stand in brackets. 0.0.0.0 and [::] are "
    "every address of their family. With ?tls=yes clients speak TLS, as [tls] says; only the "
    "socketmap front end knows it.",
    ".TP",
    "\\fBfd:\\fINAME\\fR",
    "The sockets that",
    ".BR systemd (1)",
    "passes under that name, see FileDescriptorName= in",
    ".BR systemd.socket (5).",
    ".SH SETTINGS",
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

dnl FEATURE(`smmapd', `SOCKET', `DOMAIN...'): recipients of these domains are looked up by
dnl smmapd before they are accepted (ruleset check_rcpt).
dnl
dnl   install -m 0644 smmapd.m4 /usr/share/sendmail/cf/feature/
dnl
dnl and in sendmail.mc, behind the other FEATURE lines and before the MAILER lines:
dnl
dnl   FEATURE(`smmapd', `local:/run/smmapd/socketmap', `example.org virtual.example')dnl
dnl
dnl SOCKET is local:PATH or inet:PORT@HOST.  The socket's folder, and every folder above it, must
dnl be writable by its owner only.  Sendmail's own tables come first: recipients that aliases or
dnl virtusertable know are never refused, nor is postmaster.
divert(0)dnl
ifelse(len(X`'_ARG_), `1', `errprint(`*** FEATURE(smmapd): name the socket, local:PATH or inet:PORT@HOST
')')dnl
ifelse(len(X`'_ARG2_), `1', `errprint(`*** FEATURE(smmapd): name the domains of Cyrus
')')dnl
LOCAL_CONFIG
# Domains whose recipients are mailboxes of Cyrus.
C{CyrusDomain}_ARG2_
Kcyrus socket -f -a<OK> -T<TMPF> _ARG_

LOCAL_RULESETS
SLocal_check_rcpt
# Written as Sendmail itself writes it: user <@ domain>.
R$*				$: $>canonify $1
R$* <@ $* .>			$: $1 <@ $2>
R$+ <@ $={CyrusDomain}>		$: <?> $1 <@ $2>
# Postmaster gets mail whatever the tables say (RFC 5321, 4.5.1).
R<?> postmaster <@ $+>		$@ OK
ifdef(`_VIRTUSER_TABLE_', `dnl
# Recipients in virtusertable are left to Sendmail.
R<?> $+ <@ $+>			$: <$(virtuser $1 @ $2 $: ? $)> $1 <@ $2>
R<?> $+ + $* <@ $+>		$: <$(virtuser $1 + * @ $3 $: ? $)> $1 + $2 <@ $3>
R<?> $+ + $* <@ $+>		$: <$(virtuser $1 @ $3 $: ? $)> $1 + $2 <@ $3>
R<?> $+ <@ $+>			$: <$(virtuser @ $2 $: ? $)> $1 <@ $2>
')dnl
# Aliases are of the domains in class w; a detail is looked up as aliases(5) says.
R<?> $+ <@ $=w>			$: <$(aliases $1 $: ? $)> $1 <@ $2>
R<?> $+ + $* <@ $=w>		$: <$(aliases $1 + * $: ? $)> $1 + $2 <@ $3>
R<?> $+ + $* <@ $=w>		$: <$(aliases $1 $: ? $)> $1 + $2 <@ $3>
# Recipients that no table knows: of a domain in class w Cyrus is given the local part alone.
R<?> $+ <@ $=w>			$: <!> $(cyrus $1 $: <NO> $)
R<?> $+ <@ $+>			$: <!> $(cyrus $1 @ $2 $: <NO> $)
R<!> $* <TMPF>			$#error $@ 4.3.0 $: "451 4.3.0 Try again later"
R<!> <NO>			$#error $@ 5.1.1 $: "550 5.1.1 User unknown"
divert(0)dnl

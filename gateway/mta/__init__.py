"""What the mail server knows of a recipient: read from Postfix, in Postfix' own words.

`Postfix` (postfix.py) is made of what `postconf` says, and tells of an address
what becomes of it before it would reach Cyrus: rewritten, redirected, bound for
another place, or none of these.  Tables of every type are asked by Postfix' own
`postmap -q -` and `postalias -q -`, many keys a call.

Nothing here knows a verdict or a reply; nothing here starts a thread.  A caller that
must not wait gets the look-ups that are needed (`Lookup`) and brings the answers.

Sources: postconf(5), virtual(5), canonical(5), aliases(5), transport(5),
relocated(5), ADDRESS_REWRITING_README; src/global/mail_addr_find.c and
mail_addr_map.c, src/trivial-rewrite/resolve.c, src/local/recipient.c.
"""

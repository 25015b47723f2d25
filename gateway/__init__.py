"""Recipient verification for Cyrus IMAP: one engine, its front ends, and the daemon around them.

As a library:

    conf = gateway.cyrus.imapdconf.load("/etc/imapd.conf", "smmap")
    store = gateway.cyrus.store.CyrusStore(conf, b"smmap")
    verifier = gateway.verification.verifier.Verifier.for_store(store)
    verdict = verifier.verify(gateway.verification.model.Query(b"fred@example.org"))

docs/library.md has more, and says what is stable.  Which room may use which is
in ARCHITECTURE.md.  Nothing is imported here, so that a program pays at its
start only for what it uses.
"""

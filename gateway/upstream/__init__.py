"""Mailboxes on other servers: a backend's smmapd, and the kick to mupdate.

This room finds out what another server says and raises `UpstreamError` where
it says nothing usable; what that means for a recipient is decided above.
Everything here may block up to its deadline, so it never runs on an event
loop: the engine hands it out as a `Pending` question (gateway/verification).
"""

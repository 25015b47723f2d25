"""What moves the conversations' bytes and events where gevent's loop does not: native threads."""

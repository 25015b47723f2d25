"""The gateway as a daemon: settings, supervisor, sockets, privileges, logging.

The supervisor runs without gevent and knows no front end; `core` and
`milterprocess` are its children, each a process of its own.
"""

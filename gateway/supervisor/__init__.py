"""The supervisor: opens the sockets, leaves root, and keeps the children alive."""

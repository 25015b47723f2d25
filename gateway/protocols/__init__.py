"""Sans-I/O codecs: bytes in, events out; no sockets, no clock, no gevent."""

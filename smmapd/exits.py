"""Exit codes, from sysexits.h, and what master makes of them.

0 and 75 are normal ends for master(8); anything else counts as a failure,
and five in a row disable the service until SIGHUP.
"""

OK = 0
USAGE = 64  # the command line
SOFTWARE = 70  # a defect of ours
OSERR = 71  # the system: accept or the status pipe failed
IOERR = 74  # standard input or output failed
TEMPFAIL = 75  # told to leave at once (TERM, INT, QUIT)
CONFIG = 78  # imapd.conf cannot be used

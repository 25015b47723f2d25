"""smmapd: the drop-in for the C program of the same name.

Everything that belongs to the manual page and to Cyrus master is here:
options, the service protocol, standard input and output, logging like a Cyrus
service.  What is asked and answered is `gateway`.
"""

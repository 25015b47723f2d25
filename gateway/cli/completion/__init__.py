"""Completion for shells: scripts that shtab has made of the command line's parser.

They are made while the program is built and lie beside this file, so that neither
`print-completion` nor the package needs shtab; a test tells when they are old.
`python contrib/completion.py gateway/cli/completion` makes them again.
"""

"""Mutation: small changes to the source that some test must notice.  `make mutate` runs it by hand."""

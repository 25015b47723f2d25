"""Why a recipient gets its answer, for people: steps, verdict and replies."""

"""The admin HTTP listener: metrics, health, the status page and explanations.

    /metrics       what Prometheus scrapes (gateway.observability.metrics.exposition)
    /healthz       200 while the process answers at all
    /readyz        200 while mail can be judged; else 503 and the reasons, a line each
    /              the status page
    /status.json   what the page shows
    /explain       JSON of one explanation, for ?recipient= and what else is known

It reads and never changes anything, asks nobody for a password, and is
therefore local unless the settings say otherwise.  It lives in the core's
event loop; whatever may block runs on threads of its own.
"""

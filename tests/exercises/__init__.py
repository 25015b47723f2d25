"""Five things that a contributor adds, each with a test that names every place that must know it."""

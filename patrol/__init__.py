"""The composition root: settings, store, queue, HTTP, command line."""

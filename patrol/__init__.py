"""The composition root: settings, store, queue, HTTP, command line."""

VERSION = "0.1.0"

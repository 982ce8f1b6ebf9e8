"""`python -m patrol` is the command line."""

from patrol.cli import main

main()

"""The commands of the command line, a room for each noun; `patrol.cli` puts them together."""

"""One module per subcommand of `muster`: options in, one call, output out; no logic.

A module's `command` is what `scheduler/cli.py` runs. What a command needs is imported inside
it: `muster --help` reads every module here and must stay quick.
"""

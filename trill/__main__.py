"""`python -m trill` is the command `trill`."""

from trill.cli import main

main(prog_name="trill")

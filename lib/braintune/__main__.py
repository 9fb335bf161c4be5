"""`python -m braintune <verb>`."""

from braintune.workflow.cli import command

command()

"""The command line: ``python -m braintune <verb> …``. `make` calls it; `make help` lists the everyday commands."""

import sys
from importlib import import_module
from typing import NoReturn

from braintune.core.base import BraintuneError, lookup

#: Verb → the module whose `main` is given the words after it. Modules are imported when called: some load torch.
VERBS = {
    "run": "braintune.workflow.run",
    "sweep": "braintune.workflow.sweep",
    "execute": "braintune.workflow.execute",
    "learn": "braintune.workflow.learn",
    "book": "braintune.workflow.book.build",
    "compare": "braintune.workflow.book.compare",
    "pdf": "braintune.workflow.book.pdf",
    "serve": "braintune.workflow.book.serve",
    "verify": "braintune.workflow.verify",
    "record": "braintune.workflow.record",
}


def command() -> NoReturn:
    """Run the verb on the command line. A fault is one line and exit status 1; Ctrl-C exits with 130, as in a shell."""
    verb, *words = sys.argv[1:] or [""]
    try:
        sys.exit(import_module(lookup(VERBS, verb, "verb")).main(words))
    except BraintuneError as error:
        sys.exit(f"braintune: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

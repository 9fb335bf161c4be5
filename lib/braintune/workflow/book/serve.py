"""Show the built book of a run on a local address: ``python -m braintune serve PROFILE [PORT]``, ``make serve``.

Without a port the path of the book is printed and nothing is served.
"""

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from braintune.core.base import BraintuneError
from braintune.core.study import Study


def built(profile: str) -> Path:
    """Return the front page of a profile's built book.

    Raises
    ------
    BraintuneError
        If there is none yet.
    """
    page = Study.load(profile).book_page
    if not page.is_file():
        raise BraintuneError(f"no book of {profile!r} yet: make book PROFILE={profile}")
    return page


def server(page: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of the folder of a front page that answers this machine alone; port 0 takes any that is free.

    Raises
    ------
    BraintuneError
        If the port cannot be taken.
    """
    try:
        handler = functools.partial(SimpleHTTPRequestHandler, directory=page.parent)
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise BraintuneError(f"port {port} cannot be used ({why}); choose another: make serve PORT=8080") from None


def main(words: list[str]) -> None:
    """Print where the book of one profile is, or serve it until Ctrl-C."""
    match words:
        case [profile]:
            print(f"the book: {built(profile)}   (make serve PROFILE={profile} shows it)")
        case [profile, port] if port.isdecimal():
            with server(built(profile), int(port)) as served:
                print(f"http://127.0.0.1:{served.server_port}/   (Ctrl-C ends)", flush=True)
                served.serve_forever()
        case _:
            raise BraintuneError("which book, and where? make serve PROFILE=quick PORT=8000")

"""Addresses with a user name and password: these reach the server, and no message."""

from __future__ import annotations

import base64
import re
from urllib.parse import SplitResult, unquote, urlsplit

# Up to the last @: a password that is not escaped may hold one, or a slash. Schemes are short, and a text may be long.
LOGIN = re.compile(r"(?<!\S)([^\w\s]*)(?:(\w{1,32}://)|(?=\w))\S*@")
QUERY = re.compile(r"\?[^\s]*")


def masked(text: str) -> str:
    """An address, or a message with one, without user name, password and query.

    >>> masked("http://user:secret@127.0.0.1:9/api?key=secret"), masked("user:secret@host"), masked("https://host/api")
    ('http://***@127.0.0.1:9/api?***', '***@host', 'https://host/api')
    """
    return QUERY.sub("?***", LOGIN.sub(r"\1\2***@", text))


def split_login(address: str) -> tuple[str, tuple[str, str] | None]:
    """An address without user name and password, and these, or None.

    >>> split_login("http://user:p%40ss@127.0.0.1:9/api")
    ('http://127.0.0.1:9/api', ('user', 'p@ss'))
    """
    parts = urlsplit(address)
    login, mark, host = parts.netloc.rpartition("@")
    if not mark:
        return address, None
    user, _, password = login.partition(":")
    return parts._replace(netloc=host).geturl(), (unquote(user), unquote(password))


def is_address(address: str) -> bool:
    """Whether it begins with http, names a host, and has no @ after it, as a password that is not escaped leaves it."""
    try:
        parts: SplitResult = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.path and (parts.port or 1) > 0
    except ValueError:
        return False


def authorization(login: tuple[str, str]) -> str:
    """The header that carries a user name and password.

    >>> authorization(("user", "pass"))
    'Basic dXNlcjpwYXNz'
    """
    return "Basic " + base64.b64encode(":".join(login).encode()).decode("ascii")

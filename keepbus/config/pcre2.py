"""PCRE2, the engine of keepalived's `regex`, from the system's own library.

A match has a limit of steps, so that no answer of a server, however hostile, can hold up the process; what
was given up is told as such, and is no match. pcre2api(3), pcre2pattern(3).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

OPTIONS = {
    "allow_empty_class": 1 << 0,
    "alt_bsux": 1 << 1,
    "auto_callout": 1 << 2,
    "caseless": 1 << 3,
    "dollar_endonly": 1 << 4,
    "dotall": 1 << 5,
    "dupnames": 1 << 6,
    "extended": 1 << 7,
    "firstline": 1 << 8,
    "match_unset_backref": 1 << 9,
    "multiline": 1 << 10,
    "never_ucp": 1 << 11,
    "never_utf": 1 << 12,
    "no_auto_capture": 1 << 13,
    "no_auto_possess": 1 << 14,
    "no_dotstar_anchor": 1 << 15,
    "no_start_optimize": 1 << 16,
    "ucp": 1 << 17,
    "ungreedy": 1 << 18,
    "utf": 1 << 19,
    "never_backslash_c": 1 << 20,
    "alt_circumflex": 1 << 21,
    "alt_verbnames": 1 << 22,
    "use_offset_limit": 1 << 23,
}
"""keepalived's words for compile options, and PCRE2's numbers."""

MOST_STEPS = 200_000
"""Of one match; about 10 ms."""
_MOST_HEAP_KIB = 256
_NO_MATCH = -1
_GIVEN_UP = (-47, -53, -63)
"""PCRE2_ERROR_MATCHLIMIT, PCRE2_ERROR_DEPTHLIMIT, PCRE2_ERROR_HEAPLIMIT."""
_MESSAGE_OCTETS = 256


class PatternError(ValueError):
    """The pattern is none; the message is PCRE2's, with the place."""


class Unavailable(RuntimeError):
    """There is no libpcre2-8 on this system."""


class Found(NamedTuple):
    """Where a match starts; or why there is none."""

    at: int
    """-1: there is none."""
    given_up: bool = False
    """The match took too many steps."""


class Pattern:
    """A compiled pattern. Lives as long as the process."""

    def __init__(self, pattern: str, options: Iterable[str] = ()) -> None:
        """options are words of OPTIONS. Raises PatternError, Unavailable."""
        library = self._library = _library()
        octets = pattern.encode()
        error, place = ctypes.c_int(), ctypes.c_size_t()
        flags = sum({OPTIONS[word] for word in options})
        self._code = library.pcre2_compile_8(
            octets, len(octets), flags, ctypes.byref(error), ctypes.byref(place), None
        )
        if not self._code:
            message = ctypes.create_string_buffer(_MESSAGE_OCTETS)
            library.pcre2_get_error_message_8(error, message, _MESSAGE_OCTETS)
            raise PatternError(f"{message.value.decode()}, at character {place.value + 1}")
        self._data = library.pcre2_match_data_create_8(1, None)
        self._context = library.pcre2_match_context_create_8(None)
        library.pcre2_set_match_limit_8(self._context, MOST_STEPS)
        library.pcre2_set_depth_limit_8(self._context, MOST_STEPS)
        library.pcre2_set_heap_limit_8(self._context, _MOST_HEAP_KIB)

    def search(self, subject: bytes, start: int = 0) -> Found:
        """The first match that starts at `start` or later."""
        if start > len(subject):
            return Found(-1)
        library = self._library
        outcome = library.pcre2_match_8(
            self._code, subject, len(subject), start, 0, self._data, self._context
        )
        if outcome < 0:
            return Found(-1, outcome in _GIVEN_UP)
        return Found(library.pcre2_get_ovector_pointer_8(self._data)[0])


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libpcre2-8.so.0")
    except OSError:
        raise Unavailable("there is no libpcre2-8: install the package libpcre2-8-0") from None
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    library.pcre2_compile_8.argtypes = (ctypes.c_char_p, size, number, pointer, pointer, pointer)
    library.pcre2_match_8.argtypes = (pointer, ctypes.c_char_p, size, size, number, pointer, pointer)
    library.pcre2_get_error_message_8.argtypes = (ctypes.c_int, ctypes.c_char_p, size)
    for makes in ("pcre2_compile_8", "pcre2_match_data_create_8", "pcre2_match_context_create_8"):
        getattr(library, makes).restype = pointer
    library.pcre2_match_data_create_8.argtypes = (number, pointer)
    library.pcre2_match_context_create_8.argtypes = (pointer,)
    for limit in ("match", "depth", "heap"):
        getattr(library, f"pcre2_set_{limit}_limit_8").argtypes = (pointer, number)
    library.pcre2_get_ovector_pointer_8.argtypes = (pointer,)
    library.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(size)
    return library

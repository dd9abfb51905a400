"""`./dev bench [NAME…] [OPTION…]`: run the named benchmarks, or all; each is a module here, with `main`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench


def main() -> int:
    """The exit status: 1 when a name is unknown."""
    names = [
        module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")
    ]
    words = sys.argv[1:]
    first_option = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    options = words[first_option:]
    chosen = words[:first_option] or [
        name for name in names if hasattr(importlib.import_module(f"bench.{name}"), "main")
    ]
    for name in chosen:
        if name not in names:
            print(f"bench: no benchmark {name}; there are {', '.join(names)}", file=sys.stderr)
            return 1
        print(f"== {name}", flush=True)
        importlib.import_module(f"bench.{name}").main(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

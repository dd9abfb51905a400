"""`./dev bench [NAME…]`: run the named benchmarks, or all; each is a module here with `main()`."""

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
    chosen = sys.argv[1:] or [
        name for name in names if hasattr(importlib.import_module(f"bench.{name}"), "main")
    ]
    for name in chosen:
        if name not in names:
            print(f"bench: no benchmark {name}; there are {', '.join(names)}", file=sys.stderr)
            return 1
        print(f"== {name}", flush=True)
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m api``: the centre as a process. ``suanwang server`` starts the same."""

import argparse
import sys
from pathlib import Path

from api.server import run_server
from suanwang.errors import SuanwangError
from suanwang.log import configure
from suanwang.settings import load


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal; return the exit code of a refusal, or 0."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--config", type=Path, help="settings file instead of ./suanwang.yaml")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any free one")
    parser.add_argument("--database-url", help="sqlite:///PATH or postgresql://USER@HOST/NAME")
    parser.add_argument("--state-dir", type=Path, help="folder of the admin key")
    parser.add_argument(
        "--allow-public", action="store_true", default=None, help="listen where others can reach"
    )
    parser.add_argument(
        "--no-scheduler", action="store_true", help="place no jobs while it writes (measurements)"
    )
    chosen = parser.parse_args(arguments)
    flags = {
        "server.host": chosen.host,
        "server.port": chosen.port,
        "server.database_url": chosen.database_url,
        "server.state_dir": chosen.state_dir,
        "server.allow_public": chosen.allow_public,
    }
    try:
        settings = load(flags, config=chosen.config).settings
        configure(settings.log.level, settings.log.style)
        run_server(settings, with_scheduler=not chosen.no_scheduler)
    except SuanwangError as failure:
        sys.stderr.write(f"{failure.message}\n")
        if failure.next_step:
            sys.stderr.write(f"  {failure.next_step}\n")
        return failure.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

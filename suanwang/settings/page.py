"""Writes ``docs/settings.md``: ``python -m suanwang.settings.page > docs/settings.md``."""

import sys
from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from suanwang.settings.keys import groups, keys, variable

_HEAD: Final = """\
# Settings

Every process reads one tree of settings. For each setting the first of these that names it wins:

1. flags of the command, such as `--port`
2. environment variables, such as `SUANWANG_SERVER__PORT` (two underscores between the parts)
3. the project file `suanwang.yaml` in the working folder, or the one that `--config PATH` or
   `SUANWANG_CONFIG` names
4. your own file `~/.config/suanwang/config.yaml`
5. the defaults below

A file is YAML: groups, each with its keys.

```yaml
server:
  port: 8700
scheduler:
  policy:
    carbon_yuan_per_kg: 0.1
```

Lists in the environment are JSON. A key that does not exist is an error, in a file and in the
environment, and names the nearest one that does. `suanwang config show` prints every value
and where it came from; of secrets it prints only whether they are set.

This page is made from the program (`make docs`).
"""


def page() -> str:
    """Return the page: every setting with its default, its variable and its meaning."""
    return _HEAD + "".join(f"\n{line}" for line in _sections())


def _sections() -> Iterator[str]:
    for path, group in groups().items():
        yield f"## {path}\n"
        yield f"{(group.__doc__ or '').strip()}\n"
        yield "| setting | default | variable | meaning |\n|---|---|---|---|"
        for key in keys():
            if key.rpartition(".")[0] == path:
                field = group.model_fields[key.rpartition(".")[2]]
                yield f"| `{key}` | {_default(field)} | `{variable(key)}` | {field.description} |"
        yield ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{value}`" if value not in ("", ()) else "–"


if __name__ == "__main__":
    sys.stdout.write(page())

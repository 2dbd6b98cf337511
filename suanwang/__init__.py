"""The kernel of Suanwang (算网): units, clock, ids, errors, settings, the model, energy and the database."""

from typing import Final

__version__: Final = "0.1.0"

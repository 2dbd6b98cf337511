"""The kernel of Suanwang (算网): units, clock, ids, settings, the model, energy, the database."""

from typing import Final

__version__: Final = "0.1.0"

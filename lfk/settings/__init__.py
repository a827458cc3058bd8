"""Every setting of lfk, declared once: its name, default, meaning and command-line flag.

One module a subject, named as its group in the reference (docs/reference/settings.md). Declarations only:
:mod:`lfk.environment` fills them, and the flags, ``.env.example`` and the reference page come from them.
"""

from lfk.settings.declaring import Spec, parse_value, value_text
from lfk.settings.secrets import is_kafka_secret, secrets
from lfk.settings.values import Settings, specs

__all__ = ["Settings", "Spec", "is_kafka_secret", "parse_value", "secrets", "specs", "value_text"]

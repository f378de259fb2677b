"""Writes docs/openapi.json."""

from dev.docs import openapi
from dev.docs.openapi.document import FILE, written
from dev.options import no_options
from dev.settings import ROOT

no_options("dev.docs.openapi", openapi.__doc__)
FILE.write_text(written())
print(FILE.relative_to(ROOT))

"""Ray: processes of a cluster on several machines, watched and replaced. The only room that imports it."""

import os

# Read when it is imported, and by the processes that it begins. It tells its makers nothing; what parts say is printed
# as they say it, every line, and without colours that a journal would take for binary; nobody comes in without a token.
for _name, _value in (
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_DEDUP_LOGS", "0"),
    ("RAY_COLOR_PREFIX", "0"),
    ("RAY_AUTH_MODE", "token"),
):
    os.environ.setdefault(_name, _value)

"""Ray: processes of a cluster on several machines, watched and replaced. The only room that imports it."""

import os

# Read when it is imported, and by the processes that it begins. It tells its makers nothing; what parts say is printed
# as they say it, every line, and without colours that a journal would take for binary.
for _name in ("RAY_USAGE_STATS_ENABLED", "RAY_DEDUP_LOGS", "RAY_COLOR_PREFIX"):
    os.environ.setdefault(_name, "0")

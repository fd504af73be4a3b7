"""Ray: processes of a cluster on several machines, watched and replaced. The only room that imports it."""

"""The console: a page that shows what the daemon does, and the API behind it, in a process of its own.

It reads the ledger, asks the control socket, and writes nothing: whatever happens to it or to whoever looks, the data
loop does not notice. `server` is the process, `app` its routes, `endpoints` the API with its types in `shapes`.
"""

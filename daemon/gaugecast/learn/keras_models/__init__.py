"""From and to Keras: `importing` reads a user's `.keras` file, offline and in safe mode, `plan` says what of it can be
stepped, `file` writes ours.
"""

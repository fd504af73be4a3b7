"""Small real things that tests share: models, servers, builders."""

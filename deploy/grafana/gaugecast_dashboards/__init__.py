"""Grafana dashboards as code: `python -m gaugecast_dashboards` in deploy/grafana writes dashboards/*.json."""

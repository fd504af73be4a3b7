"""How Grafana spells the parts of a dashboard (dashboard schema 39, Grafana 10 and later).

Places on the grid, ids and letters of queries are given here, so that a page reads as what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gaugecast_dashboards.parts import BAD, GOOD, Page, Panel, Query, Row, Variable

Json = dict[str, Any]

#: Grafana's grid has 24 columns.
COLUMNS = 24
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


def render_page(page: Page) -> Json:
    """The dashboard as Grafana stores it."""
    return {
        "uid": page.uid,
        "title": page.title,
        "description": page.description,
        "tags": ["gaugecast"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels
        "timezone": "browser",
        "time": {"from": page.span, "to": "now"},
        "refresh": page.refresh,
        "links": [
            {
                "type": "dashboards",
                "tags": [tag],
                "title": "gaugecast",
                "asDropdown": False,
                "keepTime": True,
                "includeVars": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
            for tag in page.links
        ],
        "templating": {"list": [_datasource(), *(_variable(v) for v in page.variables)]},
        "annotations": {"list": [_alerts()]},
        "panels": _lay_out(page.rows),
    }


def _alerts() -> Json:
    """Alerts that fired, as regions over all curves."""
    return {
        "name": "Alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": BAD,
        "expr": 'ALERTS{alertname=~"Gaugecast.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}} {{fleet}} {{feature}} {{reason}}",
        "step": "15s",
    }


def _datasource() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(variable: Variable) -> Json:
    query = {"query": variable.query, "refId": variable.name}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": query,
        "definition": variable.query,
        "refresh": 2,  # when the time range changes: streams come and go
        "sort": 1,
        "multi": variable.several,
        "includeAll": variable.several,
        "allValue": ".*" if variable.several else None,
        "current": {"text": "All", "value": "$__all"} if variable.several else {},
        "hide": 0,
    }


def _lay_out(rows: Sequence[Row]) -> list[Json]:
    panels: list[Json] = []
    top = 0
    for row in rows:
        panels.append(
            {
                "type": "row",
                "id": len(panels) + 1,
                "title": row.title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            }
        )
        left, top, tallest = 0, top + 1, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            panels.append(_panel(panel, len(panels) + 1, place))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return panels


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_target(panel, query, chr(ord("A") + i)) for i, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [o for q in panel.queries for o in _override(q)]},
        "options": _options(panel),
        **({"transformations": _as_table()} if panel.kind == "table" else {}),
    }


def _target(panel: Panel, query: Query, letter: str) -> Json:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": panel.instant,
        "range": not panel.instant,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _defaults(panel: Panel) -> Json:
    steps = [{"value": at, "color": color} for at, color in panel.steps or ((None, GOOD),)]
    defaults: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom": _custom(panel)}
    if panel.kind in ("stat", "state-timeline", "table"):
        defaults["color"] = {"mode": "thresholds"}
    for key, value in (("min", panel.lowest), ("max", panel.highest), ("decimals", panel.decimals)):
        if value is not None:
            defaults[key] = value
    if panel.names:
        words = {value: {"text": text, "index": i} for i, (value, text) in enumerate(panel.names)}
        defaults["mappings"] = [{"type": "value", "options": words}]
    return defaults


def _custom(panel: Panel) -> Json:
    if panel.kind != "timeseries":
        return {"fillOpacity": 80, "lineWidth": 0} if panel.kind == "state-timeline" else {}
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if panel.stacked else 0,
        "showPoints": "never",
        "spanNulls": False,  # a gap is a gap
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
    }


def _override(query: Query) -> list[Json]:
    style = query.style
    if style is None:
        return []
    made: list[Json] = []
    if style.color:
        made.append({"id": "color", "value": {"mode": "fixed", "fixedColor": style.color}})
    if style.dashed:
        made.append({"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 4]}})
    if style.fill_below_to:
        made.append({"id": "custom.fillBelowTo", "value": style.fill_below_to})
    if style.points:
        made += [{"id": "custom.drawStyle", "value": "points"}, {"id": "custom.pointSize", "value": 9}]
    return [{"matcher": {"id": "byName", "options": query.legend}, "properties": made}]


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {
            "colorMode": "value" if panel.steps else "none",
            "graphMode": "none" if panel.instant else "area",
            "textMode": "name" if panel.show_name else "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    if panel.kind == "state-timeline":
        return {"showValue": "never", "mergeValues": True, "legend": {"showLegend": False}}
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _as_table() -> list[Json]:
    """Labels as columns, without what Prometheus adds of its own."""
    hidden = dict.fromkeys(("Time", "__name__", "job", "instance"), True)
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": {"excludeByName": hidden}}]

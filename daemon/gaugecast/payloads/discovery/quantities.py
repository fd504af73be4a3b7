"""What a field is: a quantity to forecast, a set-point, a counter, a switch; or nothing of that, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from gaugecast.payloads.discovery.heard import NAMES_OF_TIME, is_number, is_switch, says_nothing, words
from gaugecast.payloads.values import bare, number_of
from gaugecast.topics import FieldPath

#: Numbers that say nothing of what is measured, by the last name of their path.
_NO_QUANTITY = words(
    "id uid uuid seq sequence sequencenumber seqno count n version ver port fport fcnt channel chan rssi snr lqi "
    "linkquality link_quality wifi_signal signal uptime uptime_seconds uptime_s runtime heap battery_ok button subtype "
    "qc quality status error errors code type index dr adr crc mid msgid messageid datasetwriterid from to rf_chain"
)
_SET_POINT = re.compile(
    r"(?:^|[_\W])(?:target|set_?point|setpt|sp|desired|soll|wanted)(?:$|[_\W\d])|"
    r"^(?:set|soll|target|desired)(?=[A-Z_])|(?:Target|SetPoint|Setpoint|Soll)"
)
_COUNTER = re.compile(
    r"(?i)total|energy|yield|counter|(?:^|_)count|kwh|(?:_|^)wh$|delivered|returned|import|export|odometer|pulses"
)
#: Words of quantities, to tell a level of topics that names them from one that names places and devices.
_WORDS = words(
    "temperature temperatures temp temperatur tempc tempf humidity hum feuchte pressure press druck power leistung "
    "voltage volt spannung current strom energy soc soh level fill flow durchfluss frequency freq speed rpm torque "
    "position angle weight mass volume density conductivity ph orp turbidity oxygen co2 voc tvoc pm25 pm10 pm1 aqi "
    "noise illuminance lux light brightness uv radiation irradiance wind windspeed rain rainfall gust dewpoint "
    "battery load usage idle free used rate throughput distance depth height moisture soil gas water electricity "
    "delivered returned yield yieldday yieldtotal yieldd reactivepower powerfactor pf vibration acceleration rssi "
    "wifi signal setpoint target value consumption production import export current1 irradiation efficiency "
    "luminosity vdd vcc buzzer pm2 pv grid"
)
#: Units that the end of a name tells.
_UNITS = (
    ("_celsius", "°C"), ("_C", "°C"), ("tempc", "°C"), ("tC", "°C"), ("_fahrenheit", "°F"), ("_F", "°F"),
    ("tempf", "°F"), ("tF", "°F"), ("_kelvin", "K"), ("_kwh", "kWh"), ("_wh", "Wh"), ("_kw", "kW"), ("_mw", "MW"),
    ("_W", "W"), ("_watts", "W"), ("_watt", "W"), ("_kv", "kV"), ("_mv", "mV"), ("_V", "V"), ("_volts", "V"),
    ("_ma", "mA"), ("_amps", "A"), ("_bar", "bar"), ("_mbar", "mbar"), ("_hpa", "hPa"), ("_kpa", "kPa"),
    ("_pa", "Pa"), ("_psi", "psi"), ("_ppm", "ppm"), ("_ppb", "ppb"), ("_lux", "lx"), ("_lx", "lx"), ("_hz", "Hz"),
    ("_rpm", "rpm"), ("_pct", "%"), ("_percent", "%"), ("_mm", "mm"), ("_cm", "cm"), ("_m3", "m³"), ("_l", "l"),
    ("_m_s", "m/s"), ("_km_h", "km/h"), ("_kg", "kg"), ("_db", "dB"), ("_dbm", "dBm"), ("_ms", "ms"),
)  # fmt: skip
_SENML_UNITS = {"Cel": "°C", "%RH": "%", "lx": "lx"}
_SHARES = frozenset(("humidity", "hum", "soc", "battery", "battery_level", "moisture", "soil_moisture"))
_BEHIND = re.compile(r"[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?\s*(.*)")
_ENOUGH = 8  # values after which one that never changed is taken for a constant
_SHARE = 5  # a field must come in every fifth reading

#: Values of one field, stream by stream, in order.
Values = Sequence[Sequence[Any]]


class Quantity(NamedTuple):
    """A field that a fleet may have as a feature."""

    path: FieldPath
    unit: str = ""
    role: Literal["forecast", "input"] = "forecast"
    kind: Literal["number", "boolean", "counter"] = "number"


def quantity_of(path: FieldPath, name: str, values: Values, *, readings: int) -> Quantity | str:
    """What a field is, or why it is left out.

    Args:
        name: What it is called, of its path or topic.
        readings: In which it could have come.
    """
    said = [each for own in values for each in own if not says_nothing(each)]
    if not said:
        return "no value"
    if all(map(is_switch, said)):
        if len(said) >= _ENOUGH and len({str(each).lower() for each in said}) == 1:
            return "never changed"
        return Quantity(path, role="input", kind="boolean")
    if not all(map(is_number, said)):
        return "text"
    if name.lower() in _NO_QUANTITY:
        return "no measurement, by its name"
    if name.lower() in NAMES_OF_TIME:
        return "a clock of its own"
    if len(said) * _SHARE < readings:
        return f"came in {len(said)} of {readings} readings"
    return _of_numbers(path, name, [[_number(each) for each in own if not says_nothing(each)] for own in values], said)


def _of_numbers(path: FieldPath, name: str, numbers: Sequence[Sequence[float]], said: Sequence[Any]) -> Quantity | str:
    flat = [each for own in numbers for each in own]
    whole = all(each == int(each) for each in flat if abs(each) < 1e15)
    unit = _unit_of(name, said, flat)
    if _SET_POINT.search(name):
        return Quantity(path, unit, role="input")
    if len(flat) >= _ENOUGH and whole and all(len(set(own)) == 1 for own in numbers if own):
        return "never changed"
    rises = [b - a for own in numbers for a, b in pairwise(own)]
    if len(rises) >= _ENOUGH - 1 and whole and min(rises) == max(rises) > 0:
        return "a running number"
    if _COUNTER.search(name) and len(rises) >= _ENOUGH - 1 and min(rises) >= 0 and max(rises) > 0:
        return Quantity(path, unit, kind="counter")
    return Quantity(path, unit)


def is_quantity_word(word: str) -> bool:
    """Whether a level of a topic is called as quantities are."""
    parts = re.findall(r"[a-z]+\d*|[A-Z]+(?![a-z])|[A-Z][a-z]+\d*", word)
    return any(part.lower() in _WORDS for part in parts) or word.lower() in _WORDS


def usual_unit(text: str) -> str:
    """A unit of SenML as people write it."""
    return _SENML_UNITS.get(text, text)


def groups_by_stream(records: Sequence[tuple[str, Mapping[FieldPath, Any]]], path: FieldPath) -> list[list[Any]]:
    """The values of a field, stream by stream."""
    found: dict[str, list[Any]] = {}
    for stream, fields in records:
        if path in fields:
            found.setdefault(stream, []).append(fields[path])
    return list(found.values())


def _number(value: Any) -> float:
    number = number_of(bare(value)) if type(value) is str else value
    try:
        found = float(number if number is not None else "nan")
    except OverflowError:
        return 0.0
    return found if abs(found) < 1e300 else 0.0  # NaN, too: it is no value


def _unit_of(name: str, said: Sequence[Any], numbers: Sequence[float]) -> str:
    """What stands behind the numbers, or what the name's end tells."""
    for each in said:
        if type(each) is str:
            found = _BEHIND.match(bare(each))
            if found is not None and found[1]:
                return found[1].strip()[:32]
    for end, unit in _UNITS:
        if name.endswith(end) or (len(end) > 2 and end.startswith("_") and name.lower().endswith(end)):
            return unit
    return "%" if name.lower() in _SHARES and all(0 <= each <= 100 for each in numbers) else ""

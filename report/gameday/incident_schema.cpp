// SPDX-License-Identifier: Apache-2.0
#include "report/gameday/incident.h"

namespace faultline::report::gameday {

std::string_view incident_schema() {
  return R"json({
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "https://faultline.dev/schema/incident/v1.json",
  "title": "A labelled incident of Faultline: incident.json, alerts.json or timeline.json",
  "type": "object",
  "required": ["schema", "kind"],
  "properties": {"schema": {"const": "faultline.dev/incident/v1"},
                 "kind": {"enum": ["Incident", "Alerts", "Timeline"]}},
  "oneOf": [{"$ref": "#/$defs/incident"}, {"$ref": "#/$defs/alerts"},
            {"$ref": "#/$defs/timeline"}],
  "$defs": {
    "time": {"description": "RFC 3339 in UTC with microseconds; null: not known, or it did not come",
             "type": ["string", "null"],
             "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$"},
    "number": {"description": "null: not known", "type": ["number", "null"], "minimum": 0},
    "role": {"enum": ["target", "observed", "control", "connected"]},
    "incident": {
      "type": "object",
      "additionalProperties": false,
      "required": ["schema", "kind", "id", "name", "title", "state", "startedAt", "overAt",
                   "groundTruth", "topology", "impact", "runs", "gaps"],
      "properties": {
        "schema": true,
        "kind": {"const": "Incident"},
        "id": {"type": "string"},
        "name": {"type": "string"},
        "title": {"type": "string"},
        "state": {"enum": ["checking", "waiting", "running", "held", "aborting", "completed",
                           "aborted", "failed"]},
        "startedAt": {"$ref": "#/$defs/time"},
        "overAt": {"$ref": "#/$defs/time"},
        "groundTruth": {
          "description": "What was injected where, and the first and last event that the kernel counted",
          "type": "array",
          "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["run", "step", "surprise", "fault", "asked", "pod", "node", "verdict",
                         "injected", "firstInjectedAt", "lastInjectedAt"],
            "properties": {
              "run": {"type": "string"},
              "step": {"type": "string"},
              "surprise": {"type": "boolean"},
              "fault": {"type": "string"},
              "asked": {"type": "string"},
              "pod": {"type": "string"},
              "node": {"type": "string"},
              "verdict": {"enum": ["confirmed", "partial", "no-traffic", "blocked"]},
              "injected": {"type": "integer", "minimum": 0},
              "firstInjectedAt": {"$ref": "#/$defs/time"},
              "lastInjectedAt": {"$ref": "#/$defs/time"}}}},
        "topology": {
          "description": "As measured: what was not seen is not there",
          "type": "object",
          "additionalProperties": false,
          "required": ["nodes", "pods", "endpoints", "edges"],
          "properties": {
            "nodes": {"type": "array", "items": {
              "type": "object", "additionalProperties": false,
              "required": ["name", "kernel", "arch"],
              "properties": {"name": {"type": "string"}, "kernel": {"type": "string"},
                             "arch": {"type": "string"}}}},
            "pods": {"type": "array", "items": {
              "type": "object", "additionalProperties": false,
              "required": ["pod", "node", "roles"],
              "properties": {"pod": {"type": "string"}, "node": {"type": ["string", "null"]},
                             "roles": {"type": "array", "items": {"$ref": "#/$defs/role"}}}}},
            "endpoints": {
              "description": "A port that a pod answered requests on (server) or sent them to (client)",
              "type": "array", "items": {
              "type": "object", "additionalProperties": false,
              "required": ["pod", "side", "port", "requestsPerSecond"],
              "properties": {"pod": {"type": "string"}, "side": {"type": "string"},
                             "port": {"type": "string"},
                             "requestsPerSecond": {"$ref": "#/$defs/number"}}}},
            "edges": {
              "description": "Two pods that were seen to have a TCP connection; no direction",
              "type": "array", "items": {
              "type": "object", "additionalProperties": false, "required": ["a", "b"],
              "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}}}},
        "impact": {
          "description": "Pods with an effect that changed beyond chance",
          "type": "array", "items": {
          "type": "object", "additionalProperties": false,
          "required": ["run", "pod", "role", "firstChangeAt", "moved"],
          "properties": {"run": {"type": "string"}, "pod": {"type": "string"},
                         "role": {"$ref": "#/$defs/role"},
                         "firstChangeAt": {"$ref": "#/$defs/time"},
                         "moved": {"type": "array", "items": {"type": "string"}}}}},
        "runs": {"type": "array", "items": {
          "type": "object", "additionalProperties": false,
          "required": ["run", "step", "begunAt", "overAt", "recoveredAt", "detectionSeconds",
                       "acknowledgementSeconds", "repairSeconds", "metrics"],
          "properties": {"run": {"type": "string"}, "step": {"type": "string"},
                         "begunAt": {"$ref": "#/$defs/time"}, "overAt": {"$ref": "#/$defs/time"},
                         "recoveredAt": {"$ref": "#/$defs/time"},
                         "detectionSeconds": {"$ref": "#/$defs/number"},
                         "acknowledgementSeconds": {"$ref": "#/$defs/number"},
                         "repairSeconds": {"$ref": "#/$defs/number"},
                         "metrics": {"enum": ["windows", "phases", "none"]}}}},
        "gaps": {"type": "array", "items": {
          "type": "object", "additionalProperties": false,
          "required": ["where", "what", "from", "to", "reason"],
          "properties": {"where": {"type": "string"}, "what": {"type": "string"},
                         "from": {"$ref": "#/$defs/time"}, "to": {"$ref": "#/$defs/time"},
                         "reason": {"type": "string"}}}}}},
)json"
         R"json(    "alerts": {
      "type": "object",
      "additionalProperties": false,
      "required": ["schema", "kind", "alerts"],
      "properties": {
        "schema": true,
        "kind": {"const": "Alerts"},
        "alerts": {"type": "array", "items": {
          "type": "object", "additionalProperties": false,
          "required": ["run", "step", "alert", "labels", "source", "group", "expected", "verdict",
                       "pendingAt", "firingAt", "notifiedAt", "resolvedAt"],
          "properties": {
            "run": {"type": "string"}, "step": {"type": "string"}, "alert": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "source": {"type": "string"}, "group": {"type": "string"},
            "expected": {"type": "boolean"},
            "verdict": {"enum": ["detected", "late", "missed", "not-notified", "false-alarm",
                                 "before-fault", "still-firing", "flapping", "unknown"]},
            "pendingAt": {"$ref": "#/$defs/time"}, "firingAt": {"$ref": "#/$defs/time"},
            "notifiedAt": {"$ref": "#/$defs/time"}, "resolvedAt": {"$ref": "#/$defs/time"}}}}}},
    "timeline": {
      "type": "object",
      "additionalProperties": false,
      "required": ["schema", "kind", "entries"],
      "properties": {
        "schema": true,
        "kind": {"const": "Timeline"},
        "entries": {"type": "array", "items": {
          "type": "object", "additionalProperties": false,
          "required": ["at", "lane", "event", "step", "run", "who", "text", "lateSeconds"],
          "properties": {
            "at": {"$ref": "#/$defs/time"},
            "lane": {"enum": ["course", "fault", "effect", "alert", "people"]},
            "event": {"type": "string"}, "step": {"type": "string"}, "run": {"type": "string"},
            "who": {"description": "a word of the role; empty: the controller", "type": "string"},
            "text": {"type": "string"},
            "lateSeconds": {"$ref": "#/$defs/number"}}}}}}
  }
}
)json";
}

std::string_view incident_readme() {
  return R"md(# A labelled incident

Written by Faultline from a game day. Times are UTC, lengths of time seconds; `null` is what is not known.

| file | what it is |
|---|---|
| `incident.json` | ground truth: what was injected where, first and last event as the kernel counted them; topology as measured; which pods moved; what is not known |
| `alerts.json` | each alert that was expected, and those that fired without being expected |
| `timeline.json` | what the day did, what the faults did, what moved, what the monitoring said, what people said |
| `metrics.prom` | all pods, as OpenMetrics text with times: `promtool tsdb create-blocks-from openmetrics metrics.prom DIR` makes a Prometheus database of it |
| `schema.json` | JSON Schema (draft 2020-12) of the three JSON files |

A root-cause tool is given `metrics.prom` and `alerts.json`; what it names is judged by `groundTruth[]` and `impact[]` of `incident.json`.
The metrics of a run are one sample a window of 1 s where `runs[].metrics` says `windows`, and one a phase, with the label `phase`, where it says `phases`.
)md";
}

}  // namespace faultline::report::gameday

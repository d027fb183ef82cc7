// SPDX-License-Identifier: Apache-2.0
// Experiment: what a person asks for. Field names are the YAML keys. See docs/experiment.md for the
// words.
#pragma once

#include <boost/describe.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/fault.h"
#include "api/selector.h"
#include "api/values.h"

namespace faultline::api {

struct Metadata {
  std::string name;        // DNS-1123 label, at most 63 characters
  std::string namespace_;  // key "namespace"; for kubectl, unused without Kubernetes
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
};
BOOST_DESCRIBE_STRUCT(Metadata, (), (name, namespace_, labels, annotations))

enum class Mode { one, all, fixed, fixed_percent, random_max_percent };  // YAML: fixed-percent ...
BOOST_DESCRIBE_ENUM(Mode, one, all, fixed, fixed_percent, random_max_percent)

struct Target {
  Selector selector;
  std::vector<std::string> containerNames;
  Mode mode = Mode::one;
  std::string value;  // "2" for fixed, "50" for the percents
  // A target that is gone is replaced by another pod that matches, up to the end of the fault.
  bool follow = false;
};
BOOST_DESCRIBE_STRUCT(Target, (), (selector, containerNames, mode, value, follow))

struct Phases {
  Duration baseline{std::chrono::seconds(10)};
  Duration fault{std::chrono::seconds(30)};
  Duration recovery{std::chrono::seconds(10)};
};
BOOST_DESCRIBE_STRUCT(Phases, (), (baseline, fault, recovery))

// `labels` keep several instances of one alert, or one name that is expected twice, apart: an
// instance counts that has all of them.
struct ExpectAlert {
  std::string name;
  Duration within;
  std::map<std::string, std::string> labels;
  std::string receiver;  // who should be told; empty: any receiver that has an integration
};
BOOST_DESCRIBE_STRUCT(ExpectAlert, (), (name, within, labels, receiver))

// A bound on a measured effect in the fault phase. Exactly one of below and above. The bound is
// written in the metric's unit: a duration for latencies, a percentage or number for fractions, a
// number for rates.
struct ExpectEffect {
  Selector selector;
  std::string metric;              // a word of api/metrics.h, e.g. request.latency
  std::optional<double> quantile;  // 0..1, for histograms
  std::string below;
  std::string above;
};
BOOST_DESCRIBE_STRUCT(ExpectEffect, (), (selector, metric, quantile, below, above))

struct ExpectSignal {
  std::string promql;
  std::string equals;  // a metric word
  std::optional<double> quantile;
  Probability tolerance{0.2};
};
BOOST_DESCRIBE_STRUCT(ExpectSignal, (), (promql, equals, quantile, tolerance))

struct Expect {
  std::vector<ExpectAlert> alerts;
  std::vector<ExpectEffect> effects;
  std::vector<ExpectSignal> signals;
};
BOOST_DESCRIBE_STRUCT(Expect, (), (alerts, effects, signals))

// Exactly one of promql and effect; exactly one of above and below.
struct AbortCondition {
  std::string promql;
  std::string effect;
  std::optional<double> quantile;
  std::string above;
  std::string below;
};
BOOST_DESCRIBE_STRUCT(AbortCondition, (), (promql, effect, quantile, above, below))

struct Limits {
  std::int64_t maxPods = 5;   // 1..10000
  double maxPercent = 50;     // of the pods that match the selector; 0 < x <= 100
  bool allReadyPods = false;  // every ready pod of a workload may be hit; known in Kubernetes only
};
BOOST_DESCRIBE_STRUCT(Limits, (), (maxPods, maxPercent, allReadyPods))

struct ExperimentSpec {
  std::string purpose;
  Target target;
  std::vector<Fault> faults;  // may be empty: then the run only measures
  std::vector<Selector> observe;
  Phases phases;
  std::uint64_t seed = 0;  // 0: chosen at start and reported
  Expect expect;
  std::vector<AbortCondition> abortWhen;
  Limits limits;
  // In Kubernetes: how long a finished Experiment is kept, as read_ttl() reads it; empty: as long
  // as the policy says.
  std::string ttlAfterFinished;
};
BOOST_DESCRIBE_STRUCT(ExperimentSpec, (),
                      (purpose, target, faults, observe, phases, seed, expect, abortWhen, limits,
                       ttlAfterFinished))

struct Experiment {
  std::string apiVersion;  // faultline.dev/v1alpha1
  std::string kind;        // Experiment
  Metadata metadata;
  ExperimentSpec spec;
};
BOOST_DESCRIBE_STRUCT(Experiment, (), (apiVersion, kind, metadata, spec))

// "90s", "30m", "12h", "7d": so long; "never": no time, as for a text that is none of these.
[[nodiscard]] std::optional<std::chrono::seconds> read_ttl(std::string_view text);

}  // namespace faultline::api

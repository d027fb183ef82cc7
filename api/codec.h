// SPDX-License-Identifier: Apache-2.0
// Text to struct and back, from the one description of each struct (Boost.Describe). All functions
// are thread-safe.
//
// Decoding is strict: unknown keys, wrong types, values out of range and missing required keys are
// errors that name file, line (YAML), the path of the field, what was expected and the nearest
// valid word. All problems of a document are found in one pass and come back joined by '\n', one
// line each.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "api/budgets.h"
#include "api/experiment.h"
#include "api/experiment_status.h"
#include "api/node_status.h"
#include "api/plan.h"
#include "api/pods.h"
#include "api/report.h"
#include "api/run_log.h"
#include "api/run_record.h"
#include "api/sync.h"
#include "base/result.h"

namespace faultline::api {

// Instantiated in api/codec_*.cpp for the types listed there (Experiment, PodsFile, SyncRequest,
// SyncResponse, NodeInfo, PodRef, Report, RunRecord, RunSummary, RunBatch, InjectionStatus,
// ExperimentStatus, ObjectMeta, std::vector of RunSummary and NodeInfo ...).
template <class T>
[[nodiscard]] boost::json::value to_json(const T& value);
template <class T>
[[nodiscard]] Result<T> from_json(const boost::json::value& value);

template <class T>
[[nodiscard]] std::string to_json_text(const T& value);
template <class T>
[[nodiscard]] Result<T> from_json_text(std::string_view text);

// `file` is only used in messages. Exactly one YAML document (JSON is YAML).
[[nodiscard]] Result<Experiment> parse_experiment(std::string_view text, std::string_view file);
[[nodiscard]] Result<PodsFile> parse_pods_file(std::string_view text, std::string_view file);
[[nodiscard]] std::string to_yaml(const Experiment& experiment);

// The rules that no single field can express (modes and values, exactly-one-of, limits, fault
// combinations). Called by parse_experiment with line numbers; the controller and the agent call it
// on what arrives as JSON.
[[nodiscard]] Result<> validate(const Experiment& experiment);

// An Experiment as the API server returns it: the spec as strict as in a file, with validate();
// what a server adds to `metadata` is taken apart, and unknown keys there are ignored. Of a
// `status` that cannot be read `status_problem` says why. kubectl's last-applied annotation is
// dropped.
[[nodiscard]] Result<ClusterExperiment> from_cluster_json(const boost::json::value& object);

// JSON Schema (draft 2020-12) of the Experiment document.
[[nodiscard]] boost::json::value experiment_schema();

// The CustomResourceDefinition of Experiment (apiextensions.k8s.io/v1, structural schema), and the
// text of daemonset/base/crd.yaml.
[[nodiscard]] boost::json::value experiment_crd();
[[nodiscard]] std::string experiment_crd_yaml();

// "nearest valid word" by edit distance, empty when nothing is near.
[[nodiscard]] std::string nearest_word(std::string_view word,
                                       const std::vector<std::string_view>& valid);

}  // namespace faultline::api

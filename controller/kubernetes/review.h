// SPDX-License-Identifier: Apache-2.0
// Reading the question of an AdmissionReview (admission.k8s.io/v1) and writing its answer. Pure and
// thread-safe.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "controller/kubernetes/proof.h"
#include "http/server.h"

namespace faultline::controller::review {

[[nodiscard]] http::Identity who_asks(const boost::json::object& request);
[[nodiscard]] Asker asker_of(const http::Identity& who);
[[nodiscard]] http::Identity person_of(const Asker& asker);

[[nodiscard]] bool is_about_status(const boost::json::object& request);
[[nodiscard]] bool is_dry_run(const boost::json::object& request);
// `which`: "object" or "oldObject".
[[nodiscard]] const boost::json::value* spec_of(const boost::json::object& request,
                                                std::string_view which);
// The annotation; nothing: there is none.
[[nodiscard]] std::optional<std::string> note_of(const boost::json::object& request,
                                                 std::string_view which, std::string_view key);
// The object as it will be kept: a name and a namespace that the API server has not filled in yet
// are needed to read it, whatever name it is.
[[nodiscard]] boost::json::object with_name(const boost::json::object& request);

// Annotations to write; nothing: to take away.
using Notes = std::map<std::string, std::optional<std::string>>;
[[nodiscard]] boost::json::array patch_to(const boost::json::object& request, const Notes& wanted);

[[nodiscard]] boost::json::object answer(const boost::json::object& request,
                                         boost::json::object response);
[[nodiscard]] boost::json::object allowed_with(const boost::json::object& request,
                                               const boost::json::array& patch);
[[nodiscard]] boost::json::object refused_with(const boost::json::object& request,
                                               const Error& error);
// As many as kubectl shows, each as long as it shows it.
[[nodiscard]] boost::json::array warnings_of(std::vector<std::string> texts);

}  // namespace faultline::controller::review

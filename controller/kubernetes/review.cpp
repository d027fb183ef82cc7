// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/review.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/printable.h"
#include "http/problem.h"
#include "kube/base64.h"
#include "kube/json.h"

namespace faultline::controller::review {
namespace {

using Object = boost::json::object;

// kubectl shows the first 256 characters of a warning, and the API server passes on 4 KiB of all.
constexpr std::size_t kLongestWarning = 250, kMostWarnings = 8;

// RFC 6901.
std::string pointer_word(std::string_view key) {
  std::string word;
  for (const char c : key) word += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return word;
}

}  // namespace

Object answer(const Object& request, Object response) {
  response["uid"] = kube::text_at(request, "uid");
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"response", std::move(response)}};
}

http::Identity who_asks(const Object& request) {
  http::Identity who;
  who.role = "person";
  if (const Object* user = kube::object_at(request, "userInfo")) {
    who.user = std::string(kube::text_at(*user, "username"));
    who.uid = std::string(kube::text_at(*user, "uid"));
    who.groups = kube::texts_at(*user, "groups");
    if (const Object* extra = kube::object_at(*user, "extra"))
      for (const auto& entry : *extra)
        who.extra[std::string(entry.key())] = kube::texts_at(*extra, entry.key());
  }
  return who;
}

bool is_about_status(const Object& request) {
  return !kube::text_at(request, "subResource").empty();
}

bool is_dry_run(const Object& request) {
  const auto* dry = request.if_contains("dryRun");
  return dry != nullptr && dry->is_bool() && dry->get_bool();
}

const boost::json::value* spec_of(const Object& request, std::string_view which) {
  const Object* object = kube::object_at(request, which);
  return object == nullptr ? nullptr : object->if_contains("spec");
}

std::optional<std::string> note_of(const Object& request, std::string_view which,
                                   std::string_view key) {
  const Object* object = kube::object_at(request, which);
  const Object* metadata = object == nullptr ? nullptr : kube::object_at(*object, "metadata");
  const Object* notes = metadata == nullptr ? nullptr : kube::object_at(*metadata, "annotations");
  const auto* value = notes == nullptr ? nullptr : notes->if_contains(key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

Object with_name(const Object& request) {
  Object object = *kube::object_at(request, "object");
  Object metadata;
  if (const Object* given = kube::object_at(object, "metadata")) metadata = *given;
  if (kube::text_at(metadata, "namespace").empty())
    metadata["namespace"] = kube::text_at(request, "namespace");
  if (kube::text_at(metadata, "name").empty())
    metadata["name"] = std::string(kube::text_at(metadata, "generateName")) + "xxxxx";
  object["metadata"] = std::move(metadata);
  return object;
}

// Writes, replaces and takes away annotations.
boost::json::array patch_to(const Object& request, const Notes& wanted) {
  boost::json::array patch;
  const Object* metadata = kube::object_at(*kube::object_at(request, "object"), "metadata");
  bool none = metadata == nullptr || kube::object_at(*metadata, "annotations") == nullptr;
  for (const auto& [key, value] : wanted) {
    const auto now = note_of(request, "object", key);
    if (now == value) continue;
    if (std::exchange(none, false))
      patch.push_back({{"op", "add"}, {"path", "/metadata/annotations"}, {"value", Object{}}});
    Object step{{"op", value ? "add" : "remove"},
                {"path", "/metadata/annotations/" + pointer_word(key)}};
    if (value) step["value"] = *value;
    patch.push_back(std::move(step));
  }
  return patch;
}

Object allowed_with(const Object& request, const boost::json::array& patch) {
  if (patch.empty()) return answer(request, {{"allowed", true}});
  return answer(request, {{"allowed", true},
                          {"patchType", "JSONPatch"},
                          {"patch", kube::base64_encode(boost::json::serialize(patch))}});
}

Object refused_with(const Object& request, const Error& error) {
  return answer(request, {{"allowed", false},
                          {"status", Object{{"code", http::status_of(error.code)},
                                            {"message", printable_lines(error.message)}}}});
}

Asker asker_of(const http::Identity& who) { return {who.user, who.uid, who.groups, who.extra}; }

http::Identity person_of(const Asker& asker) {
  http::Identity who;
  who.role = "person";
  who.user = asker.user;
  who.uid = asker.uid;
  who.groups = asker.groups;
  who.extra = asker.extra;
  return who;
}

boost::json::array warnings_of(std::vector<std::string> texts) {
  boost::json::array warnings;
  for (std::string& text : texts) {
    if (warnings.size() == kMostWarnings) break;
    std::ranges::replace(text, '\n', ' ');
    if (text.size() > kLongestWarning) {
      text.resize(kLongestWarning - 3);
      text += "...";
    }
    warnings.emplace_back(std::move(text));
  }
  return warnings;
}

}  // namespace faultline::controller::review

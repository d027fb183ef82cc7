// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/kube_pod.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <string_view>
#include <utility>

#include "api/values.h"

namespace faultline::agent {
namespace {

namespace json = boost::json;

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
constexpr std::string_view kHash = "kubernetes.io/config.hash";
constexpr std::string_view kOurs = "faultline.dev/";

bool all_of(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}
constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kNameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-.";

// For messages: short, on one line.
std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kLongest))
    quoted += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? '?' : c;
  return quoted + (text.size() > kLongest ? "...\"" : "\"");
}

std::string_view kind_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "nothing";
}

// An object and where it is. Reading what is not there gives what is empty; of what is wrong the
// first is kept in `error`, which all parts of one pod share.
class Part {
 public:
  Part(const json::object* object, std::string path, std::optional<Error>& error)
      : object_(object), path_(std::move(path)), error_(&error) {}

  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] Part object(std::string_view key) const {
    const json::value* value = find(key);
    if (value != nullptr && !value->is_object()) wrong_kind(key, "an object", *value);
    return {value != nullptr ? value->if_object() : nullptr, at(key), *error_};
  }
  [[nodiscard]] std::vector<Part> objects(std::string_view key) const {
    std::vector<Part> parts;
    const json::value* value = find(key);
    if (value == nullptr) return parts;
    if (!value->is_array()) return wrong_kind(key, "an array", *value), parts;
    for (const json::value& element : value->get_array()) {
      const std::string name = std::string(key) + "[" + std::to_string(parts.size()) + "]";
      if (!element.is_object()) wrong_kind(name, "an object", element);
      parts.emplace_back(element.if_object(), at(name), *error_);
    }
    return parts;
  }
  [[nodiscard]] std::string text(std::string_view key) const {
    const json::value* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) return wrong_kind(key, "a string", *value), std::string();
    return {value->get_string().data(), value->get_string().size()};
  }
  // Not empty, of these letters, not too long.
  [[nodiscard]] std::string name(std::string_view key, std::string_view letters,
                                 std::size_t longest) const {
    std::string value = text(key);
    if (value.empty())
      wrong(key, "is missing");
    else if (value.size() > longest || !all_of(value, letters))
      wrong(key, "no such name is allowed: " + in_quotes(value));
    return value;
  }
  [[nodiscard]] bool flag(std::string_view key) const {
    const json::value* value = find(key);
    if (value != nullptr && !value->is_bool()) wrong_kind(key, "a boolean", *value);
    return value != nullptr && value->is_bool() && value->get_bool();
  }
  [[nodiscard]] std::int64_t count(std::string_view key) const {
    const json::value* value = find(key);
    if (value == nullptr) return 0;
    // boost::json parses what fits as int64.
    if (!value->is_int64() || value->get_int64() < 0)
      return wrong(key, "expected a count, got " + std::string(kind_of(*value))), 0;
    return value->get_int64();
  }
  [[nodiscard]] std::optional<UtcTime> time(std::string_view key) const {
    const std::string words = text(key);
    if (words.empty()) return std::nullopt;
    const auto parsed = api::Timestamp::parse(words);
    if (!parsed) return wrong(key, "no time: " + in_quotes(words)), std::nullopt;
    return parsed->value;
  }
  [[nodiscard]] std::map<std::string, std::string> texts(std::string_view key) const {
    std::map<std::string, std::string> all;
    const Part map = object(key);
    if (map.object_ != nullptr)
      for (const auto& entry : *map.object_) {
        const std::string name(entry.key().data(), entry.key().size());
        all.emplace(name, map.text(name));
      }
    return all;
  }
  void wrong(std::string_view key, const std::string& what) const {
    if (!*error_) *error_ = Error{Errc::kInvalid, at(key) + ": " + what, 0};
  }

 private:
  [[nodiscard]] const json::value* find(std::string_view key) const {
    const json::value* value = object_ != nullptr ? object_->if_contains(key) : nullptr;
    return value != nullptr && value->is_null() ? nullptr : value;
  }
  [[nodiscard]] std::string at(std::string_view key) const {
    std::string shown(key.substr(0, 80));  // a key of a map is somebody's text, too
    std::ranges::replace_if(
        shown, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    return path_.empty() ? shown : path_ + "." + shown;
  }
  void wrong_kind(std::string_view key, const char* expected, const json::value& got) const {
    wrong(key, std::string("expected ") + expected + ", got " + std::string(kind_of(got)));
  }

  const json::object* object_;  // null: it is not there
  std::string path_;
  std::optional<Error>* error_;
};

// "containerd://0123..." -> "0123...".
std::string container_id(const Part& status) {
  const std::string text = status.text("containerID");
  if (text.empty()) return {};
  const auto end = text.find("://");
  const std::string id = end == std::string::npos ? text : text.substr(end + 3);
  if (id.size() == 64 && all_of(id, kHex)) return id;
  status.wrong("containerID",
               "expected containerd://, cri-o:// or docker:// and 64 hexadecimal digits, got " +
                   in_quotes(text));
  return {};
}

void read_status(const Part& status, KubeContainer& container) {
  container.id = container_id(status);
  container.restarts = status.count("restartCount");
  const Part state = status.object("state");
  if (state.has("running")) {
    container.state = KubeContainer::State::kRunning;
    container.started_at = state.object("running").time("startedAt");
  } else if (state.has("terminated")) {
    container.state = KubeContainer::State::kTerminated;
    container.reason = state.object("terminated").text("reason");
  } else {
    container.reason = state.object("waiting").text("reason");
  }
}

void read_containers(const Part& spec, std::string_view list, const Part& status,
                     std::string_view statuses, KubeContainer::Kind kind, KubePod& pod) {
  const std::size_t first = pod.containers.size();
  for (const Part& part : spec.objects(list)) {
    KubeContainer container;
    container.name = part.name("name", kNameLetters, 253);
    container.kind = kind;
    if (kind == KubeContainer::Kind::kInit && part.text("restartPolicy") == "Always")
      container.kind = KubeContainer::Kind::kSidecar;
    pod.containers.push_back(std::move(container));
  }
  for (const Part& part : status.objects(statuses)) {
    const std::string name = part.text("name");
    const auto found =
        std::find_if(pod.containers.begin() + static_cast<std::ptrdiff_t>(first),
                     pod.containers.end(), [&](const KubeContainer& c) { return c.name == name; });
    if (found == pod.containers.end())
      part.wrong("name", "no container of the pod is named " + in_quotes(name));
    else
      read_status(part, *found);
  }
}

void read_metadata(const Part& metadata, KubePod& pod) {
  pod.labels = metadata.texts("labels");
  pod.deleted = metadata.has("deletionTimestamp");
  const auto annotations = metadata.texts("annotations");
  for (const auto& [key, value] : annotations)
    if (key.starts_with(kOurs)) pod.annotations.emplace(key, value);
  // A hash and nothing else: an annotation that anybody may write must not lead to the cgroups of
  // another pod, and those are named by a uid with dashes.
  if (annotations.contains(std::string(kMirror))) {
    const auto hash = annotations.find(std::string(kHash));
    pod.config_hash =
        hash != annotations.end() ? hash->second : annotations.at(std::string(kMirror));
    if (pod.config_hash.size() != 32 || !all_of(pod.config_hash, kHex))
      metadata.object("annotations")
          .wrong(kHash, "expected 32 hexadecimal digits, got " + in_quotes(pod.config_hash));
  }
  for (const Part& reference : metadata.objects("ownerReferences"))
    if (reference.flag("controller"))
      pod.owner = PodOwner{reference.text("kind"), reference.text("name")};
}

void read_status(const Part& status, KubePod& pod) {
  pod.phase = status.text("phase");
  pod.qos_class = status.text("qosClass");
  for (const Part& condition : status.objects("conditions"))
    if (condition.text("type") == "Ready") pod.ready = condition.text("status") == "True";
  for (const Part& ip : status.objects("podIPs")) pod.ips.push_back(ip.text("ip"));
  if (const std::string only = status.text("podIP"); pod.ips.empty() && !only.empty())
    pod.ips.push_back(only);
}

}  // namespace

Result<KubePod> parse_kube_pod(const json::object& object) {
  std::optional<Error> error;
  KubePod pod;
  const Part root(&object, "", error);
  const Part metadata = root.object("metadata"), spec = root.object("spec"),
             status = root.object("status");
  pod.name = metadata.name("name", kNameLetters, 253);
  pod.namespace_ = metadata.name("namespace", kNameLetters, 63);
  if (error) return fail(error->with_context("pod"));
  pod.uid = metadata.name("uid", kNameLetters, 63);
  read_metadata(metadata, pod);
  pod.node = spec.text("nodeName");
  pod.host_network = spec.flag("hostNetwork");
  read_status(status, pod);
  using Kind = KubeContainer::Kind;
  read_containers(spec, "initContainers", status, "initContainerStatuses", Kind::kInit, pod);
  read_containers(spec, "containers", status, "containerStatuses", Kind::kRegular, pod);
  read_containers(spec, "ephemeralContainers", status, "ephemeralContainerStatuses",
                  Kind::kEphemeral, pod);
  if (error) return fail(error->with_context("pod " + pod.id()));
  return pod;
}

std::string workload_of(const KubePod& pod) {
  if (!pod.owner) return {};
  const auto hash = pod.labels.find("pod-template-hash");
  if (pod.owner->kind == "ReplicaSet" && hash != pod.labels.end() && !hash->second.empty() &&
      pod.owner->name.ends_with("-" + hash->second))
    return "Deployment/" +
           pod.owner->name.substr(0, pod.owner->name.size() - hash->second.size() - 1);
  return pod.owner->kind + "/" + pod.owner->name;
}

}  // namespace faultline::agent

// SPDX-License-Identifier: Apache-2.0
// Documents that people write.
#include <filesystem>
#include <map>
#include <set>

#include "api/detail/check.h"
#include "api/detail/instances.h"
#include "api/detail/text.h"
#include "api/detail/yaml.h"
#include "document/yaml_write.h"

namespace faultline::api {
namespace {

// Below, by name: what the directory is, only the node can tell.
bool is_below(const std::string& path, const std::string& above) {
  const auto whole = std::filesystem::path(path).lexically_normal().string();
  auto root = std::filesystem::path(above).lexically_normal().string();
  if (!root.ends_with('/')) root += '/';
  return whole.size() > root.size() && whole.starts_with(root);
}

void check_containers(const PodEntry& pod, const std::string& path, detail::Problems& problems) {
  std::set<std::string> names;
  std::map<std::string, std::string> cgroups;  // to the name
  for (std::size_t i = 0; i < pod.containers.size(); ++i) {
    const ContainerEntry& container = pod.containers[i];
    std::string at = path;
    detail::append_index(at, i);
    if (problems.spoiled(at + ".?") || problems.spoiled(path)) continue;
    if (!names.insert(container.name).second)
      problems.add(at + ".name",
                   "container " + container.name + " of pod " + pod.name + " is given twice");
    if (!is_below(container.cgroup, pod.cgroup))
      problems.add(at + ".cgroup", "expected a directory below the pod's cgroup " + pod.cgroup +
                                       ", got " + detail::in_quotes(container.cgroup));
    const auto [other, is_new] = cgroups.emplace(container.cgroup, container.name);
    if (!is_new)
      problems.add(at + ".cgroup", "is the cgroup of container " + other->second + " already");
  }
}

void check_pods(const PodsFile& file, detail::Problems& problems) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < file.pods.size(); ++i) {
    std::string path = "pods";
    detail::append_index(path, i);
    const std::string id = file.pods[i].namespace_ + "/" + file.pods[i].name;
    if (!seen.insert(id).second && !problems.spoiled(path + ".?"))
      problems.add(path, "pod " + id + " is given twice", detail::Problems::Where::kKey);
    check_containers(file.pods[i], path + ".containers", problems);
  }
}

template <class T, class Check>
Result<T> parse(std::string_view text, std::string_view file, const document::Budget& budget,
                Check check) {
  detail::SourceMap map;
  detail::Problems problems(file, &map);
  boost::json::value value;
  T out{};
  if (detail::read_yaml(text, budget, value, map, problems)) {
    detail::Decoder decoder(problems);
    detail::decode(decoder, value, out);
    check(out, problems);
  }
  if (!problems.empty()) return fail(problems.error());
  return out;
}

// Takes out of `v` what is the same in `defaults`: nobody would write it.
void leave_out(boost::json::value& v, const boost::json::value& defaults) {
  if (!v.is_object() || !defaults.is_object()) return;
  auto& object = v.get_object();
  for (const auto& [key, value] : defaults.get_object()) {
    auto* own = object.if_contains(key);
    if (own == nullptr) continue;
    if (*own == value)
      object.stable_erase(key);  // keeps the order of the struct
    else
      leave_out(*own, value);
  }
}

}  // namespace

Result<Experiment> parse_experiment(std::string_view text, std::string_view file) {
  return parse<Experiment>(text, file, kExperimentBudget, detail::check_experiment);
}

Result<PodsFile> parse_pods_file(std::string_view text, std::string_view file) {
  return parse<PodsFile>(text, file, kPodsFileBudget, check_pods);
}

Result<> validate(const Experiment& experiment) {
  // The rules of single fields are the decoder's.
  detail::Problems problems;
  detail::Decoder decoder(problems);
  Experiment again;
  detail::decode(decoder, to_json(experiment), again);
  detail::check_experiment(experiment, problems);
  if (!problems.empty()) return fail(problems.error());
  return {};
}

std::string to_yaml(const Experiment& experiment) {
  boost::json::value value = to_json(experiment);
  auto& spec = value.as_object().at("spec");
  leave_out(spec, to_json(Experiment{}).as_object().at("spec"));
  if (auto* faults = spec.as_object().if_contains("faults"))
    for (std::size_t i = 0; i < experiment.spec.faults.size(); ++i) {
      Experiment fresh;
      fresh.spec.faults.push_back(std::visit(
          []<class T>(const T&) { return Fault{FaultSpec(T{})}; }, experiment.spec.faults[i].spec));
      // The fault's name stays, also when each of its fields is left out.
      const boost::json::value with_defaults =
          to_json(fresh).as_object().at("spec").as_object().at("faults").as_array()[0];
      leave_out(faults->as_array()[i].as_object().begin()->value(),
                with_defaults.as_object().begin()->value());
    }
  return document::write_yaml(value);
}

}  // namespace faultline::api

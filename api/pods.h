// SPDX-License-Identifier: Apache-2.0
// The pods file: pods of a machine without Kubernetes.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <string>
#include <vector>

namespace faultline::api {

struct PodEntry {
  std::string namespace_;  // key "namespace"
  std::string name;
  std::map<std::string, std::string> labels;
  std::string cgroup;  // absolute path of a cgroup2 directory
  std::string netns;   // absolute path of a network namespace file
};
BOOST_DESCRIBE_STRUCT(PodEntry, (), (namespace_, name, labels, cgroup, netns))

struct PodsFile {
  std::vector<PodEntry> pods;
};
BOOST_DESCRIBE_STRUCT(PodsFile, (), (pods))

}  // namespace faultline::api

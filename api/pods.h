// SPDX-License-Identifier: Apache-2.0
// The pods file: pods of a machine without Kubernetes.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <string>
#include <vector>

namespace faultline::api {

struct ContainerEntry {
  std::string name;    // unique in its pod
  std::string cgroup;  // absolute path of a cgroup2 directory below the pod's
};
BOOST_DESCRIBE_STRUCT(ContainerEntry, (), (name, cgroup))

struct PodEntry {
  std::string namespace_;  // key "namespace"
  std::string name;
  std::map<std::string, std::string> labels;
  std::string cgroup;                      // absolute path of a cgroup2 directory
  std::string netns;                       // absolute path of a network namespace file
  std::vector<ContainerEntry> containers;  // those that experiments may name
  // Devices that network faults hit. Empty: those with a default route, or all where none has one.
  std::vector<std::string> interfaces;
};
BOOST_DESCRIBE_STRUCT(PodEntry, (),
                      (namespace_, name, labels, cgroup, netns, containers, interfaces))

struct PodsFile {
  std::vector<PodEntry> pods;
};
BOOST_DESCRIBE_STRUCT(PodsFile, (), (pods))

}  // namespace faultline::api

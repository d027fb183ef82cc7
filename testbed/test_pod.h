// SPDX-License-Identifier: Apache-2.0
// Pods without Kubernetes: a network namespace, a veth to a bridge, and a cgroup2 directory. Names
// hold the test's pid (flt<pid>...), so tests of several people do not meet. Everything is removed
// by the destructors, and by a sweeper process if the test is killed. Failures throw
// std::runtime_error.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/kernel/netns.h"
#include "agent/targets/pod.h"
#include "testbed/child.h"
#include "testbed/shell.h"

namespace faultline::testbed {

// The bridge that pods hang on, with addresses of its own in the host's namespace.
class TestNetwork {
 public:
  TestNetwork();
  TestNetwork(const TestNetwork&) = delete;
  TestNetwork& operator=(const TestNetwork&) = delete;
  ~TestNetwork();
  [[nodiscard]] const std::string& bridge() const { return bridge_; }
  [[nodiscard]] std::string host4() const { return v4(1); }
  [[nodiscard]] std::string host6() const { return v6(1); }

 private:
  friend class TestPod;
  [[nodiscard]] std::string v4(int host) const;
  [[nodiscard]] std::string v6(int host) const;
  const int pid_;  // of the test: children see the same addresses
  std::string bridge_;
  int next_ = 2;
};

class TestPod {
 public:
  // `name`: short, unique in the test ("a"). `network` outlives the pod.
  TestPod(TestNetwork& network, const std::string& name);
  TestPod(const TestPod&) = delete;
  TestPod& operator=(const TestPod&) = delete;
  ~TestPod();

  [[nodiscard]] const std::string& name() const { return name_; }  // flt<pid>-a
  [[nodiscard]] const std::string& ip4() const { return ip4_; }
  [[nodiscard]] const std::string& ip6() const { return ip6_; }
  [[nodiscard]] std::string netns_path() const { return "/run/netns/" + name_; }
  [[nodiscard]] const std::string& cgroup_path() const { return cgroup_; }
  [[nodiscard]] const std::string& host_device() const { return host_device_; }

  // As the agent sees it, resolved now.
  [[nodiscard]] agent::Pod pod() const;
  // A process that joins cgroup and namespace, then runs `body`.
  [[nodiscard]] Child start(const std::function<int()>& body) const;
  // start() and wait: the exit code.
  int run(const std::function<int()>& body) const;
  // A cgroup below the pod's, by which pod() has a container. Gone with the pod, and at its
  // restart.
  void add_container(const std::string& name);
  // Kills what is in it.
  void remove_container(const std::string& name);
  [[nodiscard]] std::string container_cgroup(const std::string& name) const {
    return cgroup_ + "/" + name;
  }
  // As run(), by a process of the container.
  int run_in(const std::string& container, const std::function<int()>& body) const;
  // A program inside the pod.
  [[nodiscard]] CommandResult exec(const std::vector<std::string>& words) const;
  // Runs `body` on this thread in the pod's namespace, but not in its cgroup.
  template <class F>
  auto in_netns(F body) const {
    const auto inside = agent::ScopedNetns::enter(netns_path());
    if (!inside) throw std::runtime_error(inside.error().message);
    return body();
  }
  // Same name and paths, new cgroup and namespace: what a restart of a pod looks like.
  void restart();

 private:
  void make();
  void remove() noexcept;
  TestNetwork& network_;
  int host_number_;
  std::string name_, ip4_, ip6_, host_device_, cgroup_;
  std::vector<std::string> containers_;
};

// A folder under /tmp, flt<pid>-..., that everybody may read. Removed like the pods.
class TestFolder {
 public:
  TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A process moves itself. For bodies of Child that join late.
void join_cgroup(const std::string& path);

// With those below it, after killing what is in them.
void remove_cgroup(const std::string& cgroup) noexcept;

// Paths of what is named for `pid`: cgroups, namespaces, devices, folders.
[[nodiscard]] std::vector<std::string> left_of(int pid);

// Removes everything named for `pid`: processes in its cgroups are killed first, folders go last.
void sweep(int pid) noexcept;

}  // namespace faultline::testbed

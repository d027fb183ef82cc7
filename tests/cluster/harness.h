// SPDX-License-Identifier: Apache-2.0
// What tests on the real cluster share. The cluster of scripts/cluster has to be up; ctest sees to
// that. Failures of the ground itself throw std::runtime_error.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "testbed/shell.h"

namespace faultline::test {

using namespace std::chrono_literals;

// Folder of the sources; scripts and manifests are below it.
std::string source(const std::string& path);
// A file of the cluster that is up, e.g. pki/ca.crt.
std::string state(const std::string& path);
// The folder with the cluster's kubectl.
std::string programs();
// `scripts/cluster WORDS...`
testbed::CommandResult cluster(std::vector<std::string> words);
// kubectl as administrator, by the API server's port on loopback.
testbed::CommandResult kubectl(std::vector<std::string> words);
// What it printed; throws unless it succeeds.
std::string must_kubectl(const std::vector<std::string>& words);
// Asks every 100 ms; whether it came true.
bool comes_true(const std::function<bool()>& what, std::chrono::seconds limit);

// What is done in a namespace that is there.
class ExistingNamespace {
 public:
  explicit ExistingNamespace(std::string name) : name_(std::move(name)) {}
  // Applies a manifest here.
  void apply(const std::string& manifest) const;
  // kubectl in this namespace.
  [[nodiscard]] testbed::CommandResult kubectl(std::vector<std::string> words) const;
  std::string must_kubectl(const std::vector<std::string>& words) const;
  // A pod of localhost/nginx:dev or localhost/client:dev, on a node; with a Service of its name
  // when it is nginx. Returns when it is ready.
  void nginx(const std::string& pod, const std::string& node) const;
  void client(const std::string& pod, const std::string& node) const;
  void wait_ready(const std::string& pod) const;
  // curl in a pod: exit code and what it printed.
  [[nodiscard]] testbed::CommandResult curl(const std::string& pod, const std::string& url) const;
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

// A namespace with pods of the test images; removed with all that is in it.
class Namespace : public ExistingNamespace {
 public:
  explicit Namespace(const std::string& name);
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  ~Namespace();
};

// A file in the system's folder for temporary files, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace faultline::test

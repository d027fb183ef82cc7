// SPDX-License-Identifier: Apache-2.0
// One window of tls_plain, and the pods and clients of its tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "agent/effects/tls_plain.h"
#include "testbed/child.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"
#include "tests/kernel/tls_pair.h"

namespace faultline::test {

inline std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct TlsSeen {
  std::vector<api::EffectSample> samples;
  std::vector<api::Gap> gaps;

  // `status`: "2xx"; empty: all.
  [[nodiscard]] double counter(const std::string& metric, const std::string& side,
                               const std::string& status = {}) const {
    double sum = 0;
    for (const auto& s : samples)
      if (s.metric == metric && s.labels.at("side") == side &&
          (status.empty() || s.labels.at("class") == status))
        sum += s.value;
    return sum;
  }
  [[nodiscard]] api::Histogram histogram(const std::string& metric, const std::string& side) const {
    for (const auto& s : samples)
      if (s.metric == metric && s.labels.at("side") == side) return *s.histogram;
    return {};
  }
  // Seconds; -1 where there is none.
  [[nodiscard]] double median(const std::string& metric, const std::string& side) const {
    return histogram(metric, side).quantile(0.5).value_or(-1);
  }
  // {failed, ended}
  [[nodiscard]] std::pair<double, double> errors(const std::string& side) const {
    for (const auto& s : samples)
      if (s.metric == "tls.request.errors" && s.labels.at("side") == side)
        return {s.numerator, s.denominator};
    return {0, 0};
  }
  [[nodiscard]] bool has(const std::string& side) const {
    return std::ranges::any_of(samples, [&](const auto& s) { return s.labels.at("side") == side; });
  }
  [[nodiscard]] std::vector<std::string> reasons() const {
    std::vector<std::string> all;
    for (const api::Gap& gap : gaps) all.push_back(gap.reason);
    return all;
  }
};

// By a client's own stopwatch.
class Answers {
 public:
  void add(double seconds) {
    const int at = count_++;
    if (at < static_cast<int>(seconds_.size())) seconds_[static_cast<std::size_t>(at)] = seconds;
  }
  [[nodiscard]] int count() const { return count_; }
  [[nodiscard]] double median() const {
    std::vector<double> all(seconds_.begin(), seconds_.begin() + count_);
    if (all.empty()) return -1;
    std::ranges::nth_element(all, all.begin() + count_ / 2);
    return all[static_cast<std::size_t>(count_ / 2)];
  }

 private:
  std::array<double, 4096> seconds_{};
  std::atomic<int> count_ = 0;
};

// A process of the pod, with OpenSSL, that waits until go() and then does its work.
class TlsProcess {
 public:
  TlsProcess(const testbed::TestPod& pod, const std::function<void(Answers&)>& work)
      : child_(pod.start([this, work] {
          state_->ready = true;
          if (!testbed::wait_for([this] { return state_->go.load(); })) return 1;
          try {
            work(state_->answers);
          } catch (const std::exception&) {
            return 2;
          }
          return 0;
        })) {
    if (!testbed::wait_for([this] { return state_->ready.load(); }))
      throw std::runtime_error("the client does not begin");
  }
  // Returns when it has ended.
  void go() const {
    state_->go = true;
    EXPECT_EQ(child_.wait(), 0) << "the client failed";
    // The server's last call returns after the client has its answer.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  void begin() const { state_->go = true; }
  [[nodiscard]] const Answers& said() const { return state_->answers; }

 private:
  struct State {
    std::atomic<bool> ready = false, go = false;
    Answers answers;
  };
  testbed::Shared<State> state_;
  mutable testbed::Child child_;
};

class TlsPlain : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(agent::KernelFeature::kUprobe); }

  // Measuring from now on, as the agent begins: the first reading belongs to no window.
  [[nodiscard]] std::unique_ptr<agent::Collector> measure(const testbed::TestPod& pod) const {
    static const SystemClock clock;
    auto started = agent::start_tls_plain(pod.pod(), {clock, testbed::features()});
    if (!started) throw std::runtime_error(started.error().message);
    static_cast<void>(take(**started));
    return std::move(*started);
  }
  [[nodiscard]] static TlsSeen take(agent::Collector& collector) {
    TlsSeen seen;
    collector.take(seen.samples, seen.gaps);
    return seen;
  }

  testbed::ResidueCheck residue_;
  testbed::TestNetwork net_;
  testbed::TestPod server_{net_, "srv"}, client_{net_, "cli"};
};

}  // namespace faultline::test

// SPDX-License-Identifier: Apache-2.0
#include "tests/kills/crew.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>

#include "testbed/child.h"
#include "testbed/program.h"

namespace faultline::kills {
namespace {

using Steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct Table {
  std::atomic<int> looks{0};
  Desk desks[kMostWorkers];
};

std::string name_of(int number) { return "worker " + std::to_string(number); }

// A worker as the crew sees it.
class Worker {
 public:
  Worker(int number, Desk& desk, const std::atomic<int>& looks,
         const std::function<int(Seat&)>& work)
      : number_(number), desk_(desk) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    std::fflush(stdout);
    child_ = std::make_unique<testbed::Child>([&] {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      close(ends[0]);
      close(ends[1]);
      Seat seat(number, desk, looks);
      try {
        return work(seat);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "failed: %s\n", e.what());
        return 2;
      }
    });
    close(ends[1]);
    output_ = ends[0];
    fcntl(output_, F_SETFL, O_NONBLOCK);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { close(output_); }

  [[nodiscard]] bool lives() const { return lives_; }
  [[nodiscard]] bool is_quiet() const { return desk_.quiet; }
  [[nodiscard]] int output() const { return output_; }
  [[nodiscard]] std::string doing() const {
    return name_of(number_) + (desk_.doing[0] != '\0' ? ", " : "") + desk_.doing;
  }

  // Prints the whole lines of what it has written.
  void print() {
    char bytes[4096];
    for (ssize_t n; (n = read(output_, bytes, sizeof bytes)) > 0;)
      text_.append(bytes, static_cast<std::size_t>(n));
    if (!lives_ && !text_.empty() && !text_.ends_with('\n')) text_ += '\n';
    for (std::size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1))
      std::printf("%s: %s\n", name_of(number_).c_str(), text_.substr(0, end).c_str());
    std::fflush(stdout);
  }

  // Returns why it is lost, once: it has ended with a failure, or does not get on. Else empty.
  std::string check(std::chrono::milliseconds limit) {
    const auto now = Steady::now();
    if (const int steps = desk_.steps; steps != steps_ || desk_.quiet) {
      steps_ = steps;
      since_ = now;
    }
    std::string why;
    if (testbed::has_ended(*child_)) {
      const int status = child_->wait();
      if (status != 0) why = "ended with " + std::to_string(status);
    } else if (now - since_ > limit) {
      child_->signal(SIGKILL);
      child_->wait();
      why = "did not get on for " +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) + " s";
    } else {
      return {};
    }
    lives_ = false;
    print();
    return why;
  }

 private:
  const int number_;
  Desk& desk_;
  std::unique_ptr<testbed::Child> child_;
  int output_ = -1;
  bool lives_ = true;
  std::string text_;
  int steps_ = 0;
  Steady::time_point since_ = Steady::now();
};

using Workers = std::vector<std::unique_ptr<Worker>>;

void wait_for_output(const Workers& workers) {
  std::vector<pollfd> outputs;
  for (const auto& worker : workers)
    if (worker->lives()) outputs.push_back({worker->output(), POLLIN, 0});
  poll(outputs.data(), outputs.size(), 10);
  for (const auto& worker : workers)
    if (worker->lives()) worker->print();
}

}  // namespace

void Seat::begin(const std::string& doing) {
  const std::size_t size = doing.copy(desk_.doing, sizeof desk_.doing - 1);
  desk_.doing[size] = '\0';
  ++desk_.steps;
  std::fflush(stdout);  // what was printed before belongs to what it did before
}

void Seat::quiet() {
  const int before = looks_;
  desk_.quiet = true;
  while (looks_ == before) std::this_thread::sleep_for(5ms);
  ++desk_.steps;
}

void Seat::tell(const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  ++desk_.broken;
  std::string text = std::string(desk_.doing) + "\n";
  for (const std::string& problem : problems) text += "  " + problem + "\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void Seat::count(const std::string& what) {
  for (Desk::Tally& tally : desk_.tallies) {
    if (tally.what[0] == '\0') what.copy(tally.what, sizeof tally.what - 1);
    if (what != tally.what) continue;
    ++tally.times;
    return;
  }
  throw std::runtime_error("no room to count " + what);
}

Outcome run_crew(int workers, const std::function<int(Seat&)>& work,
                 const std::function<std::vector<std::string>()>& look,
                 std::chrono::milliseconds limit) {
  if (workers < 1 || workers > kMostWorkers)
    throw std::runtime_error("1 to " + std::to_string(kMostWorkers) + " workers are possible");
  const auto table = std::make_unique<testbed::Shared<Table>>();
  Table& shared = **table;
  Outcome out;
  Workers all;
  for (int i = 0; i < workers; ++i)
    all.push_back(std::make_unique<Worker>(i + 1, shared.desks[i], shared.looks, work));
  std::set<std::string> told;  // what is left is told of once
  const auto search = [&](const std::string& when, const std::vector<std::string>& rounds) {
    std::vector<std::string> left = look();
    std::erase_if(left, [&](const std::string& one) { return !told.insert(one).second; });
    if (left.empty()) return;
    ++out.broken;
    std::printf("%s\n", when.c_str());
    for (const std::string& round : rounds) std::printf("  %s\n", round.c_str());
    for (const std::string& one : left) std::printf("  left behind: %s\n", one.c_str());
    std::fflush(stdout);
  };
  const auto living = [](const auto& worker) { return worker->lives(); };
  std::vector<std::string> batch;  // of workers that were lost since the last search
  while (std::ranges::any_of(all, living)) {
    wait_for_output(all);
    for (const auto& worker : all) {
      if (!worker->lives()) continue;
      const std::string lost = worker->check(limit);
      if (lost.empty()) continue;
      ++out.broken;
      batch.push_back(worker->doing());
      std::printf("lost, %s: it %s\n", worker->doing().c_str(), lost.c_str());
      std::fflush(stdout);
    }
    const auto busy = [](const auto& worker) { return worker->lives() && !worker->is_quiet(); };
    if (std::ranges::none_of(all, living) || std::ranges::any_of(all, busy)) continue;
    for (const auto& worker : all)
      if (worker->lives()) batch.push_back(worker->doing());
    search("something is left after the rounds of this batch, while all are quiet:", batch);
    batch.clear();
    for (int i = 0; i < workers; ++i) shared.desks[i].quiet = false;
    ++shared.looks;
  }
  search("something is left when all workers have ended, whose last rounds were:", [&] {
    std::vector<std::string> last;
    for (const auto& worker : all) last.push_back(worker->doing());
    return last;
  }());
  for (int i = 0; i < workers; ++i) {
    out.rounds += shared.desks[i].rounds;
    out.broken += shared.desks[i].broken;
    for (const Desk::Tally& tally : shared.desks[i].tallies)
      if (tally.times > 0) out.deeds[tally.what] += tally.times;
  }
  return out;
}

std::uint64_t seed_of(std::uint64_t seed, int worker) {
  if (worker <= 1) return seed;
  // splitmix64: neighbours of a seed, and workers of neighbours, have nothing in common.
  std::uint64_t z = seed + static_cast<std::uint64_t>(worker) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return (z ^ (z >> 31)) >> 32;
}

}  // namespace faultline::kills

// SPDX-License-Identifier: Apache-2.0
#include "tests/protocols/ground.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <stdexcept>

#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/tcp.h"
#include "tests/places.h"
#include "tests/protocols/page.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;

Measuring::Measuring(const agent::Pod& pod, const Clock& clock,
                     const agent::FeatureProbe& features) {
  for (const agent::CollectorType* type : agent::collector_registry()) {
    auto started = type->start(pod, {clock, features});
    if (!started)
      throw std::runtime_error(std::string(type->name) + ": " + started.error().message);
    if (*started != nullptr) collectors_.push_back(std::move(*started));
  }
  thread_ = std::thread([this] {
    for (int tick = 1; !stop_; ++tick) {
      std::this_thread::sleep_for(milliseconds(50));
      if (tick % 20 != 0) continue;
      const std::scoped_lock lock(mutex_);
      take_window();
    }
  });
}

Measuring::~Measuring() {
  stop_ = true;
  thread_.join();
}

Seen Measuring::take() {
  const std::scoped_lock lock(mutex_);
  take_window();
  return std::exchange(seen_, {});
}

void Measuring::faults_changed() {
  const std::scoped_lock lock(mutex_);
  for (const auto& collector : collectors_)
    if (auto done = collector->faults_changed(); !done)
      throw std::runtime_error(done.error().message);
}

void Measuring::take_window() {
  for (const auto& collector : collectors_) collector->take(seen_.samples, seen_.gaps);
}

namespace {

Child start(const TestPod& pod, const std::vector<std::string>& words, const std::string& output) {
  return pod.start([&] {
    const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(fd, 1);
    ::dup2(fd, 2);
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    return 127;
  });
}

}  // namespace

void Ground::serve(const std::vector<std::string>& words, std::uint16_t port) {
  children_.push_back(start(server_, words, file("log")));
  if (port == 0) return;
  if (!wait_for([&] { return try_connect(TcpAddress(server_.ip4(), port)) == 0; }))
    throw std::runtime_error(words[0] + " does not answer on its port: " +
                             command({"tail", "-n", "20", file("log")}).output);
}

Child Ground::start_client(const std::vector<std::string>& words, const std::string& output) const {
  return start(client_, words, output);
}

std::string Ground::ask(const std::vector<std::string>& words) const {
  CommandResult result = client_.exec(words);
  if (result.status != 0) throw std::runtime_error(words[0] + " failed: " + result.output);
  return std::move(result.output);
}

std::string Ground::at_server(const std::vector<std::string>& words) const {
  CommandResult result = server_.exec(words);
  if (result.status != 0) throw std::runtime_error(words[0] + " failed: " + result.output);
  return std::move(result.output);
}

std::vector<std::string> Ground::python(const std::string& program,
                                        const std::vector<std::string>& words) {
  // Not a python3 of the PATH, which may lack Debian's modules.
  std::vector<std::string> all{"/usr/bin/python3", "-B",
                               (source_dir() / "tests/protocols/programs" / program).string()};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

Truth truth_of_json(const std::string& output) {
  const auto json = boost::json::parse(output).as_object();
  const auto numbers = [&](const char* key) {
    std::vector<double> values;
    for (const auto& value : json.at(key).as_array()) values.push_back(value.to_number<double>());
    return values;
  };
  Truth truth = Truth::of(numbers("latency_least"), numbers("latency_most"), numbers("duration"));
  truth.errors = json.at("errors").to_number<double>();
  truth.abandoned = json.at("abandoned").to_number<double>();
  truth.waits = numbers("waits");
  return truth;
}

namespace {

// What a busy machine makes packets wait on their way between the pods and back, and a program that
// waits for them: round trips that the kernel of the server's pod answers.
class Path {
 public:
  explicit Path(const Ground& ground)
      : output_(ground.file("ping")), ping_(begin(ground, output_)) {}
  // Ends the measurement. Seconds beyond the shortest round trip, which has the fault's own time.
  [[nodiscard]] std::vector<double> waits() {
    ping_.signal(SIGINT);
    ping_.wait();
    std::vector<double> seconds;
    static const std::regex kTime("time=([0-9.]+) ms");
    std::ifstream in(output_);
    std::smatch found;
    for (std::string line; std::getline(in, line);)
      if (std::regex_search(line, found, kTime)) seconds.push_back(std::stod(found[1]) / 1e3);
    if (seconds.empty()) return seconds;
    const double least = std::ranges::min(seconds);
    for (double& value : seconds) value -= least;
    return seconds;
  }

 private:
  static Child begin(const Ground& ground, const std::string& output) {
    std::filesystem::remove(output);
    return ground.start_client({"ping", "-n", "-i", "0.01", ground.server().ip4()}, output);
  }
  std::string output_;
  Child ping_;
};

}  // namespace

std::unique_ptr<Ground> Protocols::ground_;

void Protocols::SetUp() { FAULTLINE_NEEDS_TC(); }

Row Protocols::run(const Protocol& protocol) {
  static const SystemClock clock;
  if (protocol.before) protocol.before();
  Measuring of_server(ground().server().pod(), clock, features()),
      of_client(ground().client().pod(), clock, features());
  Row row;
  for (const bool with_fault : {false, true}) {
    std::unique_ptr<agent::ArmedFault> fault;
    if (with_fault) {
      api::NetworkLatency spec;
      spec.latency.value = milliseconds(50);
      fault = arm(spec, ground().server().pod());
      of_server.faults_changed();
    }
    const double before = protocol.served ? protocol.served() : 0;
    static_cast<void>(of_server.take());
    static_cast<void>(of_client.take());
    Path path(ground());
    Truth truth = protocol.ask();
    truth.allow_waits();
    truth.waits = path.waits();
    truth.allow_waits();
    std::this_thread::sleep_for(milliseconds(200));  // until the last FIN has passed the fault
    const Seen server = of_server.take(), client = of_client.take();
    if (protocol.served) {
      const double asked = truth.count + truth.abandoned;
      EXPECT_NEAR(protocol.served() - before, asked, asked / 100)
          << "client and server do not agree on the truth";
    }
    EXPECT_GT(truth.count + truth.abandoned, 0);
    if (with_fault && truth.latency_p50) {
      EXPECT_GT(truth.latency_p50->most, 0.05) << "the client did not feel the fault";
    }
    const auto add = [&](const Seen& seen, const char* side) {
      const Row judged = judge(truth, seen, side, protocol.port);
      for (std::size_t i = 0; i < row.size(); ++i) {
        Judged one = judged[i];
        if (one.word == Word::kWrong)
          one.why += std::string(" (") + side + "'s side, " + (with_fault ? "with" : "without") +
                     " the fault)";
        row[i].join(one);
      }
    };
    add(server, "server");
    add(client, "client");
  }
  return row;
}

void Protocols::check(const Protocol& protocol) {
  Row row;
  for (int attempt = 0; attempt < 3; ++attempt) {
    row = run(protocol);
    bool wrong = !Page::instance().agrees(protocol.name, row);
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (row[i].word != Word::kWrong) continue;
      wrong = true;
      std::cout << "attempt " << attempt + 1 << ", " << kFigures[i] << ": " << row[i].why
                << std::endl;
    }
    if (!wrong) break;
  }
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i].word == Word::kWrong)
      ADD_FAILURE() << protocol.name << ", " << kFigures[i] << ": " << row[i].why;
  Page::instance().found(protocol.name, row);
}

}  // namespace faultline::test

// SPDX-License-Identifier: Apache-2.0
#include "tests/protocols/ground.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <iostream>
#include <stdexcept>

#include "testbed/arm.h"
#include "testbed/bulk_tcp.h"
#include "testbed/needs.h"
#include "testbed/tcp.h"
#include "tests/places.h"
#include "tests/protocols/page.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;

Measuring::Measuring(const agent::Pod& pod, const agent::CollectContext& context) {
  for (const agent::CollectorType* type : agent::collector_registry()) {
    auto started = type->start(pod, context);
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
  return truth;
}

std::unique_ptr<Ground> Protocols::ground_;

void Protocols::SetUp() { FAULTLINE_NEEDS_TC(); }

Row Protocols::run(const Protocol& protocol) {
  static const SystemClock clock;
  if (protocol.before) protocol.before();
  const bool by_calls = family_ == Family::kTlsCalls;
  const agent::CollectContext context{
      .clock = clock,
      .features = features(),
      .tls = by_calls ? agent::TlsProbes::kAllowed : agent::TlsProbes::kNotAskedFor};
  Measuring of_server(ground().server().pod(), context),
      of_client(ground().client().pod(), context);
  // What a program's library did before its first window is a gap, so that these have had one.
  if (by_calls) {
    static_cast<void>(protocol.ask());
    std::this_thread::sleep_for(milliseconds(1100));
  }
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
    const Truth truth = protocol.ask();
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
      Truth expected = truth;
      // The way to the client is no part of how long the server's program took, which has no
      // stopwatch of its own.
      if (by_calls && &seen == &server)
        expected.latency_p50 = expected.latency_p99 = expected.duration_p50 =
            expected.duration_p99 = std::nullopt;
      const Row judged = judge(expected, seen, side, protocol.port, family_);
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
  const auto overtaken = [] { return tcp_counter(ground().client(), "TCPOFOQueue"); };
  bool missed_for_segments = false;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const long before = overtaken();
    row = run(protocol);
    missed_for_segments =
        overtaken() > before && Page::instance().misses_for_segments(protocol.name, row);
    bool wrong = missed_for_segments || !Page::instance().agrees(protocol.name, row);
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
  if (missed_for_segments) {
    Page::instance().not_found_now(protocol.name);
    GTEST_SKIP() << "segments overtook each other on the way in each of four runs, so that "
                 << protocol.name << " is a gap here";
  }
  Page::instance().found(protocol.name, row);
}

}  // namespace faultline::test

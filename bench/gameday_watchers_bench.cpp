// SPDX-License-Identifier: Apache-2.0
// A game day that many people watch while one of them writes: how long a note takes to reach each
// watch, what the controller's memory grows to, and how long the report of that day takes. The
// controller is the real program with its real store; the watches are long polls on plain HTTP on
// loopback, both sides on this machine's processors. A person may say ten things a second, so that
// 10 000 notes take a quarter of an hour. Prints one JSON line; the ratios are those of many
// watches to one in the same run.
//
// usage: gameday_watchers_bench PROGRAMS [watches [entries]]   PROGRAMS: the folder of
// faultline-controller; 100 watches, 10 000 entries
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <memory>

#include "http/client.h"
#include "testbed/program.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

namespace {

constexpr const char* kDay = R"(apiVersion: faultline.dev/v1alpha1
kind: GameDay
metadata: {name: watched}
spec:
  title: Many watch
  hypothesis: Everybody sees everything
  owner: bench
  steps:
  - {name: talk, waitFor: {person: Everything is said}}
)";

double since(steady_clock::time_point begin) {
  return std::chrono::duration<double>(steady_clock::now() - begin).count();
}

class House {
 public:
  explicit House(const std::string& programs) {
    controller_.emplace(launch({programs + "/faultline-controller", "--state-dir",
                                folder_.path() + "/state", "--listen", "127.0.0.1:0", "--port-file",
                                folder_.path() + "/port", "--log-level", "warn"}));
    std::string port;
    if (!wait_until([&] { return !(port = first_line("/port")).empty(); }, seconds(10)))
      throw std::runtime_error("the controller does not start");
    person_.base_url = "http://127.0.0.1:" + port;
    person_.bearer_token = first_line("/state/person.token");
    day_ = boost::json::parse(ask("POST", "/api/v1/gamedays", kDay)).at("day").as_string().c_str();
    if (!wait_until([&] { return view().at("state") == "waiting"; }, seconds(20)))
      throw std::runtime_error("the game day does not wait for its start");
    say("started", "");
    first_ = view().at("entries").as_array().size();
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  // Writes so many notes, one after the other, while so many watch.
  void talk(int watches, int entries) {
    sent_.assign(static_cast<std::size_t>(entries), {});
    const auto begin = steady_clock::now();
    for (int i = 0; i < watches; ++i) asio::co_spawn(loop_, watch(entries), asio::detached);
    asio::co_spawn(loop_, write(entries), asio::detached);
    loop_.run();
    took_ = since(begin);
    if (!failed_.empty()) throw std::runtime_error(failed_);
  }
  [[nodiscard]] boost::json::object figures() const {
    boost::json::object out;
    out["seconds"] = took_;
    out["seen_ms"] = {{"p50", 1e3 * quantile(seen_, 0.5)},
                      {"p99", 1e3 * quantile(seen_, 0.99)},
                      {"max", 1e3 * quantile(seen_, 1)}};
    for (const char* format : {"json", "md", "html", "incident"}) {
      const auto begin = steady_clock::now();
      ask("GET", "/api/v1/gamedays/" + day_ + "/report?format=" + format, "");
      out[std::string("report_") + format + "_s"] = since(begin);
    }
    std::ifstream in("/proc/" + std::to_string(controller_->pid()) + "/status");
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("VmHWM:")) out["memory_most_MiB"] = std::stod(line.substr(6)) / 1024;
    return out;
  }

 private:
  std::string ask(const std::string& method, const std::string& target,
                  const std::string& body) const {
    const auto said = http::request_blocking(person_, method, target, body, seconds(60));
    if (!said || said->status >= 300)
      throw std::runtime_error(method + " " + target + ": " +
                               (said ? said->body : said.error().message));
    return said->body;
  }
  [[nodiscard]] boost::json::object view() const {
    return boost::json::parse(ask("GET", "/api/v1/gamedays/" + day_ + "?after=0&wait=0", ""))
        .as_object();
  }
  static std::string word(const std::string& kind, const std::string& text) {
    static int number = 0;
    constexpr int kOfOne = 500;  // one person may only say so much on a day
    ++number;
    return boost::json::serialize(
        boost::json::object{{"kind", kind},
                            {"key", "bench-" + std::to_string(1'000'000 + number)},
                            {"as", "writer-" + std::to_string(number / kOfOne)},
                            {"text", text}});
  }
  void say(const std::string& kind, const std::string& text) const {
    ask("POST", "/api/v1/gamedays/" + day_ + "/entries", word(kind, text));
  }

  asio::awaitable<void> write(int entries) {
    http::Client client(loop_.get_executor(), person_);
    asio::steady_timer timer(loop_);
    for (int i = 0; i < entries && failed_.empty();) {
      std::string target = "/api/v1/gamedays/" + day_ + "/entries";
      std::string body = word("note", std::to_string(i) + " is what somebody noticed just now");
      sent_[static_cast<std::size_t>(i)] = steady_clock::now();
      const auto said =
          co_await client.request("POST", std::move(target), std::move(body), seconds(30));
      const int status = said ? said->status : 0;
      if (status == 201) {
        ++i;
      } else if (status == 429) {
        timer.expires_after(milliseconds(20));
        co_await timer.async_wait(asio::use_awaitable);
      } else {
        failed_ = "a note was not taken: " + (said ? said->body : said.error().message);
      }
    }
  }
  // Until it has seen all notes.
  asio::awaitable<void> watch(int entries) {
    http::Client client(loop_.get_executor(), person_);
    std::uint64_t after = first_;
    int seen = 0;
    while (seen < entries && failed_.empty()) {
      std::string target =
          "/api/v1/gamedays/" + day_ + "?after=" + std::to_string(after) + "&wait=10";
      const auto said = co_await client.request("GET", std::move(target), "", seconds(30));
      if (!said || said->status != 200) {
        failed_ = "a watch ended: " + (said ? said->body : said.error().message);
        co_return;
      }
      const auto now = steady_clock::now();
      const boost::json::value answer = boost::json::parse(said->body);
      for (const boost::json::value& entry : answer.at("entries").as_array()) {
        after = std::max(after, entry.at("number").to_number<std::uint64_t>());
        if (entry.at("kind").as_string() != "note") continue;
        const auto i = static_cast<std::size_t>(std::stoi(entry.at("text").as_string().c_str()));
        seen_.push_back(std::chrono::duration<double>(now - sent_.at(i)).count());
        ++seen;
      }
    }
  }
  [[nodiscard]] std::string first_line(const std::string& name) const {
    std::ifstream in(folder_.path() + name);
    std::string line;
    std::getline(in, line);
    return line;
  }

  TestFolder folder_;
  std::optional<Child> controller_;
  http::ClientOptions person_;
  std::string day_, failed_;
  asio::io_context loop_{1};
  std::uint64_t first_ = 0;  // entries before the first note
  std::vector<steady_clock::time_point> sent_;
  std::vector<double> seen_;  // seconds from sending a note until a watch had it
  double took_ = 0;
};

boost::json::object measure(const std::string& programs, int watches, int entries) {
  House house(programs);
  house.talk(watches, entries);
  boost::json::object out = house.figures();
  out["watches"] = watches;
  out["entries"] = entries;
  return out;
}

int run(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: gameday_watchers_bench PROGRAMS [watches [entries]]\n";
    return 3;
  }
  const int watches = argc > 2 ? std::stoi(argv[2]) : 100;
  const int entries = argc > 3 ? std::stoi(argv[3]) : 10'000;
  const boost::json::object one = measure(argv[1], 1, entries);
  const boost::json::object many = measure(argv[1], watches, entries);
  const auto ratio = [&](const char* key) {
    return many.at(key).as_double() / one.at(key).as_double();
  };
  std::cout << boost::json::object{{"bench", "gameday_watchers"},
                                   {"one", one},
                                   {"many", many},
                                   {"memory_ratio", ratio("memory_most_MiB")},
                                   {"seen_ratio", many.at("seen_ms").at("p50").as_double() /
                                                      one.at("seen_ms").at("p50").as_double()},
                                   {"report_html_ratio", ratio("report_html_s")}}
            << "\n";
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    return faultline::test::run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "gameday_watchers_bench: " << e.what() << "\n";
    return 1;
  }
}

// SPDX-License-Identifier: Apache-2.0
// faultline-controller: options, wiring, end. Exit codes: 0 ended as told, 3 bad options, 5 could
// not run.
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/signal_set.hpp>
#include <charconv>
#include <cstdio>
#include <cxxopts.hpp>
#include <optional>

#include "api/values.h"
#include "base/log.h"
#include "controller/routes/service.h"
#include "controller/store/state_dir.h"
#include "http/token.h"

namespace faultline::controller {
namespace {

constexpr int kOk = 0, kBadInput = 3, kCouldNotRun = 5;
constexpr std::chrono::seconds kEndRuns{5};
constexpr std::chrono::milliseconds kEndRequests{300};
constexpr std::size_t kLargestRequest = 32 << 20;  // a sync after a long time without controller
constexpr std::int64_t kPage = 4096;               // bytes, of SQLite

struct Options {
  std::string address;
  std::uint16_t port = 0;
  std::string state_dir;
  std::string port_file;
  std::string log_level;
  Retention retention;
  std::int64_t max_store_pages = 0;
};

Result<> parse_listen(const std::string& text, Options& options) {
  const auto bad = [&] {
    return fail(
        Errc::kInvalid,
        "--listen must be ADDRESS:PORT like 127.0.0.1:7878 or [::1]:7878, got \"" + text + "\"");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return bad();
  std::string address = text.substr(0, colon);
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);
  if (address == "localhost") address = "127.0.0.1";
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(address, error);
  if (error || parsed.is_v6() != bracketed) return bad();
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data() + colon + 1, end, options.port);
  if (failed != std::errc{} || stop != end) return bad();
  options.address = address;
  return {};
}

cxxopts::Options description() {
  cxxopts::Options described("faultline-controller",
                             "Takes experiments, drives agents, keeps results, serves reports.");
  auto add = described.add_options();
  add("listen", "address and port; port 0: any free one",
      cxxopts::value<std::string>()->default_value("127.0.0.1:7878"), "ADDRESS:PORT");
  add("state-dir", "folder of store.db, agent.token and person.token",
      cxxopts::value<std::string>(), "DIR");
  add("port-file", "written when listening: the port", cxxopts::value<std::string>(), "FILE");
  add("log-level", "trace, debug, info, warn, error or off",
      cxxopts::value<std::string>()->default_value("info"), "LEVEL");
  add("keep-runs", "how many runs are kept", cxxopts::value<std::int64_t>()->default_value("1000"),
      "N");
  add("keep-days", "how long runs are kept", cxxopts::value<std::int64_t>()->default_value("30"),
      "DAYS");
  add("max-store", "largest size of store.db, e.g. 2Gi; without it the disk is the bound",
      cxxopts::value<std::string>(), "SIZE");
  add("help", "this text");
  add("version", "the version");
  return described;
}

Result<std::optional<Options>> parse(int argc, char** argv) {
  cxxopts::Options described = description();
  try {
    const cxxopts::ParseResult given = described.parse(argc, argv);
    if (given.count("help") != 0 || given.count("version") != 0) {
      std::fputs((given.count("help") != 0 ? described.help() : FAULTLINE_VERSION "\n").c_str(),
                 stdout);
      return std::optional<Options>();
    }
    if (!given.unmatched().empty())
      return fail(Errc::kInvalid, "no such argument: " + given.unmatched().front());
    if (given.count("state-dir") == 0) return fail(Errc::kInvalid, "--state-dir DIR is missing");
    Options options{.state_dir = given["state-dir"].as<std::string>(),
                    .log_level = given["log-level"].as<std::string>()};
    if (given.count("port-file") != 0) options.port_file = given["port-file"].as<std::string>();
    const auto runs = given["keep-runs"].as<std::int64_t>();
    const auto days = given["keep-days"].as<std::int64_t>();
    if (runs < 1 || days < 1 || days > 36'500)
      return fail(Errc::kInvalid,
                  "--keep-runs must be at least 1, --keep-days between 1 and 36500");
    options.retention = {runs, std::chrono::hours(24 * days)};
    if (given.count("max-store") != 0) {
      const auto size = api::ByteSize::parse(given["max-store"].as<std::string>());
      if (!size) return fail(size.error().with_context("--max-store"));
      options.max_store_pages = static_cast<std::int64_t>(size->bytes) / kPage;
      if (options.max_store_pages < 64)
        return fail(Errc::kInvalid, "--max-store must be at least 256Ki");
    }
    if (auto listen = parse_listen(given["listen"].as<std::string>(), options); !listen)
      return fail(std::move(listen.error()));
    return std::optional(std::move(options));
  } catch (const cxxopts::exceptions::exception& e) {
    return fail(Errc::kInvalid, std::string(e.what()) + " (see --help)");
  }
}

http::Authenticator authenticator(std::string agent, std::string person) {
  return [agent = std::move(agent), person = std::move(person)](
             const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
    const std::string token = http::bearer(request);
    http::Identity who;
    if (token.empty()) co_return who;
    if (http::same_token(token, agent)) who.role = "agent";
    if (http::same_token(token, person)) who.role = "person";
    co_return who;
  };
}

// Afterwards nothing is left to do for the event loop, and it returns.
boost::asio::awaitable<void> end(Service& service, http::Server& server,
                                 boost::asio::signal_set& signals) {
  co_await service.end_runs(kEndRuns);
  co_await server.stop(kEndRequests);
  service.close();
  signals.cancel();
}

Result<> run(const Options& options) {
  Result<StateDir> state = StateDir::open(options.state_dir);
  if (!state) return fail(std::move(state.error()));
  auto agent = http::load_or_create_token(state->file("agent.token"));
  if (!agent) return fail(std::move(agent.error()));
  auto person = http::load_or_create_token(state->file("person.token"));
  if (!person) return fail(std::move(person.error()));

  const SystemClock clock;
  boost::asio::io_context loop{1};
  auto service = Service::open(loop.get_executor(), clock,
                               {.store_path = state->file("store.db"),
                                .max_store_pages = options.max_store_pages,
                                .retention = options.retention});
  if (!service) return fail(std::move(service.error()));
  http::Server server(
      loop.get_executor(),
      {.address = options.address, .port = options.port, .max_body = kLargestRequest});
  server.authenticator(authenticator(std::move(*agent), std::move(*person)));
  (*service)->add_routes(server);

  // Before the port is told: who reads it may send a signal at once.
  boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    spdlog::info("ending: signal {}", number);
    // Before end(), which without anything to wait for has run through, its cancel() too, when
    // co_spawn() returns.
    signals.async_wait([](const boost::system::error_code& again, int) {
      if (!again) _exit(kCouldNotRun);  // twice: now; the leases end what is left
    });
    boost::asio::co_spawn(loop, end(**service, server, signals),
                          [](const std::exception_ptr& failed) {
                            if (failed) std::rethrow_exception(failed);
                          });
  });
  if (auto started = server.start(); !started) {
    (*service)->close();
    return fail(std::move(started.error()));
  }
  (*service)->start();
  spdlog::info("listening on {}:{}, state in {}", options.address, server.port(),
               options.state_dir);
  if (!boost::asio::ip::make_address(options.address).is_loopback())
    spdlog::warn(
        "{} is not a loopback address: this is plain HTTP, so tokens and measurements can be read "
        "on the way; put a TLS proxy or a private network in between",
        options.address);
  if (!options.port_file.empty())
    if (auto told = write_whole(options.port_file, std::to_string(server.port()) + "\n"); !told) {
      (*service)->close();
      return fail(std::move(told.error()));
    }
  loop.run();
  spdlog::info("ended");
  return {};
}

int program(int argc, char** argv) {
  const auto complain = [](const Error& error) {
    std::fprintf(stderr, "faultline-controller: %s\n", error.message.c_str());
    return error.code == Errc::kInvalid ? kBadInput : kCouldNotRun;
  };
  auto options = parse(argc, argv);
  if (!options) return complain(options.error());
  if (!*options) return kOk;
  if (auto logging = init_logging("controller", (*options)->log_level); !logging)
    return complain(logging.error());
  try {
    if (auto ran = run(**options); !ran) return complain(ran.error());
  } catch (const std::exception& e) {
    return complain({Errc::kInternal, e.what(), 0});
  }
  return kOk;
}

}  // namespace
}  // namespace faultline::controller

int main(int argc, char** argv) { return faultline::controller::program(argc, argv); }

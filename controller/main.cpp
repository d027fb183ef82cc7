// SPDX-License-Identifier: Apache-2.0
// faultline-controller: options, wiring, end. Exit codes: 0 ended as told, 3 bad options, 5 could
// not run.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <optional>
#include <random>
#include <set>

#include "base/log.h"
#include "base/printable.h"
#include "controller/audit.h"
#include "controller/authenticators.h"
#include "controller/kubernetes/cluster_side.h"
#include "controller/kubernetes/day_control.h"
#include "controller/kubernetes/day_log_store.h"
#include "controller/kubernetes/run_log_store.h"
#include "controller/options.h"
#include "controller/routes/service.h"
#include "controller/settings.h"
#include "controller/store/state_dir.h"
#include "http/address_key.h"
#include "http/token.h"

namespace faultline::controller {
namespace {

constexpr int kOk = 0, kBadInput = 3, kCouldNotRun = 5;
constexpr std::chrono::seconds kEndRuns{5}, kPatience{60}, kHandOver{2};
constexpr std::chrono::milliseconds kEndRequests{300};

std::string random_word() {
  std::random_device device;
  char word[17];
  std::snprintf(word, sizeof word, "%08x%08x", device(), device());
  return word;
}

// What the controller is made of, and the order in which it begins and ends.
class Controller {
 public:
  Controller(boost::asio::io_context& loop, const Options& options)
      : loop_(loop),
        options_(options),
        signals_(loop, SIGTERM, SIGINT),
        hang_up_(loop),
        settings_(loop, options, [this](AuditEntry entry) { audit(std::move(entry)); }) {}

  Result<> open() {
    auto state = StateDir::open(options_.state_dir);
    if (!state) return fail(std::move(state.error()));
    state_.emplace(std::move(*state));
    if (!options_.audit_log.empty()) {
      auto audit = AuditLog::open(options_.audit_log, clock_, options_.identity);
      if (!audit) return fail(std::move(audit.error()));
      audit_ = std::move(*audit);
    }
    if (auto read = settings_.read_tokens(state_->file("notifications.token")); !read) return read;
    auto service =
        Service::open(loop_.get_executor(), clock_,
                      {.store_path = state_->file("store.db"),
                       .max_store_pages = options_.max_store_pages,
                       .max_run_bytes = options_.max_run_bytes,
                       .retention = options_.retention,
                       .times = {.lease = options_.lease, .answer = options_.node_answer},
                       .journaled = options_.journaled,
                       .audit = audit_.get(),
                       .notifications_token_file = settings_.notifications_token_file()});
    if (!service) return fail(std::move(service.error()));
    service_ = std::move(*service);
    if (auto read = settings_.open(*service_); !read) return read;
    http::ServerOptions server{.address = options_.address, .port = options_.port};
    server.max_connections = options_.max_connections;
    if (!options_.tls_certificate.empty())
      server.tls = http::ServerTls{options_.tls_certificate, options_.tls_key, {}};
    if (!options_.kubernetes) return with_tokens(std::move(server));
    return in_cluster(std::move(server));
  }

  // Before the port is told: who reads it may send a signal at once.
  void obey_signals() {
    signals_.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      spdlog::info("ending: signal {}", number);
      audit({.via = "signal", .verb = "end", .reason = "signal " + std::to_string(number)});
      // Before end(), which without anything to wait for has run through, its cancel() too, when
      // co_spawn() returns.
      signals_.async_wait([](const boost::system::error_code& again, int) {
        if (!again) _exit(kCouldNotRun);  // twice: now; the leases end what is left
      });
      spawn(end());
    });
  }

  // Who moved the audit log away wants another one. Without such a file there is nothing to do; the
  // signal would end the process if nobody took it.
  void obey_hang_up() {
    boost::system::error_code known;
    hang_up_.add(SIGHUP, known);
    hang_up_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      const bool file = audit_ && options_.audit_log != "-";
      if (auto opened = file ? audit_->reopen() : Result<>{}; !opened)
        spdlog::error("{}", opened.error().message);
      obey_hang_up();
    });
  }

  void begin() { spawn(start()); }
  [[nodiscard]] const Result<>& outcome() const { return outcome_; }
  void close() {
    if (service_) service_->close();
  }

 private:
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  void spawn(awaitable<void> work) {
    boost::asio::co_spawn(loop_, std::move(work), [](const std::exception_ptr& failed) {
      if (failed) std::rethrow_exception(failed);
    });
  }

  void audit(AuditEntry entry) {
    if (audit_) (void)audit_->write(std::move(entry));
  }

  // A question says of whom it is, which only a certificate proves to be the API server's word.
  void audit_webhook(AuditEntry entry) {
    const std::string caller = options_.webhook_client_name.empty()
                                   ? "from " + http::address_key(entry.from)
                                   : audit_caller(entry);
    if (webhook_lines_.take(entry, caller, clock_.steady())) audit(std::move(entry));
  }

  Result<> with_tokens(http::ServerOptions options) {
    auto agent = http::load_or_create_token(state_->file("agent.token"));
    if (!agent) return fail(std::move(agent.error()));
    auto person = http::load_or_create_token(state_->file("person.token"));
    if (!person) return fail(std::move(person.error()));
    server_.emplace(loop_.get_executor(), std::move(options));
    server_->authenticator(
        settings_.with_webhooks(token_authenticator(std::move(*agent), std::move(*person))));
    service_->add_routes(*server_);
    return {};
  }

  Result<> in_cluster(http::ServerOptions options) {
    auto config = kube::in_cluster(kube::from_environment());
    if (!config) return fail(config.error().with_context("--kubernetes"));
    ClusterOptions cluster{.ns = options_.ns,
                           .service = options_.service,
                           .identity = options_.identity,
                           .address = options_.advertised,
                           .state_dir = options_.state_dir,
                           .tls_certificate = options_.tls_certificate,
                           .tls_key = options_.tls_key};
    cluster.admission.allowed = [this](const api::Experiment& experiment) {
      return service_->never_runs(experiment);
    };
    cluster.admission.warnings = [this](const api::Experiment& experiment) {
      return service_->obstacles(experiment);
    };
    cluster.kept_for = [this] { return api::read_ttl(settings_.rules().policy.ttlAfterFinished); };
    cluster.audit = [this](AuditEntry entry) { audit(std::move(entry)); };
    cluster.admission.decided = [this](AuditEntry entry) { audit_webhook(std::move(entry)); };
    cluster.admission.questions = {.client_name = options_.webhook_client_name,
                                   .worker = &webhook_worker_};
    settings_.rules([](Rules& rules) { rules.in_cluster = true; });
    cluster.namespaces = [this](const auto& namespaces) {
      settings_.rules([&](Rules& rules) {
        rules.namespaces = namespaces;
        rules.knows_namespaces = true;
      });
    };
    cluster.services = [this](std::vector<KnownService> services) {
      service_->services(std::move(services));
    };
    cluster_.emplace(loop_.get_executor(), std::move(*config), clock_, std::move(cluster));
    options.tls = cluster_->tls();
    server_.emplace(loop_.get_executor(), std::move(options));
    server_->authenticator(settings_.with_webhooks(cluster_->authenticator()));
    service_->authority(
        [this](http::Identity who, std::string verb, std::set<std::string> namespaces) {
          return cluster_->access().may(std::move(who), std::move(verb), std::move(namespaces));
        },
        [this] { return cluster_->leadership(); });
    service_->config_maps(
        [this](http::Identity who, std::string ns, std::string name, std::string key) {
          return cluster_->access().config_map(std::move(who), std::move(ns), std::move(name),
                                               std::move(key));
        });
    service_->secrets(
        [this](http::Identity who, std::string ns, std::string name, std::string key) {
          return cluster_->access().secret(std::move(who), std::move(ns), std::move(name),
                                           std::move(key));
        });
    if (options_.journaled) journal();
    service_->readiness([this] { return cluster_->not_ready(); });
    service_->add_routes(*server_);
    cluster_->add_routes(*server_);
    return {};
  }

  void journal() {
    const std::string writer = options_.identity + "/" + random_word();
    RunLogOptions logs{.ns = options_.ns, .writer = writer};
    logs.displaced = [this](const std::string&) { leave(ClusterSide::End::kDeposed); };
    DayLogOptions days{.ns = options_.ns, .writer = writer, .displaced = logs.displaced};
    service_->journal(std::make_unique<RunLogStore>(loop_.get_executor(), cluster_->config(),
                                                    clock_, std::move(logs)),
                      std::make_unique<DayLogStore>(loop_.get_executor(), cluster_->config(),
                                                    clock_, std::move(days)));
  }

  awaitable<void> start() {
    if (cluster_) {
      // Less than what a kubelet gives a container to start.
      const auto prepared = co_await cluster_->prepare(clock_.steady() + kPatience);
      if (!prepared) co_return give_up(prepared.error());
    }
    if (ending_) co_return;
    if (auto started = server_->start(); !started) co_return give_up(started.error());
    service_->start();
    spawn(settings_.watch());
    if (cluster_) {
      auto started = cluster_->start(*service_, service_->days(),
                                     [this](ClusterSide::End why) { leave(why); });
      if (!started) co_return give_up(started.error());
    }
    audit({.via = "start", .verb = "begin"});
    tell();
  }

  void tell() {
    spdlog::info("listening on {}:{}, state in {}", options_.address, server_->port(),
                 options_.state_dir);
    if (!server_uses_tls() && !boost::asio::ip::make_address(options_.address).is_loopback())
      spdlog::warn(
          "{} is not a loopback address: this is plain HTTP, so tokens and measurements can be "
          "read on the way; give --tls-cert and --tls-key",
          options_.address);
    if (options_.port_file.empty()) return;
    if (auto told = write_whole(options_.port_file, std::to_string(server_->port()) + "\n"); !told)
      give_up(told.error());
  }
  [[nodiscard]] bool server_uses_tls() const {
    return cluster_ || !options_.tls_certificate.empty();
  }

  void leave(ClusterSide::End why) {
    if (why == ClusterSide::End::kDeposed) {
      // Its runs are the other one's, or end with their lease.
      spdlog::error("another controller leads now: this one ends");
      outcome_ = fail(Errc::kConflict, "another controller leads");
      mine_ = false;
    } else {
      spdlog::error(
          "the API server does not answer, so nobody could stop a run: all are ended, and this "
          "controller too");
      outcome_ = fail(Errc::kUnavailable, "the lease could not be renewed");
      handed_over_ = false;
      end_reason_ = "the API server was away for too long: nobody could have stopped a run";
    }
    spawn(end());
  }

  void give_up(const Error& error) {
    outcome_ = fail(error);
    spawn(end());
  }

  // Afterwards nothing is left to do for the event loop, and it returns.
  awaitable<void> end() {
    if (std::exchange(ending_, true)) co_return;
    if (mine_ && options_.journaled && handed_over_)
      co_await service_->hand_over(kHandOver);
    else if (mine_)
      co_await service_->end_runs(kEndRuns, end_reason_);
    if (cluster_) co_await cluster_->stop();
    co_await server_->stop(kEndRequests);
    service_->close();
    settings_.end();
    signals_.cancel();
    hang_up_.cancel();
  }

  boost::asio::io_context& loop_;
  const Options& options_;
  const SystemClock clock_;
  boost::asio::signal_set signals_, hang_up_;
  Settings settings_;
  AuditBudget webhook_lines_{{.burst = 100, .per_second = 5}, {.burst = 400, .per_second = 20}};
  Worker webhook_worker_{"fl-webhook"};
  std::unique_ptr<AuditLog> audit_;  // until all that writes to it is gone
  std::optional<StateDir> state_;
  std::shared_ptr<Service> service_;
  std::optional<ClusterSide> cluster_;
  std::optional<http::Server> server_;
  Result<> outcome_;
  std::string end_reason_ = "the controller was told to end";  // of runs, when this one ends
  bool ending_ = false;
  bool mine_ = true;         // the runs: nobody else leads them
  bool handed_over_ = true;  // runs go on under another controller, where that is possible
};

Result<> run(const Options& options) {
  boost::asio::io_context loop{1};
  Controller controller(loop, options);
  auto opened = controller.open();
  if (!opened) {
    controller.close();
    return opened;
  }
  controller.obey_signals();
  controller.obey_hang_up();
  controller.begin();
  loop.run();
  spdlog::info("ended");
  return controller.outcome();
}

int program(int argc, char** argv) {
  const auto complain = [](const Error& error) {
    std::fprintf(stderr, "faultline-controller: %s\n",
                 faultline::printable_lines(error.message).c_str());
    return error.code == Errc::kInvalid ? kBadInput : kCouldNotRun;
  };
  auto options = parse_options(argc, argv);
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

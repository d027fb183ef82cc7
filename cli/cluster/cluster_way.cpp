// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/cluster_way.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>

#include "cli/cluster/blocking.h"
#include "kube/client.h"
#include "kube/json.h"

namespace faultline::cli {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kController = "faultline-controller";
constexpr const char* kAuthority = "faultline-ca";
constexpr const char* kPort = "7878";
constexpr milliseconds kListens{30'000}, kPause{1'000};
// Through kubectl, the API server and a kubelet, on machines that are busy.
constexpr milliseconds kHandshake{15'000};

Error needs(const kube::ApiError& error, const std::string& ns) {
  Error out = error;
  if (error.reason == kube::Reason::kForbidden)
    out.message += "; needs the Role faultline-user in namespace " + ns;
  if (error.reason == kube::Reason::kNotFound)
    out.message += "; is Faultline in namespace " + ns + "? (--controller-namespace NAME)";
  return out;
}

}  // namespace

std::string pod_of_holder(std::string_view holder) {
  const std::string_view pod = holder.substr(0, holder.find('_'));
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  if (pod.empty() || pod.size() > 253 || pod.front() == '-' || !std::ranges::all_of(pod, allowed))
    return {};
  return std::string(pod);
}

bool pod_is_gone(std::string_view said) {
  return said.find("(NotFound): pods \"") != said.npos ||
         said.find("pod is not running") != said.npos;
}

Result<ClusterWay::Known> ClusterWay::ask_cluster() {
  asio::io_context io(1);
  kube::ClientSettings settings;
  settings.request_timeout = std::chrono::seconds(10);
  kube::Client client(io.get_executor(), options_.config, settings);
  const std::string& ns = options_.ns;
  return wait_for(
      [&]() -> asio::awaitable<Result<Known>> {
        auto authority = kube::config_maps().in(ns).named(kAuthority);
        const auto map = co_await client.get(std::move(authority));
        if (!map) co_return fail(needs(map.error(), ns).with_context(options_.config.origin));
        Known known;
        if (const auto* data = kube::object_at(*map, "data"))
          known.ca_pem = std::string(kube::text_at(*data, "ca.crt"));
        if (known.ca_pem.empty())
          co_return fail(Errc::kUnavailable,
                         "the ConfigMap " + std::string(kAuthority) + " in namespace " + ns +
                             " has no ca.crt: the controller has not written it yet");
        auto lease = kube::leases().in(ns).named(kController);
        const auto held = co_await client.get(std::move(lease));
        if (!held && held.error().reason != kube::Reason::kForbidden &&
            held.error().reason != kube::Reason::kNotFound)
          co_return fail(held.error().with_context(options_.config.origin));
        if (const auto* spec = held ? kube::object_at(*held, "spec") : nullptr)
          known.leader = pod_of_holder(kube::text_at(*spec, "holderIdentity"));
        co_return known;
      }(),
      io);
}

std::vector<std::string> ClusterWay::command(const std::string& target) const {
  std::vector<std::string> words{options_.kubectl,
                                 "port-forward",
                                 "--namespace",
                                 options_.ns,
                                 "--address",
                                 "127.0.0.1",
                                 "--pod-running-timeout=10s"};
  for (const auto& [name, value] :
       {std::pair{"--kubeconfig", &options_.kubeconfig}, {"--context", &options_.context}})
    if (!value->empty()) {
      words.emplace_back(name);
      words.push_back(*value);
    }
  words.push_back(target);
  words.push_back(std::string(":") + kPort);  // any free port here
  return words;
}

Result<> ClusterWay::connect() {
  const auto end = Clock::now() + options_.patience;
  while (true) {
    auto known = ask_cluster();
    if (!known) return fail(known.error());
    ca_pem_ = std::move(known->ca_pem);
    const std::string leader = told_.empty() ? known->leader : told_;
    told_.clear();
    const std::string target =
        leader.empty() ? std::string("deployment/") + kController : "pod/" + leader;
    if (forward_ && forward_->running() && target == target_) return {};
    forward_.reset();
    auto forward = PortForward::start(command(target), kListens);
    if (forward) {
      forward_ = std::move(*forward);
      target_ = target;
      return {};
    }
    // The Lease outlives its holder.
    if (leader.empty() || !pod_is_gone(forward.error().message) || Clock::now() > end)
      return fail(forward.error());
    if (poll(nullptr, 0, static_cast<int>(kPause.count())) < 0)
      return fail(Errc::kUnavailable, "interrupted while the pod that leads was awaited");
  }
}

Result<http::ClientOptions> ClusterWay::options() {
  // First: whoever has nothing to show needs no way.
  asio::io_context io(1);
  const auto secret = wait_for(options_.config.credentials->get(), io);
  if (!secret) return fail(secret.error().with_context(options_.config.origin));
  std::string token = (*secret)->token;
  if (!token.empty()) {
    auto made = token_.for_bearer(options_.config, token);
    if (!made) return fail(made.error());
    token = std::move(*made);
  }
  if (doubtful_ || !forward_ || !forward_->running())
    if (auto connected = connect(); !connected) return fail(connected.error());
  doubtful_ = false;
  http::ClientOptions made;
  made.base_url = "https://127.0.0.1:" + std::to_string(forward_->port());
  made.connect_timeout = kHandshake;
  made.bearer_token = std::move(token);
  made.tls = http::ClientTls{.ca_pem = ca_pem_,
                             .server_name = std::string(kController) + "." + options_.ns + ".svc"};
  // Who has a token is known by it. A certificate beside it may be for a proxy before the API
  // server, and the controller refuses those it does not know.
  if (made.bearer_token.empty()) {
    made.tls->certificate_pem = (*secret)->certificate_pem;
    made.tls->key_pem = (*secret)->key_pem;
  }
  return made;
}

bool ClusterWay::broken() {
  forward_.reset();
  return true;
}

bool ClusterWay::elsewhere(const std::string& leader) {
  told_ = pod_of_holder(leader);
  doubtful_ = true;
  return true;
}

Result<std::shared_ptr<ClusterWay>> cluster_way(const Invocation& call, const Console& console) {
  kube::Kubeconfig from;
  if (const auto file = call.get("kubeconfig"))
    from.files = {*file};
  else
    from.files = kube::kubeconfig_files(console.env("KUBECONFIG").value_or(""),
                                        console.env("HOME").value_or(""));
  from.context = call.get("context").value_or("");
  auto config = kube::load_kubeconfig(from);
  if (!config) return fail(config.error());
  auto kubectl = program_in_path("kubectl", console.env("PATH").value_or(""));
  if (!kubectl)
    return fail(kubectl.error().code,
                kubectl.error().message +
                    ": it carries the way through the API server; install it, or give "
                    "--controller URL");
  ClusterWayOptions options{.config = std::move(*config),
                            .kubectl = std::move(*kubectl),
                            .kubeconfig = call.get("kubeconfig").value_or(""),
                            .context = call.get("context").value_or("")};
  options.ns = call.get("controller-namespace").value_or(options.ns);
  return std::make_shared<ClusterWay>(std::move(options));
}

}  // namespace faultline::cli

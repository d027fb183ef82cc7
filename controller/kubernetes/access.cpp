// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/access.h"

#include <openssl/evp.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include "api/codec.h"
#include "kube/base64.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;

// What a bound token of a ServiceAccount says of its pod.
constexpr const char* kPodName = "authentication.kubernetes.io/pod-name";
constexpr const char* kPodUid = "authentication.kubernetes.io/pod-uid";
constexpr std::chrono::minutes kRememberPod{1};
constexpr std::chrono::minutes kRememberWho{10};
constexpr std::chrono::seconds kPatience{1};
constexpr std::size_t kMostPods = 20'000;

// Tokens themselves are not kept.
std::string digest(const std::string& token) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_Digest(token.data(), token.size(), bytes.data(), &size, EVP_sha256(), nullptr);
  return {bytes.begin(), bytes.begin() + size};
}

std::string only(const kube::Identity& who, const char* key) {
  const auto found = who.extra.find(key);
  return found != who.extra.end() && found->second.size() == 1 ? found->second[0] : std::string();
}

}  // namespace

Access::Access(kube::Client& client, const Clock& clock, AccessOptions options)
    : client_(client), clock_(clock), options_(std::move(options)), reviews_(client, clock) {}

Result<http::Identity> Access::certified(const http::ClientCertificate& shown, UtcTime now) {
  if (shown.common_name.empty()) return http::Identity{};
  if (now >= shown.expires) return fail(Errc::kInvalid, "your client certificate has expired");
  http::Identity who;
  who.role = "person";
  who.user = shown.common_name;
  who.groups = shown.organizations;
  // The API server gives it to everybody whom it knows, and roles are bound to it.
  who.groups.emplace_back("system:authenticated");
  return who;
}

awaitable<Result<http::Identity>> Access::identify(std::string token) {
  if (token.empty()) co_return http::Identity{};
  const std::string key = digest(token);
  auto& under_way = asking_[key];
  const bool first = !under_way;
  const auto executor = co_await boost::asio::this_coro::executor;
  if (first) under_way = std::make_shared<Asking>(executor);
  const std::shared_ptr<Asking> asking = under_way;
  if (first)
    boost::asio::co_spawn(executor, ask_for_all(asking, key, std::move(token)),
                          [](const std::exception_ptr& error) {
                            if (error) std::rethrow_exception(error);
                          });
  const SteadyTime patient = clock_.steady() + kPatience;
  while (!asking->answer) {
    const SteadyTime now = clock_.steady();
    if (now >= patient)
      if (const http::Identity* who = known(key)) co_return *who;
    co_await asking->answered.wait(now < patient ? patient : now + kPatience);
  }
  if (!*asking->answer && asking->answer->error().code == Errc::kUnavailable)
    if (const http::Identity* who = known(key)) co_return *who;
  co_return *asking->answer;
}

awaitable<void> Access::ask_for_all(std::shared_ptr<Asking> asking, std::string key,
                                    std::string token) {
  auto asked = co_await ask(std::move(token));
  if (asked || asked.error().code != Errc::kUnavailable) known_.erase(key);
  if (asked && !asked->role.empty()) {
    if (known_.size() >= kMostPods) known_.clear();
    known_[key] = {*asked, clock_.steady()};
  }
  asking_.erase(key);
  asking->answer = std::move(asked);
  asking->answered.notify();
}

const http::Identity* Access::known(const std::string& key) const {
  const auto found = known_.find(key);
  if (found == known_.end() || clock_.steady() - found->second.at >= kRememberWho) return nullptr;
  return &found->second.who;
}

awaitable<Result<http::Identity>> Access::ask(std::string token) {
  std::vector<std::string> audiences{options_.audience};
  const auto who = co_await reviews_.authenticate(std::move(token), std::move(audiences));
  if (!who) co_return fail(Errc::kUnavailable, "cannot ask who you are: " + who.error().message);
  if (!who->authenticated)
    co_return fail(Errc::kInvalid,
                   "the token is not valid for the audience " + options_.audience +
                       ", and no other is taken: kubectl faultline asks for one itself; by hand "
                       "`kubectl create token SERVICEACCOUNT --audience " +
                       options_.audience + "`");
  http::Identity identity;
  identity.user = who->user;
  identity.uid = who->uid;
  identity.groups = who->groups;
  identity.extra = who->extra;
  if (who->user != "system:serviceaccount:" + options_.ns + ":" + options_.agent_account) {
    identity.role = "person";
    co_return identity;
  }
  std::string pod = only(*who, kPodName), uid = only(*who, kPodUid);
  if (pod.empty() || uid.empty()) co_return http::Identity{};
  auto node = co_await node_of(std::move(pod), std::move(uid));
  if (!node && node.error().code != Errc::kNotFound) co_return fail(node.error());
  if (!node || node->empty()) co_return http::Identity{};
  identity.role = "agent";
  identity.node = std::move(*node);
  co_return identity;
}

// A pod never moves to another node, so that what is remembered stays true as long as the pod is
// there; the token ends with the pod.
awaitable<Result<std::string>> Access::node_of(std::string pod, std::string uid) {
  if (const auto known = agents_.find(pod);
      known != agents_.end() && known->second.uid == uid && clock_.steady() < known->second.until)
    co_return known->second.node;
  auto ref = kube::pods().in(options_.ns).named(pod);
  const auto object = co_await client_.get(std::move(ref));
  if (!object && object.error().reason == kube::Reason::kNotFound)
    co_return fail(Errc::kNotFound, "the agent's pod " + pod + " is gone");
  if (!object)
    co_return fail(Errc::kUnavailable, "cannot look up an agent's pod: " + object.error().message);
  if (kube::meta(*object, "uid") != uid)
    co_return fail(Errc::kNotFound, "the agent's pod " + pod + " was replaced");
  const auto* spec = kube::object_at(*object, "spec");
  std::string node(spec == nullptr ? std::string_view() : kube::text_at(*spec, "nodeName"));
  if (agents_.size() >= kMostPods) agents_.clear();
  agents_[pod] = {uid, node, clock_.steady() + kRememberPod};
  co_return node;
}

awaitable<Result<>> Access::may(http::Identity who, std::string verb,
                                std::set<std::string> namespaces) {
  if (namespaces.size() > kMostNamespaces)
    co_return fail(Errc::kInvalid, "it is about " + std::to_string(namespaces.size()) +
                                       " namespaces; rights are asked for in at most " +
                                       std::to_string(kMostNamespaces));
  std::string denied;
  for (const std::string& space : namespaces) {
    kube::AccessQuestion question;
    question.user = who.user;
    question.uid = who.uid;
    question.groups = who.groups;
    question.extra = who.extra;
    question.verb = verb;
    question.group = experiments().group;
    question.resource = experiments().plural;
    question.ns = space;
    const auto answer = co_await reviews_.authorize(std::move(question));
    if (!answer)
      co_return fail(Errc::kUnavailable, "cannot ask what you may do: " + answer.error().message);
    if (answer->allowed) continue;
    denied += (denied.empty() ? "" : ", ") + (space.empty() ? "all namespaces" : space);
  }
  if (denied.empty()) co_return Result<>{};
  co_return fail(Errc::kDenied, who.user + " may not " + verb + " experiments.faultline.dev in " +
                                    denied + ": needs a Role with this verb there");
}

awaitable<Result<>> Access::may_run(http::Identity who, Scope scope) {
  auto hit = co_await may(who, "create", std::move(scope.hit));
  if (!hit) co_return hit;
  auto seen = co_await may(who, "get", std::move(scope.seen));
  if (!seen || !scope.queries) co_return seen;
  std::set<std::string> everywhere{""};
  auto queries = co_await may(std::move(who), kQueryVerb, std::move(everywhere));
  if (!queries && queries.error().code == Errc::kDenied)
    co_return fail(queries.error().with_context(kQueryWhy));
  co_return queries;
}

const Access::Holder Access::kConfigMap{
    "ConfigMap", "configmaps", "bind the ClusterRole faultline-runbooks to it in the namespace ",
    false};
const Access::Holder Access::kSecret{
    "Secret", "secrets", "bind a Role to it that may get this Secret in the namespace ", true};

awaitable<Result<>> Access::may_get(http::Identity who, const Holder& holder, std::string ns,
                                    std::string name) {
  kube::AccessQuestion question;
  question.user = who.user;
  question.uid = who.uid;
  question.groups = who.groups;
  question.extra = who.extra;
  question.verb = "get";
  question.resource = holder.plural;
  question.ns = ns;
  question.name = name;
  const auto answer = co_await reviews_.authorize(std::move(question));
  if (!answer)
    co_return fail(Errc::kUnavailable, "cannot ask what you may do: " + answer.error().message);
  if (answer->allowed) co_return Result<>{};
  co_return fail(Errc::kDenied, who.user + " may not get the " + holder.kind + " " + ns + "/" +
                                    name + ": needs a Role for that");
}

awaitable<Result<std::string>> Access::text_of(http::Identity who, const Holder& holder,
                                               std::string ns, std::string name, std::string key) {
  const std::string what = std::string("the ") + holder.kind + " " + ns + "/" + name;
  auto allowed = co_await may_get(std::move(who), holder, ns, name);
  if (!allowed) co_return fail(allowed.error());
  auto ref = kube::ResourceRef{.version = "v1", .plural = holder.plural}.in(ns).named(name);
  const auto object = co_await client_.get(std::move(ref));
  if (!object && object.error().reason == kube::Reason::kForbidden)
    co_return fail(Errc::kDenied, "the controller may not read " + what + ": " + holder.how + ns +
                                      " (docs/gameday.md)");
  if (!object && object.error().reason == kube::Reason::kNotFound)
    co_return fail(Errc::kNotFound, "there is no " + what.substr(4));
  if (!object)
    co_return fail(Errc::kUnavailable, "cannot read " + what + ": " + object.error().message);
  const auto* data = kube::object_at(*object, "data");
  const auto* text = data == nullptr ? nullptr : data->if_contains(key);
  if (text != nullptr && text->is_string()) {
    if (!holder.encoded) co_return std::string(text->get_string());
    if (auto decoded = kube::base64_decode(text->get_string())) co_return std::move(*decoded);
  }
  std::vector<std::string_view> keys;
  // What else is in a Secret is not for everybody who reads the error.
  if (data != nullptr && !holder.encoded)
    for (const auto& entry : *data) keys.push_back(entry.key());
  const std::string near = api::nearest_word(key, keys);
  co_return fail(Errc::kInvalid, what + " has no text \"" + key + "\"" +
                                     (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

awaitable<Result<std::string>> Access::config_map(http::Identity who, std::string ns,
                                                  std::string name, std::string key) {
  co_return co_await text_of(std::move(who), kConfigMap, std::move(ns), std::move(name),
                             std::move(key));
}

awaitable<Result<std::string>> Access::secret(http::Identity who, std::string ns, std::string name,
                                              std::string key) {
  co_return co_await text_of(std::move(who), kSecret, std::move(ns), std::move(name),
                             std::move(key));
}

awaitable<Result<>> Access::may_get_secret(http::Identity who, std::string ns, std::string name) {
  co_return co_await may_get(std::move(who), kSecret, std::move(ns), std::move(name));
}

}  // namespace faultline::controller

// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/services.h"

#include <algorithm>
#include <map>
#include <utility>

#include "api/values.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";  // of an EndpointSlice

// What nobody looks at, which is the most of these objects.
void trim(boost::json::object& object) {
  object.erase("ports");
  if (auto* metadata = object.if_contains("metadata"); metadata && metadata->is_object()) {
    metadata->get_object().erase("managedFields");
    metadata->get_object().erase("annotations");
  }
}

// As agents write addresses; "None" and the like are none.
void add(std::vector<std::string>& to, const std::vector<std::string>& texts) {
  for (const std::string& text : texts)
    if (const auto address = api::Cidr::parse(text); address && address->prefix == 128)
      to.push_back(address->format());
}

std::vector<std::string> addresses_of(const boost::json::object& service) {
  std::vector<std::string> found;
  if (const auto* spec = kube::object_at(service, "spec")) {
    add(found, kube::texts_at(*spec, "clusterIPs"));
    add(found, kube::texts_at(*spec, "externalIPs"));
  }
  const auto* status = kube::object_at(service, "status");
  const auto* balancer = status ? kube::object_at(*status, "loadBalancer") : nullptr;
  const auto* ingress = balancer ? kube::array_at(*balancer, "ingress") : nullptr;
  if (ingress != nullptr)
    for (const auto& entry : *ingress)
      if (const auto* object = entry.if_object())
        add(found, {std::string(kube::text_at(*object, "ip"))});
  return found;
}

std::string service_of(const boost::json::object& slice) {
  const auto* metadata = kube::object_at(slice, "metadata");
  const auto* labels = metadata ? kube::object_at(*metadata, "labels") : nullptr;
  return labels ? std::string(kube::text_at(*labels, kServiceLabel)) : "";
}

}  // namespace

std::vector<KnownService> known_services(const kube::ObjectCache::Objects& services,
                                         const kube::ObjectCache::Objects& slices) {
  std::map<kube::ObjectKey, KnownService> known;
  for (const auto& [key, object] : services) {
    KnownService service{.id = key.ns + "/" + key.name, .addresses = addresses_of(object)};
    if (!service.addresses.empty()) known.emplace(key, std::move(service));
  }
  for (const auto& [key, slice] : slices) {
    const auto service = known.find({key.ns, service_of(slice)});
    const auto* endpoints = kube::array_at(slice, "endpoints");
    if (service == known.end() || endpoints == nullptr) continue;
    for (const auto& endpoint : *endpoints)
      if (const auto* object = endpoint.if_object())
        add(service->second.endpoints, kube::texts_at(*object, "addresses"));
  }
  std::vector<KnownService> all;
  for (auto& [key, service] : known) all.push_back(std::move(service));
  return all;
}

Services::Services(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
                   Changed changed)
    : services_(executor, client, clock,
                {.collection = {.group = "", .version = "v1", .plural = "services"}, .trim = trim},
                {.added = [this](const auto&) { soon(); },
                 .modified = [this](const auto&, const auto&) { soon(); },
                 .deleted = [this](const auto&) { soon(); },
                 .synced = [this] { soon(); }}),
      slices_(
          executor, client, clock,
          {.collection = {.group = "discovery.k8s.io", .version = "v1", .plural = "endpointslices"},
           .trim = trim},
          {.added = [this](const auto&) { soon(); },
           .modified = [this](const auto&, const auto&) { soon(); },
           .deleted = [this](const auto&) { soon(); },
           .synced = [this] { soon(); }}),
      timer_(executor),
      changed_(std::move(changed)) {}

Services::~Services() { stop(); }

void Services::start() {
  services_.start();
  slices_.start();
}

void Services::stop() {
  services_.stop();
  slices_.stop();
  timer_.cancel();
  changed_ = nullptr;
}

// Endpoints of a rollout change one by one: they are told together.
void Services::soon() {
  if (std::exchange(waiting_, true)) return;
  timer_.expires_after(kPause);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;  // stopped, or gone
    waiting_ = false;
    tell();
  });
}

void Services::tell() {
  if (!changed_ || !services_.state().synced || !slices_.state().synced) return;
  changed_(known_services(services_.objects(), slices_.objects()));
}

}  // namespace faultline::controller

// SPDX-License-Identifier: Apache-2.0
// What the controller knows of the cluster's Services. The API server is a fake one.
#include "controller/kubernetes/services.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "fake_cluster.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

boost::json::object object(const std::string& text) { return boost::json::parse(text).as_object(); }
boost::json::object service(const std::string& name, const std::string& spec) {
  return object(R"({"metadata": {"namespace": "shop", "name": ")" + name + R"("}, "spec": )" +
                spec + "}");
}
boost::json::object slice(const std::string& name, const std::string& of,
                          const std::string& endpoints) {
  return object(R"({"metadata": {"namespace": "shop", "name": ")" + name +
                R"(", "labels": {"kubernetes.io/service-name": ")" + of + R"("}}, "endpoints": )" +
                endpoints + "}");
}
kube::ObjectCache::Objects objects(const std::vector<boost::json::object>& all) {
  kube::ObjectCache::Objects known;
  for (const auto& one : all) known[kube::key_of(one)] = one;
  return known;
}

TEST(Services, HaveAllTheirAddressesAndTheEndpointsOfAllTheirSlices) {
  const auto known = known_services(
      objects({service("db", R"({"clusterIPs": ["10.96.0.7", "FD00:96:0::7"],
                                 "externalIPs": ["192.0.2.9"]})")}),
      objects({slice("db-1", "db", R"([{"addresses": ["10.0.1.5"]}, {"addresses": ["10.0.2.5"],
                                        "conditions": {"ready": false}}])"),
               slice("db-2", "db", R"([{"addresses": ["fd00::5"]}])"),
               slice("web-1", "web", R"([{"addresses": ["10.0.1.6"]}])")}));
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known[0].id, "shop/db");
  EXPECT_THAT(known[0].addresses, ElementsAre("10.96.0.7", "fd00:96::7", "192.0.2.9"));
  EXPECT_THAT(known[0].endpoints, ElementsAre("10.0.1.5", "10.0.2.5", "fd00::5"));
}

TEST(Services, WhatHasNoAddressOrIsNoneIsLeftOut) {
  EXPECT_THAT(known_services(objects({service("headless", R"({"clusterIPs": ["None"]})"),
                                      service("named", R"({"externalName": "db.example"})"),
                                      service("odd", R"({"clusterIPs": "10.96.0.1"})"),
                                      service("net", R"({"clusterIPs": ["10.96.0.0/16"]})")}),
                             {}),
              IsEmpty());
  const auto odd = known_services(
      objects({service("db", R"({"clusterIPs": ["10.96.0.7"]})")}),
      objects({slice("a", "db", R"([1, {"addresses": "10.0.0.1"}, {"addresses": ["db.example"]}])"),
               object(R"({"metadata": {"namespace": "shop", "name": "b"}})")}));
  EXPECT_THAT(odd[0].endpoints, IsEmpty());
}

TEST(Services, AreToldOnceBothListsAreKnownAndAgainWhenTheyChange) {
  FakeCluster cluster;
  boost::asio::io_context io;
  const SystemClock clock;
  kube::Client client(io.get_executor(), cluster.config());
  cluster.put("services", service("db", R"({"clusterIPs": ["10.96.0.7"]})"));
  cluster.put("endpointslices", slice("db-1", "db", R"([{"addresses": ["10.0.1.5"]}])"));
  std::vector<std::vector<KnownService>> told;
  Services services(io.get_executor(), client, clock,
                    [&](std::vector<KnownService> now) { told.push_back(std::move(now)); });
  services.start();
  const auto patience = std::chrono::seconds(60);
  ASSERT_TRUE(kube::run_until(
      io, [&] { return !told.empty(); }, patience));
  EXPECT_THAT(told.back()[0].endpoints, ElementsAre("10.0.1.5"));
  cluster.put("endpointslices",
              slice("db-1", "db", R"([{"addresses": ["10.0.1.5"]}, {"addresses": ["10.0.2.5"]}])"));
  ASSERT_TRUE(kube::run_until(
      io, [&] { return told.back()[0].endpoints.size() == 2; }, patience));
  services.stop();
  io.restart();
  io.run_for(std::chrono::milliseconds(50));
}

}  // namespace
}  // namespace faultline::controller::test

// SPDX-License-Identifier: Apache-2.0
// What the controller takes of whom: sizes by route, and work for those who may nothing.
#include <gmock/gmock.h>

#include <atomic>

#include "house.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

constexpr const char* kShort = "  phases: {baseline: 0s, fault: 1s, recovery: 0s}\n";

class ControllerDoor : public testing::Test {
 protected:
  // Who has rights: in which namespaces, by user. "": in all.
  House& house(std::map<std::string, std::string> rights = {}) {
    HouseOptions options{.store_path = dir_.file("store.db")};
    if (!rights.empty())
      options.may = [this, rights](
                        http::Identity who, std::string verb,
                        std::set<std::string> namespaces) -> boost::asio::awaitable<Result<>> {
        ++asked_;
        const auto found = rights.find(who.user);
        if (found != rights.end() &&
            (found->second.empty() || namespaces == std::set<std::string>{found->second}))
          co_return Result<>{};
        co_return fail(Errc::kDenied, who.user + " may not " + verb);
      };
    return house_.emplace(options);
  }
  TempDir dir_;
  std::atomic<int> asked_ = 0;
  std::optional<House> house_;
};

TEST_F(ControllerDoor, EachRouteTakesABodyOfItsOwnSizeOrNone) {
  House& controller = house();
  const std::string large(300 << 10, ' ');
  for (const char* path :
       {"/healthz", "/readyz", "/metrics", "/api/v1/nodes", "/api/v1/experiments"})
    EXPECT_EQ(controller.call("GET", path, "x").status, 413) << path;
  EXPECT_EQ(controller.call("POST", "/api/v1/stop", "x").status, 413);
  EXPECT_EQ(controller.call("POST", "/api/v1/experiments", large).status, 413);
  EXPECT_EQ(controller.call("POST", "/api/v1/experiments", std::string(200 << 10, ' ')).status,
            400);
  EXPECT_EQ(controller.call("POST", "/api/v1/nodes/n1/sync", large, "agent-token").status, 400);
  EXPECT_EQ(
      controller.call("POST", "/api/v1/nodes/n1/sync", std::string(5 << 20, ' '), "agent-token")
          .status,
      413);
}

TEST_F(ControllerDoor, WhoMayNothingHearsOnlyThatWhateverTheySend) {
  House& controller = house({{"jane", "shop"}});
  for (const std::string& body :
       {std::string("kind: Experimnt\n"), api::to_yaml(experiment(kShort))})
    EXPECT_EQ(controller.call("POST", "/api/v1/experiments", body, "joe-token").status, 403)
        << body;
  const auto janes = controller.call("POST", "/api/v1/experiments?namespace=shop",
                                     "kind: Experimnt\n", "jane-token");
  EXPECT_EQ(janes.status, 400);
  EXPECT_THAT(janes.body, HasSubstr("kind"));
}

TEST_F(ControllerDoor, WhoMayNothingHasFewExperimentsRead) {
  House& controller = house({{"jane", "shop"}});
  // In the namespace that the document names, and in no other, so that it has to be read.
  auto mine = experiment(kShort);
  mine.metadata.namespace_ = "shop";
  int refused = 0;
  for (int i = 0; i < 30; ++i)
    refused +=
        controller.call("POST", "/api/v1/experiments?dryRun=true", api::to_yaml(mine), "jane-token")
                    .status == 403
            ? 1
            : 0;
  EXPECT_GE(refused, 15) << "without ?namespace= it is not known that she may";
  for (int i = 0; i < 30; ++i)
    EXPECT_NE(controller
                  .call("POST", "/api/v1/experiments?dryRun=true&namespace=shop",
                        api::to_yaml(mine), "jane-token")
                  .status,
              403);
}

TEST_F(ControllerDoor, WhatIsRefusedIsInTheMetrics) {
  House& controller = house();
  EXPECT_THAT(controller.call("GET", "/metrics").body,
              HasSubstr("faultline_http_refused_total{reason=\"bodies\"} 0"));
}

}  // namespace
}  // namespace faultline::controller::test

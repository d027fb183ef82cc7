// SPDX-License-Identifier: Apache-2.0
// The file with the authority of client certificates follows what the API server says.
#include "controller/kubernetes/client_authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controller/kubernetes/authority.h"
#include "tests/unit/kube/fake_api.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

using kube::FakeApi;

class ClientAuthorityFile : public testing::Test {
 protected:
  // What the API server answers from now on; 0: nothing.
  void says(int status, const std::string& pem) {
    const std::lock_guard lock(mutex_);
    answer_ = status == 0
                  ? std::string()
                  : FakeApi::answer(
                        status, boost::json::serialize(boost::json::object{
                                    {"reason", "Forbidden"}, {"data", {{"client-ca-file", pem}}}}));
  }
  bool maintain() { return kube::run(io_, authority_.maintain()).has_value(); }
  [[nodiscard]] bool there() const { return std::filesystem::exists(folder_.path("clients")); }

  std::mutex mutex_;
  std::string answer_;
  FakeApi api_{[this](const std::string&, int) {
    const std::lock_guard lock(mutex_);
    return answer_;
  }};
  kube::Folder folder_;
  boost::asio::io_context io_{1};
  kube::Client client_{io_.get_executor(), api_.config()};
  ClientAuthority authority_{client_, folder_.path("clients")};
  const std::string pem_ =
      make_authority("people", std::chrono::hours(1), SystemClock().utc())->certificate_pem;
};

TEST_F(ClientAuthorityFile, IsWhatTheClusterPublishes) {
  says(200, pem_);
  EXPECT_TRUE(maintain());
  EXPECT_EQ(folder_.read("clients"), pem_);
  const auto targets = api_.targets();
  EXPECT_THAT(targets, testing::ElementsAre("GET /api/v1/namespaces/kube-system/configmaps/"
                                            "extension-apiserver-authentication"));
}
TEST_F(ClientAuthorityFile, GoesWhenItMayNotBeReadOrIsNone) {
  folder_.write("clients", "of an earlier process");
  says(403, "");
  EXPECT_TRUE(maintain());
  EXPECT_FALSE(there());
  says(200, pem_);
  EXPECT_TRUE(maintain());
  EXPECT_TRUE(there());
  says(200, "no PEM");
  EXPECT_TRUE(maintain());
  EXPECT_FALSE(there());
}
TEST_F(ClientAuthorityFile, StaysWhileTheApiServerIsAway) {
  says(200, pem_);
  EXPECT_TRUE(maintain());
  says(0, "");
  EXPECT_FALSE(maintain());
  EXPECT_EQ(folder_.read("clients"), pem_);
}

}  // namespace
}  // namespace faultline::controller

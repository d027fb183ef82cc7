// SPDX-License-Identifier: Apache-2.0
// Certificates, judged by openssl(1).
#include "controller/kubernetes/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace faultline::controller {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Authority : public testing::Test {
 protected:
  Authority() {
    std::string pattern = testing::TempDir() + "faultline-authority-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Authority() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  static std::string openssl(const std::string& words) {
    std::string out;
    FILE* pipe = ::popen(("openssl " + words + " 2>&1").c_str(), "r");
    std::array<char, 512> part{};
    while (std::fgets(part.data(), part.size(), pipe) != nullptr) out += part.data();
    ::pclose(pipe);
    return out;
  }
  std::string verify(const KeyPair& pair, const std::string& authority, const std::string& more) {
    return openssl("verify -x509_strict -purpose sslserver " + more + " -CAfile " +
                   file("ca.crt", authority) + " " + file("it.crt", pair.certificate_pem));
  }
  const UtcTime now_ = SystemClock().utc();
  std::string folder_;
};

const Subject kController{
    "faultline-controller", {"faultline-controller.faultline.svc"}, {"10.96.0.7", "::1"}};

TEST_F(Authority, IssuesWhatOpensslAcceptsForItsNamesAndForNoOther) {
  const auto ca = make_authority("faultline", 24h, now_);
  ASSERT_TRUE(ca) << ca.error().message;
  const auto pair = issue(*ca, kController, 12h, now_);
  ASSERT_TRUE(pair) << pair.error().message;
  for (const std::string fits : {"-verify_hostname faultline-controller.faultline.svc",
                                 "-verify_ip 10.96.0.7", "-verify_ip ::1"})
    EXPECT_THAT(verify(*pair, ca->certificate_pem, fits), HasSubstr(": OK")) << fits;
  for (const std::string not_it : {"-verify_hostname other.faultline.svc", "-verify_ip 10.96.0.8"})
    EXPECT_THAT(verify(*pair, ca->certificate_pem, not_it), HasSubstr("mismatch")) << not_it;
  const auto other = make_authority("faultline", 24h, now_);
  EXPECT_THAT(verify(*pair, other->certificate_pem, ""), HasSubstr("error"));
  EXPECT_TRUE(check_issued(*pair, ca->certificate_pem));
  EXPECT_FALSE(check_issued(*pair, other->certificate_pem)) << "the same name, another key";
  EXPECT_FALSE(check_issued({pair->certificate_pem, ca->key_pem}, ca->certificate_pem));
}

TEST_F(Authority, WhatItIssuedSignsNothing) {
  const auto ca = make_authority("faultline", 24h, now_);
  const auto pair = issue(*ca, kController, 12h, now_);
  ASSERT_TRUE(pair);
  const auto below = issue(*pair, {"below", {"below"}, {}}, 1h, now_);
  ASSERT_TRUE(below);
  const std::string said = openssl(
      "verify -x509_strict -CAfile " + file("ca.crt", ca->certificate_pem) + " -untrusted " +
      file("mid.crt", pair->certificate_pem) + " " + file("it.crt", below->certificate_pem));
  EXPECT_THAT(said, HasSubstr("error")) << said;
}

TEST_F(Authority, NothingIsGoodLongerThanItsAuthority) {
  const auto ca = make_authority("faultline", 1h, now_);
  const auto pair = issue(*ca, kController, 24h, now_);
  ASSERT_TRUE(pair);
  const auto bounds = validity_of(pair->certificate_pem);
  ASSERT_TRUE(bounds);
  EXPECT_LE(bounds->not_after, now_ + 1h);
  EXPECT_GE(bounds->not_after, now_ + 1h - 2s);
  EXPECT_LE(bounds->not_before, now_ - kClockSkew + 1s);
}

TEST_F(Authority, IsDueAfterTwoThirdsOfItsTime) {
  const Validity validity{now_, now_ + 90min};
  EXPECT_FALSE(is_due(validity, now_ + 59min));
  EXPECT_TRUE(is_due(validity, now_ + 60min));
  EXPECT_TRUE(is_due(validity, now_ + 91min));
  EXPECT_TRUE(is_due(validity, now_ - 1min)) << "the clock went back";
}

TEST_F(Authority, WhatIsNoKeyPairIsRefusedInOneLine) {
  const auto ca = make_authority("faultline", 1h, now_);
  const std::string encrypted =
      openssl("pkey -in " + file("ca.key", ca->key_pem) + " -aes256 -passout pass:word");
  for (const auto& [pair, says] : std::initializer_list<std::pair<KeyPair, std::string>>{
           {{"", ""}, "no PEM certificate"},
           {{ca->certificate_pem, ""}, "no PEM private key"},
           {{ca->certificate_pem, encrypted}, "no PEM private key"},
           {{ca->key_pem, ca->key_pem}, "no PEM certificate"}}) {
    const auto made = issue(pair, kController, 1h, now_);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Errc::kInvalid);
    EXPECT_THAT(made.error().message, HasSubstr(says));
  }
  EXPECT_FALSE(issue(*ca, {"x", {"a,DNS:b"}, {}}, 1h, now_));
  EXPECT_FALSE(issue(*ca, {"x", {}, {"10.0.0"}}, 1h, now_));
}

}  // namespace
}  // namespace faultline::controller

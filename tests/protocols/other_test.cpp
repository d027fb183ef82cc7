// SPDX-License-Identifier: Apache-2.0
// gRPC, and what is not TCP.
#include <gtest/gtest.h>

#include "tests/protocols/ground.h"

namespace faultline::test {
namespace {

class Grpc : public Protocols {
 protected:
  static constexpr std::uint16_t kPort = 50051;
  void SetUp() override {
    Protocols::SetUp();
    if (IsSkipped() || started()) return;
    ground().serve(Ground::python("grpc_pair.py", {"serve", std::to_string(kPort)}), kPort);
  }
  void ask(const std::string& name, const std::string& manner) {
    check({name, kPort, [=] {
             return truth_of_json(ground().ask(Ground::python(
                 "grpc_pair.py", {manner, ground().server().ip4(), std::to_string(kPort), "1.5"})));
           }});
  }
};

TEST_F(Grpc, Unary) { ask("gRPC, one call at a time", "unary"); }
TEST_F(Grpc, Many) { ask("gRPC, eight calls at a time", "many"); }
TEST_F(Grpc, Failing) { ask("gRPC that fails", "failing"); }
TEST_F(Grpc, Stream) { ask("gRPC, server streams", "stream"); }
TEST_F(Grpc, BothWays) { ask("gRPC, streams both ways", "both"); }

class Dns : public Protocols {
 protected:
  static constexpr std::uint16_t kPort = 5353;
  void SetUp() override {
    Protocols::SetUp();
    if (IsSkipped() || started()) return;
    ground().serve(Ground::python("dns.py", {"serve", std::to_string(kPort)}), 0);
    static_cast<void>(ground().at_server(
        {"timeout", "10", "sh", "-c", "until ss -Hlun | grep -q :5353; do sleep 0.1; done"}));
  }
};

TEST_F(Dns, OverUdp) {
  check({"DNS over UDP", kPort, [] {
           return truth_of_json(ground().ask(Ground::python(
               "dns.py", {"ask", ground().server().ip4(), std::to_string(kPort), "1.5"})));
         }});
}

}  // namespace
}  // namespace faultline::test

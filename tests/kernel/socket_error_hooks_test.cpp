// SPDX-License-Identifier: Apache-2.0
// socketError on security hooks: what real calls on listening and connected sockets return. And
// what a kernel without such hooks is told.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <functional>

#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::Fd;
using agent::KernelFeature;
using api::SocketOperation;
using testing::HasSubstr;

api::SocketError error(std::vector<SocketOperation> operations, int number, double p = 1) {
  api::SocketError fault;
  fault.operations = std::move(operations);
  fault.errno_ = {number};
  fault.probability = {p};
  return fault;
}

// Of any family: an address as the calls want it.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};
Address loopback(int family, std::uint16_t port = 0) {
  Address a;
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&a.storage);
    *v4 = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {}};
    a.size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&a.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    v6->sin6_addr = in6addr_loopback;
    a.size = sizeof *v6;
  }
  return a;
}
Address name_of(int fd) {
  Address a;
  a.size = sizeof a.storage;
  getsockname(fd, a.get(), &a.size);
  return a;
}
std::uint16_t port_of(int fd) {
  return ntohs(reinterpret_cast<const sockaddr_in*>(name_of(fd).get())->sin_port);
}

// errno of the call, 0 when it worked.
int code(long rc) { return rc < 0 ? errno : 0; }

Fd bound(int family, int type = SOCK_STREAM, std::uint16_t port = 0) {
  Fd fd(socket(family, type | SOCK_CLOEXEC, 0));
  const Address a = loopback(family, port);
  if (bind(fd.get(), a.get(), a.size) != 0) throw std::runtime_error("bind");
  return fd;
}

// Two ends of a connection over loopback, and who listens. Made before a fault is armed, or by a
// process that is not of the pod.
struct Connection {
  explicit Connection(int family) : listener(bound(family)) {
    if (listen(listener.get(), 8) != 0) throw std::runtime_error("listen");
    const Address a = name_of(listener.get());
    client = Fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(client.get(), a.get(), a.size) != 0) throw std::runtime_error("connect");
    server = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!server.valid()) throw std::runtime_error("accept");
  }
  Fd listener, client, server;
};

class SocketErrorHooks : public testing::Test {
 protected:
  // `call` in a process of the pod, with sockets that it has from before it joined or makes itself.
  int in_pod(const std::function<int()>& call) const {
    Shared<int> seen;
    a_.run([&] { return *seen = call(), 0; });
    return *seen;
  }
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

// ---- everywhere

TEST_F(SocketErrorHooks, WithoutThemTheRefusalHasTheReasonOfEachRung) {
  const SystemClock clock;
  // As on a kernel without LSM programs and without trampolines.
  const agent::FeatureProbe features(
      std::map<KernelFeature, std::string>{{KernelFeature::kLsm, "no LSM programs here"},
                                           {KernelFeature::kTrampoline, "no trampolines"}});
  const auto refusal = [&](api::SocketError spec) {
    const api::Fault fault{std::move(spec)};
    const auto armed =
        agent::find_fault("socketError")
            ->arm(fault, a_.pod(), {clock, features, 1, in(std::chrono::seconds(9)), {}});
    return armed ? "armed by " + (*armed)->mechanism() : armed.error().message;
  };
  EXPECT_THAT(refusal(error({SocketOperation::connect, SocketOperation::listen}, EIO)),
              HasSubstr("operation listen: by security hook: no LSM programs here; by cgroup hook: "
                        "there is none for it"));
  EXPECT_THAT(refusal(error({SocketOperation::accept}, EIO)), HasSubstr("operation accept: by"));
  EXPECT_THAT(refusal(error({SocketOperation::recvmsg}, EIO)), HasSubstr("operation recvmsg: by"));
  auto tcp = error({SocketOperation::sendmsg}, EIO);
  EXPECT_EQ(refusal(tcp), "armed by cgroup");
  tcp.protocol = api::Protocol::tcp;
  EXPECT_THAT(refusal(tcp), HasSubstr("by cgroup hook: it sees only unconnected UDP"));
  const auto support = agent::find_fault("socketError")->support(features);
  EXPECT_EQ(support.mechanism, "cgroup");
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

// ---- where security hooks are

class SocketErrorLsm : public SocketErrorHooks {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(KernelFeature::kLsm); }
};

TEST_F(SocketErrorLsm, EachOperationFailsWithItsErrnoInBothFamiliesAndNowhereElse) {
  TestPod b(net_, "b");
  for (const int family : {AF_INET, AF_INET6}) {
    const Connection c(family);
    struct Case {
      const char* what;
      SocketOperation operation;
      int number;
      std::function<int()> call;
    };
    char byte = 'x';
    const std::vector<Case> cases{
        {"listen", SocketOperation::listen, EADDRINUSE,
         [&] { return code(listen(bound(family).get(), 8)); }},
        {"accept", SocketOperation::accept, EMFILE,
         [&] {
           // Nobody knocks: without the fault it would say EAGAIN.
           const Fd fd(accept4(c.listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
           return fd.valid() ? 0 : errno;
         }},
        {"send", SocketOperation::sendmsg, EPIPE,
         [&] { return code(send(c.client.get(), "x", 1, MSG_NOSIGNAL)); }},
        {"write", SocketOperation::sendmsg, ECONNRESET,
         [&] { return code(write(c.client.get(), "x", 1)); }},
        {"recv", SocketOperation::recvmsg, ECONNRESET,
         [&] { return code(recv(c.client.get(), &byte, 1, MSG_DONTWAIT)); }},
        {"read", SocketOperation::recvmsg, ETIMEDOUT,
         [&] { return code(read(c.client.get(), &byte, 1)); }}};
    ASSERT_EQ(fcntl(c.listener.get(), F_SETFL, O_NONBLOCK), 0);
    ASSERT_EQ(fcntl(c.client.get(), F_SETFL, O_NONBLOCK), 0);
    for (const Case& one : cases) {
      const int usual = in_pod(one.call);
      EXPECT_TRUE(usual == 0 || usual == EAGAIN) << one.what << ": " << usual;
      const auto fault = arm(error({one.operation}, one.number), a_.pod());
      EXPECT_EQ(fault->mechanism(), "lsm");
      EXPECT_EQ(in_pod(one.call), one.number) << one.what << " family " << family;
      EXPECT_EQ(counters(*fault).injected, 1U) << one.what;
      EXPECT_EQ(b.run([&] { return one.call() == usual ? 0 : 1; }), 0) << "a neighbour";
      EXPECT_EQ(one.call(), usual) << "the node";
      EXPECT_EQ(counters(*fault).matched, 1U) << one.what;
    }
  }
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SocketErrorLsm, HalfOfTheSendsFailAndTheRestArrive) {
  constexpr int kCalls = 2000;
  const Connection c(AF_INET);
  const auto fault = arm(error({SocketOperation::sendmsg}, ENOBUFS, 0.5), a_.pod());
  Shared<int> failed;
  ASSERT_EQ(a_.run([&] {
    for (int i = 0; i < kCalls; ++i) {
      if (send(c.client.get(), "x", 1, MSG_NOSIGNAL) == 1) continue;
      if (errno != ENOBUFS) return 1;
      ++*failed;
    }
    return 0;
  }),
            0);
  // What was sent may still be on its way.
  std::array<char, kCalls> got{};
  ssize_t arrived = 0;
  for (int i = 0; i < 500 && arrived < kCalls - *failed; ++i) {
    const ssize_t n = recv(c.server.get(), got.data(), got.size(), MSG_DONTWAIT);
    arrived += n > 0 ? n : 0;
    if (n <= 0) ::usleep(10'000);
  }
  EXPECT_EQ(arrived, kCalls - *failed);
  EXPECT_TRUE(binomial_interval(0.5, kCalls).contains(static_cast<double>(*failed) / kCalls));
  EXPECT_EQ(counters(*fault).by_errno.at("ENOBUFS"), static_cast<std::uint64_t>(*failed));
}

TEST_F(SocketErrorLsm, SocketsOfOtherFamiliesAreNotTouched) {
  const auto fault = arm(error({SocketOperation::listen, SocketOperation::accept,
                                SocketOperation::sendmsg, SocketOperation::recvmsg},
                               EIO),
                         a_.pod());
  EXPECT_EQ(in_pod([] {
              int pair[2];
              char byte = 0;
              if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return errno;
              if (write(pair[0], "x", 1) != 1) return errno;
              return code(read(pair[1], &byte, 1));
            }),
            0);
  EXPECT_EQ(counters(*fault).matched, 0U);
}

TEST_F(SocketErrorLsm, FiltersHitAndMiss) {
  const Connection c(AF_INET);
  const std::uint16_t server = port_of(c.listener.get()), client = port_of(c.client.get());
  const auto cidr = [](const char* text) { return api::Cidr::parse(text).value(); };
  using Set = std::function<void(api::SocketError&)>;
  const auto hit = [&](SocketOperation operation, const Set& set,
                       const std::function<int()>& call) {
    auto spec = error({operation}, EIO);
    set(spec);
    const auto fault = arm(spec, a_.pod());
    const bool failed = in_pod(call) == EIO;
    EXPECT_EQ(counters(*fault).matched, failed ? 1U : 0U);
    return failed;
  };
  const auto send_it = [&] { return code(send(c.client.get(), "x", 1, MSG_NOSIGNAL)); };
  const auto receive = [&] {
    char byte = 0;
    return code(recv(c.server.get(), &byte, 1, MSG_DONTWAIT));
  };
  const auto listens = [] { return code(listen(bound(AF_INET, SOCK_STREAM, 7777).get(), 1)); };
  const auto sendto_9 = [&] {
    const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Address to = loopback(AF_INET, 9);
    return code(sendto(fd.get(), "x", 1, 0, to.get(), to.size));
  };
  const auto sendmsg = SocketOperation::sendmsg, recvmsg = SocketOperation::recvmsg;
  const auto ports = [](std::uint16_t port) { return Set([port](auto& f) { f.ports = {port}; }); };
  const auto own = [](std::uint16_t port) { return Set([port](auto& f) { f.podPorts = {port}; }); };
  const auto peer = [](std::uint16_t port) {
    return Set([port](auto& f) { f.peerPorts = {port}; });
  };
  EXPECT_TRUE(hit(sendmsg, peer(server), send_it));
  EXPECT_FALSE(hit(sendmsg, peer(client), send_it));
  EXPECT_TRUE(hit(sendmsg, own(client), send_it));
  EXPECT_TRUE(hit(sendmsg, ports(server), send_it));
  EXPECT_TRUE(hit(sendmsg, peer(9), sendto_9));
  EXPECT_FALSE(hit(sendmsg, peer(8), sendto_9));
  EXPECT_TRUE(hit(
      sendmsg, [&](auto& f) { f.cidrs = {cidr("127.0.0.0/8")}; }, send_it));
  EXPECT_FALSE(hit(
      sendmsg, [&](auto& f) { f.cidrs = {cidr("10.0.0.0/8")}; }, send_it));
  EXPECT_TRUE(hit(
      sendmsg, [](auto& f) { f.protocol = api::Protocol::tcp; }, send_it));
  EXPECT_FALSE(hit(
      sendmsg, [](auto& f) { f.protocol = api::Protocol::tcp; }, sendto_9));
  EXPECT_TRUE(hit(recvmsg, own(server), receive));
  EXPECT_TRUE(hit(recvmsg, peer(client), receive));
  EXPECT_FALSE(hit(recvmsg, peer(server), receive));
  EXPECT_TRUE(hit(SocketOperation::listen, own(7777), listens));
  EXPECT_FALSE(hit(SocketOperation::listen, own(7778), listens));
  auto by_peer = error({SocketOperation::accept}, EIO);
  by_peer.peerPorts = {9};
  const auto refused = try_arm(by_peer, a_.pod());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("peerPorts: accept has no such address"));
}

TEST_F(SocketErrorLsm, BesideTheCgroupRungEachOperationHasItsOwnAndTheReportNamesBoth) {
  const auto fault =
      arm(error({SocketOperation::socket, SocketOperation::listen}, EACCES, 1), a_.pod());
  EXPECT_EQ(fault->mechanism(), "cgroup on socket; lsm on listen");
  const Fd before = bound(AF_INET);
  EXPECT_EQ(in_pod([&] { return code(listen(before.get(), 1)); }), EACCES);
  EXPECT_EQ(in_pod([] { return code(socket(AF_INET, SOCK_STREAM, 0)); }), EACCES);
  const auto c = counters(*fault);
  EXPECT_EQ(c.injected, 2U);
  EXPECT_EQ(c.by_errno.at("EACCES"), 2U);
  ASSERT_TRUE(fault->disarm());
  EXPECT_EQ(in_pod([&] { return code(listen(before.get(), 1)); }), 0);
}

TEST_F(SocketErrorLsm, KillOfTheAgentEndsIt) {
  const Fd listener = bound(AF_INET);
  const agent::Pod pod = a_.pod();
  Shared<std::atomic<bool>> armed;
  Child agent([&] {
    const auto fault = arm(error({SocketOperation::listen}, EACCES), pod);
    *armed = true;
    return ::pause();
  });
  for (int i = 0; i < 5000 && !*armed; ++i) usleep(1000);
  ASSERT_TRUE(*armed);
  EXPECT_EQ(in_pod([&] { return code(listen(listener.get(), 1)); }), EACCES);
  agent.signal(SIGKILL);
  agent.wait();
  EXPECT_EQ(in_pod([&] { return code(listen(listener.get(), 1)); }), 0);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SocketErrorLsm, LeaseThatRanOutEndsIt) {
  const Fd listener = bound(AF_INET);
  const auto fault = arm(error({SocketOperation::listen}, EACCES), a_.pod(),
                         {.lease = std::chrono::milliseconds(1)});
  usleep(5000);
  EXPECT_EQ(in_pod([&] { return code(listen(listener.get(), 1)); }), 0);
  EXPECT_EQ(counters(*fault).matched, 0U);
}

}  // namespace
}  // namespace faultline::test

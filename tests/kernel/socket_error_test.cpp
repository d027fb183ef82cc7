// SPDX-License-Identifier: Apache-2.0
// What a real program's system calls return. Each call is made by a process of the pod, and told by
// its errno.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>

#include "testbed/arm.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using api::SocketOperation;

api::SocketError error(std::vector<SocketOperation> operations, int number, double p = 1) {
  api::SocketError fault;
  fault.operations = std::move(operations);
  fault.errno_ = {number};
  fault.probability = {p};
  return fault;
}

sockaddr_in v4(const std::string& address, std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &a.sin_addr);
  return a;
}
sockaddr_in6 v6(const std::string& address, std::uint16_t port) {
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  a.sin6_port = htons(port);
  inet_pton(AF_INET6, address.c_str(), &a.sin6_addr);
  return a;
}
template <class A>
const sockaddr* any(const A& a) {
  return reinterpret_cast<const sockaddr*>(&a);
}

// errno of the call, 0 when it worked.
int code(long rc) { return rc < 0 ? errno : 0; }

int try_socket(int family, int type = SOCK_STREAM) {
  const int fd = socket(family, type, 0);
  const int result = code(fd);
  if (fd >= 0) close(fd);
  return result;
}
// UDP, where connect() only sets the peer: nobody needs to listen.
template <class A>
int try_connect(const A& a, std::uint16_t bound_to = 0, int type = SOCK_DGRAM) {
  const int fd = socket(any(a)->sa_family, type, 0);
  if (bound_to != 0) {
    const auto local = v4("0.0.0.0", bound_to);
    bind(fd, any(local), sizeof local);
  }
  const int result = code(connect(fd, any(a), sizeof a));
  close(fd);
  return result;
}
template <class A>
int try_bind(const A& a) {
  const int fd = socket(any(a)->sa_family, SOCK_STREAM, 0);
  const int result = code(bind(fd, any(a), sizeof a));
  close(fd);
  return result;
}
template <class A>
int try_sendto(const A& a) {
  const int fd = socket(any(a)->sa_family, SOCK_DGRAM, 0);
  const int result = code(sendto(fd, "x", 1, 0, any(a), sizeof a));
  close(fd);
  return result;
}
int try_setsockopt(int family = AF_INET) {
  const int fd = socket(family, SOCK_STREAM, 0), on = 1;
  const int result = code(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
  close(fd);
  return result;
}
int try_getsockopt(int option = SO_RCVBUF) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  int value = 0;
  socklen_t size = sizeof value;
  const int result = code(getsockopt(fd, SOL_SOCKET, option, &value, &size));
  close(fd);
  return result;
}

class SocketError : public testing::Test {
 protected:
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

TEST_F(SocketError, HalfOfTheConnectsTimeOutAndTheRestWork) {
  constexpr int kCalls = 4000;
  const auto fault = arm(error({SocketOperation::connect}, ETIMEDOUT, 0.5), a_.pod());
  Shared<std::array<std::atomic<int>, 200>> by_errno;
  ASSERT_EQ(a_.run([&] {
    for (int i = 0; i < kCalls; ++i)
      ++(*by_errno)[static_cast<std::size_t>(try_connect(v4(net_.host4(), 9)))];
    return 0;
  }),
            0);
  const int timed_out = (*by_errno)[ETIMEDOUT], worked = (*by_errno)[0];
  EXPECT_EQ(timed_out + worked, kCalls) << "no other errno";
  EXPECT_TRUE(binomial_interval(0.5, kCalls).contains(static_cast<double>(timed_out) / kCalls))
      << timed_out;
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, static_cast<std::uint64_t>(kCalls));
  EXPECT_EQ(
      c.by_errno,
      (std::map<std::string, std::uint64_t>{{"ETIMEDOUT", static_cast<std::uint64_t>(timed_out)}}));
}

TEST_F(SocketError, CurlSeesRefusedConnections) {
  const auto fault = arm(error({SocketOperation::connect}, ECONNREFUSED), a_.pod());
  const auto curl = a_.exec({"curl", "-sS", "--max-time", "3", "http://" + net_.host4() + ":9/"});
  EXPECT_EQ(curl.status, 7) << curl.output;  // CURLE_COULDNT_CONNECT
  EXPECT_GE(counters(*fault).injected, 1U);
}

TEST_F(SocketError, EveryOperationFailsWithItsErrnoInBothFamilies) {
  struct Case {
    const char* what;
    SocketOperation operation;
    int number;
    std::function<int()> call;
  };
  const std::string h4 = net_.host4(), h6 = net_.host6();
  const agent::Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // of "connect tcp"
  ASSERT_EQ(code(bind(listener.get(), any(v4(h4, 9)), sizeof(sockaddr_in))), 0);
  ASSERT_EQ(code(listen(listener.get(), 10)), 0);
  const std::vector<Case> cases{
      {"socket", SocketOperation::socket, EMFILE, [] { return try_socket(AF_INET); }},
      {"socket 6", SocketOperation::socket, ENOBUFS, [] { return try_socket(AF_INET6); }},
      {"socket udp", SocketOperation::socket, EACCES,
       [] { return try_socket(AF_INET, SOCK_DGRAM); }},
      {"bind", SocketOperation::bind, EADDRINUSE, [] { return try_bind(v4("0.0.0.0", 80)); }},
      {"bind 6", SocketOperation::bind, EADDRNOTAVAIL, [] { return try_bind(v6("::", 80)); }},
      {"connect", SocketOperation::connect, ENETUNREACH, [=] { return try_connect(v4(h4, 9)); }},
      {"connect 6", SocketOperation::connect, EHOSTUNREACH, [=] { return try_connect(v6(h6, 9)); }},
      {"connect tcp", SocketOperation::connect, 4095,
       [=] { return try_connect(v4(h4, 9), 0, SOCK_STREAM); }},
      {"sendmsg", SocketOperation::sendmsg, ENOBUFS, [=] { return try_sendto(v4(h4, 9)); }},
      {"sendmsg 6", SocketOperation::sendmsg, EPERM, [=] { return try_sendto(v6(h6, 9)); }},
      {"sendmsg mapped", SocketOperation::sendmsg, EIO,
       [=] { return try_sendto(v6("::ffff:" + h4, 9)); }},
      {"setsockopt", SocketOperation::setsockopt, ENOPROTOOPT, [] { return try_setsockopt(); }},
      {"setsockopt 6", SocketOperation::setsockopt, EINVAL,
       [] { return try_setsockopt(AF_INET6); }},
      {"getsockopt", SocketOperation::getsockopt, ENOTCONN, [] { return try_getsockopt(); }}};
  for (const Case& c : cases) {
    EXPECT_EQ(a_.run(c.call), 0) << c.what << " without a fault";
    const auto fault = arm(error({c.operation}, c.number), a_.pod());
    Shared<int> seen;
    a_.run([&] { return *seen = c.call(), 0; });
    EXPECT_EQ(*seen, c.number) << c.what;
    EXPECT_EQ(counters(*fault).injected, 1U) << c.what;
  }
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SocketError, OnlyTheAskedOperationsFail) {
  const auto fault = arm(error({SocketOperation::bind, SocketOperation::sendmsg}, EIO), a_.pod());
  EXPECT_EQ(a_.run([] { return try_socket(AF_INET); }), 0);
  EXPECT_EQ(a_.run([&] { return try_connect(v4(net_.host4(), 9)); }), 0);
  EXPECT_EQ(a_.run([] { return try_getsockopt(); }), 0);
  EXPECT_EQ(a_.run([] { return try_bind(v4("0.0.0.0", 80)); }), EIO);
  EXPECT_EQ(a_.run([&] { return try_sendto(v4(net_.host4(), 9)); }), EIO);
}

TEST_F(SocketError, OthersSeeNothing) {
  TestPod b(net_, "b");
  const auto fault = arm(error({SocketOperation::connect, SocketOperation::socket}, EIO), a_.pod());
  const auto all = [&] { return try_socket(AF_INET) + try_connect(v4(net_.host4(), 9)); };
  EXPECT_EQ(b.run(all), 0) << "a neighbour";
  EXPECT_EQ(all(), 0) << "the node";
  // In the pod's namespace, but not of the pod.
  EXPECT_EQ(a_.in_netns(all), 0);
  EXPECT_EQ(counters(*fault).matched, 0U);
  // Sockets of other families are no network of the pod.
  EXPECT_EQ(a_.run([] { return try_socket(AF_UNIX) + try_socket(AF_NETLINK, SOCK_RAW); }), 0);
}

TEST_F(SocketError, ProcessThatJoinsLaterAndOneInACgroupBelowAreCovered) {
  const auto fault = arm(error({SocketOperation::connect}, ETIMEDOUT), a_.pod());
  Shared<int> before, after, below;
  const std::string inner = a_.cgroup_path() + "/inner";
  Child joins([&] {
    *before = try_connect(v4(net_.host4(), 9));
    join_cgroup(a_.cgroup_path());
    *after = try_connect(v4(net_.host4(), 9));
    mkdir(inner.c_str(), 0755);
    join_cgroup(inner);
    *below = try_connect(v4(net_.host4(), 9));
    return 0;
  });
  ASSERT_EQ(joins.wait(), 0);
  rmdir(inner.c_str());
  EXPECT_EQ(*before, 0);
  EXPECT_EQ(*after, ETIMEDOUT);
  EXPECT_EQ(*below, ETIMEDOUT);
}

TEST_F(SocketError, FiltersHitAndMiss) {
  using Set = std::function<void(api::SocketError&)>;
  const auto cidr = [](const std::string& text) { return api::Cidr::parse(text).value(); };
  const auto seen = [&](SocketOperation operation, const Set& set,
                        const std::function<int()>& call) {
    auto spec = error({operation}, EIO);
    set(spec);
    const auto fault = arm(spec, a_.pod());
    const int result = a_.run(call);
    EXPECT_EQ(counters(*fault).matched, result == EIO ? 1U : 0U);
    return result == EIO;
  };
  const auto connect4 = [&] { return try_connect(v4(net_.host4(), 9)); };
  const auto connect6 = [&] { return try_connect(v6(net_.host6(), 9)); };
  const auto mapped = [&] { return try_connect(v6("::ffff:" + net_.host4(), 9)); };
  const auto from_5555 = [&] { return try_connect(v4(net_.host4(), 9), 5555); };
  const auto send = [&] { return try_sendto(v4(net_.host4(), 9)); };
  const auto bind80 = [] { return try_bind(v4("0.0.0.0", 80)); };
  const auto connect = SocketOperation::connect;
  EXPECT_TRUE(seen(
      connect, [](auto& f) { f.peerPorts = {9}; }, connect4));
  EXPECT_FALSE(seen(
      connect, [](auto& f) { f.peerPorts = {10}; }, connect4));
  EXPECT_TRUE(seen(
      connect, [](auto& f) { f.ports = {9}; }, connect6));
  EXPECT_FALSE(seen(
      connect, [](auto& f) { f.podPorts = {9}; }, connect4));
  EXPECT_TRUE(seen(
      connect, [](auto& f) { f.podPorts = {5555}; }, from_5555));
  EXPECT_TRUE(seen(
      connect, [&](auto& f) { f.cidrs = {cidr(net_.host4())}; }, connect4));
  EXPECT_TRUE(seen(
      connect, [&](auto& f) { f.cidrs = {cidr(net_.host4())}; }, mapped));
  EXPECT_FALSE(seen(
      connect, [&](auto& f) { f.cidrs = {cidr(net_.host4())}; }, connect6));
  EXPECT_TRUE(seen(
      connect, [&](auto& f) { f.cidrs = {cidr("fd00::/8")}; }, connect6));
  EXPECT_FALSE(seen(
      connect, [&](auto& f) { f.cidrs = {cidr("192.0.2.0/24")}; }, connect4));
  EXPECT_TRUE(seen(
      connect, [](auto& f) { f.protocol = api::Protocol::udp; }, connect4));
  EXPECT_FALSE(seen(
      connect, [](auto& f) { f.protocol = api::Protocol::tcp; }, connect4));
  EXPECT_TRUE(seen(
      SocketOperation::sendmsg, [](auto& f) { f.peerPorts = {9}; }, send));
  EXPECT_FALSE(seen(
      SocketOperation::sendmsg, [](auto& f) { f.peerPorts = {8}; }, send));
  EXPECT_TRUE(seen(
      SocketOperation::bind, [](auto& f) { f.podPorts = {80}; }, bind80));
  EXPECT_FALSE(seen(
      SocketOperation::bind, [](auto& f) { f.podPorts = {81}; }, bind80));
  EXPECT_TRUE(seen(
      SocketOperation::socket, [](auto& f) { f.protocol = api::Protocol::tcp; },
      [] { return try_socket(AF_INET); }));
  EXPECT_FALSE(seen(
      SocketOperation::socket, [](auto& f) { f.protocol = api::Protocol::tcp; },
      [] { return try_socket(AF_INET, SOCK_DGRAM); }));
  EXPECT_FALSE(seen(
      connect, [](auto& f) { f.except.emplace().peerPorts = {9}; }, connect4));
  EXPECT_TRUE(seen(
      connect, [](auto& f) { f.except.emplace().peerPorts = {10}; }, connect4));
  EXPECT_FALSE(seen(
      connect, [&](auto& f) { f.except.emplace().cidrs = {cidr(net_.host4())}; }, connect4));
  EXPECT_TRUE(seen(
      connect, [&](auto& f) { f.except.emplace().cidrs = {cidr(net_.host4())}; }, connect6));
  EXPECT_FALSE(seen(
      SocketOperation::bind, [](auto& f) { f.except.emplace().podPorts = {80}; }, bind80));
}

TEST_F(SocketError, WhatTheKernelCannotDoIsRefusedWithTheReason) {
  const auto refusal = [&](api::SocketError spec) {
    const auto armed = try_arm(std::move(spec), a_.pod());
    return armed ? "armed" : armed.error().message;
  };
  auto cidr = error({SocketOperation::connect, SocketOperation::bind}, EIO);
  cidr.cidrs = {api::Cidr::parse("10.0.0.0/8").value()};
  EXPECT_THAT(refusal(cidr), testing::HasSubstr("cidrs: bind has no such address"));
  auto spared = error({SocketOperation::connect, SocketOperation::bind}, EIO);
  spared.except.emplace().cidrs = {api::Cidr::parse("10.0.0.0/8").value()};
  EXPECT_THAT(refusal(spared), testing::HasSubstr("except.cidrs: bind has no such address"));
  EXPECT_THAT(refusal(error({SocketOperation::connect}, 4096)), testing::HasSubstr("1 to 4095"));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

// The kernel gives hooks at most a page of an option and answers EFAULT when they do not say that
// they left it alone.
TEST_F(SocketError, LongSocketOptionsPassUntouched) {
  const auto fault =
      arm(error({SocketOperation::setsockopt, SocketOperation::getsockopt}, EIO, 0), a_.pod());
  EXPECT_EQ(a_.run([] {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    // An unknown option of that length: the kernel's own answer must come through.
    std::vector<char> big(20000, 'x');
    if (code(setsockopt(fd, SOL_TCP, 9999, big.data(), static_cast<socklen_t>(big.size()))) !=
        ENOPROTOOPT)
      return 1;
    // TCP_CONGESTION with a long buffer: set and get it.
    const char name[] = "reno";
    std::copy(name, name + sizeof name, big.begin());
    if (code(setsockopt(fd, SOL_TCP, TCP_CONGESTION, big.data(),
                        static_cast<socklen_t>(big.size()))) != 0)
      return 2;
    std::vector<char> got(20000);
    socklen_t size = static_cast<socklen_t>(got.size());
    if (code(getsockopt(fd, SOL_TCP, TCP_CONGESTION, got.data(), &size)) != 0) return 3;
    return std::strcmp(got.data(), "reno") == 0 ? 0 : 4;
  }),
            0);
  EXPECT_GE(counters(*fault).matched, 3U);
}

TEST_F(SocketError, CallThatFailedAlreadyKeepsItsErrno) {
  const auto get = arm(error({SocketOperation::getsockopt}, EIO), a_.pod());
  EXPECT_EQ(a_.run([] { return try_getsockopt(9999); }), ENOPROTOOPT);
  EXPECT_EQ(counters(*get).matched, 0U);
  // Two faults on one call: the one that comes first decides, the other does not count it.
  const auto first = arm(error({SocketOperation::connect}, EHOSTDOWN), a_.pod());
  const auto second = arm(error({SocketOperation::connect}, ETIMEDOUT), a_.pod());
  EXPECT_EQ(a_.run([&] { return try_connect(v4(net_.host4(), 9)); }), EHOSTDOWN);
  EXPECT_EQ(counters(*first).injected, 1U);
  EXPECT_EQ(counters(*second).matched, 0U);
}

TEST_F(SocketError, SameSeedFailsTheSameCalls) {
  const auto pattern = [&](std::uint64_t seed) {
    const auto fault = arm(error({SocketOperation::connect}, EIO, 0.5), a_.pod(), {.seed = seed});
    Shared<std::array<bool, 300>> failed;
    a_.run([&] {
      for (bool& f : *failed) f = try_connect(v4(net_.host4(), 9)) == EIO;
      return 0;
    });
    return *failed;
  };
  EXPECT_EQ(pattern(7), pattern(7));
  EXPECT_NE(pattern(7), pattern(8));
}

}  // namespace
}  // namespace faultline::test

// SPDX-License-Identifier: Apache-2.0
// Which processes tls_plain finds, what it leaves behind, and what it says where it cannot follow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "testbed/program.h"
#include "tests/kernel/tls_effects.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr std::uint16_t kPort = 8443;
constexpr const char* kLibrary = "/usr/lib/x86_64-linux-gnu/libssl.so.3";

// A program of this machine that keeps libssl, from `folder` where it is given.
Child stay(const TestPod& pod, const std::string& folder = {}) {
  return pod.start([=]() -> int {
    if (!folder.empty()) ::setenv("LD_LIBRARY_PATH", folder.c_str(), 1);
    become({"/usr/bin/python3", "-c", "import ssl, time; time.sleep(100)"}, {});
  });
}
// The child has become another program, and has a file of this path: until then it has what this
// test has.
bool has_mapped(const Child& child, const std::string& path) {
  const std::string folder = "/proc/" + std::to_string(child.pid());
  const std::string ours = text_of("/proc/self/comm");
  return wait_for([&] {
    return text_of(folder + "/comm") != ours &&
           text_of(folder + "/maps").find(path) != std::string::npos;
  });
}

class TlsPlainFinds : public TlsPlain {};

TEST_F(TlsPlainFinds, WithoutTlsInThePodNothingIsLoaded) {
  const Child shell = client_.start([] {
    become({"sleep", "100"}, {});
    return 0;
  });
  ASSERT_TRUE(has_mapped(shell, "/sleep"));
  const auto collector = measure(client_);
  const TlsSeen seen = take(*collector);
  EXPECT_THAT(seen.samples, IsEmpty());
  EXPECT_THAT(seen.reasons(), IsEmpty());
  EXPECT_THAT(residue_.now(), IsEmpty());
}

TEST_F(TlsPlainFinds, AProcessThatBeginsLaterIsFoundAndToldSo) {
  const TlsServer server(server_, kPort, answers(milliseconds(1)));
  const auto collector = measure(client_);
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 10; ++i) said.add(c.ask(kGet));
  });
  EXPECT_THAT(take(*collector).reasons(), ElementsAre(HasSubstr("libssl.so.3 was found only now")));
  client.go();
  const TlsSeen seen = take(*collector);
  EXPECT_EQ(seen.counter("tls.request.rate", "client"), 10);
  EXPECT_THAT(seen.reasons(), IsEmpty());
}

TEST_F(TlsPlainFinds, AProcessOfAContainerIsOneOfThePod) {
  client_.add_container("c1");
  const TlsServer server(server_, kPort, answers(milliseconds(1)));
  const Child other = stay(client_);  // so that probes are there from the beginning
  ASSERT_TRUE(has_mapped(other, "libssl.so.3"));
  const auto collector = measure(client_);
  EXPECT_EQ(client_.run_in("c1",
                           [&] {
                             TlsClient c(server_.ip4(), kPort);
                             for (int i = 0; i < 10; ++i) c.ask(kGet);
                             return 0;
                           }),
            0);
  EXPECT_EQ(take(*collector).counter("tls.request.rate", "client"), 10);
}

TEST_F(TlsPlainFinds, AFileWhoseNameIsGoneIsFollowed) {
  const TestFolder folder;
  std::filesystem::copy(kLibrary, folder.path() + "/libssl.so.3");
  const TlsServer server(server_, kPort, answers(milliseconds(1)));
  const std::string program =
      "import ssl, socket, sys, time\n"
      "context = ssl._create_unverified_context()\n"
      "sys.stdin.readline()\n"
      "c = context.wrap_socket(socket.create_connection(('" +
      server_.ip4() +
      "', 8443)))\n"
      "for i in range(10): c.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); c.recv(1000)\n";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Child child = client_.start([&] {
    ::dup2(ends[0], 0);
    ::setenv("LD_LIBRARY_PATH", folder.path().c_str(), 1);
    ::execl("/usr/bin/python3", "python3", "-c", program.c_str(), nullptr);
    return 127;
  });
  ASSERT_TRUE(has_mapped(child, folder.path() + "/libssl.so.3"));
  std::filesystem::remove(folder.path() + "/libssl.so.3");
  const auto collector = measure(client_);
  ASSERT_EQ(::write(ends[1], "\n", 1), 1);
  EXPECT_EQ(child.wait(), 0);
  const TlsSeen seen = take(*collector);
  EXPECT_EQ(seen.counter("tls.request.rate", "client"), 10);
  EXPECT_EQ(seen.counter("tls.request.responses", "client", "2xx"), 10);
  EXPECT_THAT(seen.reasons(), IsEmpty());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(TlsPlainFinds, WhatCannotBeFollowedIsNamedWithItsProcess) {
  const TestFolder folder;
  std::string bytes = text_of(kLibrary);
  // A library of the name, whose functions have other names.
  for (std::size_t at = 0; (at = bytes.find("SSL_read", at)) != std::string::npos;) bytes[at] = 'X';
  std::ofstream(folder.path() + "/libssl.so.9") << bytes;
  Child child = client_.start([&] {
    ::execl("/usr/bin/python3", "python3", "-c",
            ("import mmap, time\nf = open('" + folder.path() +
             "/libssl.so.9', 'rb')\nm = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ | "
             "mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)\ntime.sleep(100)\n")
                .c_str(),
            nullptr);
    return 127;
  });
  ASSERT_TRUE(has_mapped(child, "libssl.so.9"));
  const auto collector = measure(client_);
  EXPECT_THAT(take(*collector).reasons(),
              ElementsAre("python3 (pid " + std::to_string(child.pid()) +
                          "): libssl.so.9 has no symbol SSL_read"));
  child.signal(SIGKILL);
  child.wait();
  EXPECT_THAT(take(*collector).reasons(), IsEmpty()) << "of a process that is gone";
}

TEST_F(TlsPlainFinds, WithoutUprobesOnlyProcessesWithTlsAreAGap) {
  static const SystemClock clock;
  const agent::FeatureProbe lacking(agent::KernelFeature::kUprobe, "no uprobes here");
  const Child shell = server_.start([] {
    become({"sleep", "100"}, {});
    return 0;
  });
  const Child child = stay(client_);
  ASSERT_TRUE(has_mapped(child, "libssl.so.3"));
  const auto with = agent::start_tls_plain(client_.pod(), {clock, lacking});
  const auto without = agent::start_tls_plain(server_.pod(), {clock, lacking});
  ASSERT_TRUE(with && without);
  EXPECT_THAT(take(**with).reasons(),
              ElementsAre("python3 (pid " + std::to_string(child.pid()) +
                          "): libssl.so.3 cannot be followed: no uprobes here"));
  EXPECT_THAT(take(**without).reasons(), IsEmpty());
}

// Kept from before: what is sent on it is judged from the next request of HTTP/1 on.
TEST_F(TlsPlainFinds, AnOlderConnectionIsJudgedFromItsNextRequestOn) {
  const TlsServer server(server_, kPort, answers(milliseconds(5)));
  Shared<std::atomic<bool>> connected, measuring;
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    c.ask(kGet);
    connected->store(true);
    if (!wait_for([&] { return measuring->load(); })) return;
    for (int i = 0; i < 10; ++i) said.add(c.ask(kGet));
  });
  client.begin();
  ASSERT_TRUE(wait_for([&] { return connected->load(); }));
  const auto of_server = measure(server_), of_client = measure(client_);
  measuring->store(true);
  client.go();
  for (const auto& [side, collector] :
       {std::pair{"server", of_server.get()}, {"client", of_client.get()}}) {
    const TlsSeen seen = take(*collector);
    // The server waits in a call that began before, which is not seen.
    const bool is_server = std::string(side) == "server";
    EXPECT_EQ(seen.counter("tls.request.rate", side), is_server ? 9 : 10);
    EXPECT_GT(seen.median("tls.request.latency", side), 0.0045) << side;
    if (is_server) {
      EXPECT_THAT(seen.reasons(),
                  ElementsAre("1 of 10 requests: answers in TLS whose request was not seen"));
    } else {
      EXPECT_THAT(seen.reasons(), IsEmpty());
    }
  }
}

TEST_F(TlsPlainFinds, AWindowEndsWhereItIsCut) {
  static const SystemClock clock;
  const TlsServer server(server_, kPort, answers(milliseconds(1)));
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 20; ++i) {
      said.add(c.ask(kGet));
      if (i == 11) std::this_thread::sleep_for(milliseconds(400));
    }
  });
  const auto collector = measure(client_);
  client.begin();
  ASSERT_TRUE(wait_for([&] { return client.said().count() == 12; }));
  std::this_thread::sleep_for(milliseconds(50));
  collector->cut_at(clock.ktime());
  client.go();
  collector->cut_has_come();
  EXPECT_EQ(take(*collector).counter("tls.request.rate", "client"), 12);
  EXPECT_EQ(take(*collector).counter("tls.request.rate", "client"), 8);
}

TEST_F(TlsPlainFinds, AgentsThatAreKilledLeaveNothing) {
  const Child child = stay(client_);
  ASSERT_TRUE(has_mapped(child, "libssl.so.3"));
  const std::string listed = text_of("/sys/kernel/debug/tracing/uprobe_events");
  Shared<std::atomic<bool>> measuring;
  Child owning([&] {
    const auto collector = measure(client_);
    *measuring = true;
    ::pause();
    return 0;
  });
  ASSERT_TRUE(wait_for([&] { return measuring->load(); }));
  EXPECT_THAT(residue_.now(), Contains(HasSubstr("fl_plain_return"))) << "nothing to be left";
  EXPECT_EQ(text_of("/sys/kernel/debug/tracing/uprobe_events"), listed);
  owning.signal(SIGKILL);
  owning.wait();
  EXPECT_THAT(residue_.left(), IsEmpty());
  EXPECT_EQ(text_of("/sys/kernel/debug/tracing/uprobe_events"), listed);
}

}  // namespace
}  // namespace faultline::test

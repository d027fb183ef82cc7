// SPDX-License-Identifier: Apache-2.0
// The agent's ports: a kubelet gets its answer whatever others do to them.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/kernel/fd.h"
#include "http/client.h"
#include "tests/e2e/harness.h"

namespace faultline::test {
namespace {

using agent::Fd;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  return at;
}

// Of nobody, a moment ago.
std::uint16_t free_port() {
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at = loopback(0);
  socklen_t size = sizeof at;
  bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size);
  return ntohs(at.sin_port);
}

// Connected, and has asked once, so that it is kept.
Fd held(std::uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in at = loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return fd;
  const std::string_view ask = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  char answer[200];
  if (send(fd.get(), ask.data(), ask.size(), MSG_NOSIGNAL) > 0)
    (void)recv(fd.get(), answer, sizeof answer, 0);
  return fd;
}

int status(std::uint16_t port, const std::string& path) {
  http::ClientOptions options;
  options.base_url = "http://127.0.0.1:" + std::to_string(port);
  const auto answer = http::request_blocking(options, "GET", path, "", 3s);
  return answer ? answer->status : 0;
}

TEST_F(EndToEnd, IdleConnectionsToTheAgentsPortsKeepNoProbeFromItsAnswer) {
  const std::string token = folder_.write("token", std::string(32, 'x'));
  chmod(token.c_str(), 0600);
  const std::uint16_t probes = free_port();
  const Program agent(
      {"faultline-agent", "--controller", "http://127.0.0.1:9", "--token-file", token, "--node",
       "n1", "--pods", pods_, "--listen", "127.0.0.1:0", "--port-file", folder_.file("port"),
       "--probe-listen", "127.0.0.1:" + std::to_string(probes)},
      folder_, "agent", temp_);
  ASSERT_TRUE(comes_true([&] { return content(folder_.file("port")).ends_with("\n"); }, 20s))
      << agent.err();
  const auto metrics = static_cast<std::uint16_t>(std::stoi(content(folder_.file("port"))));
  EXPECT_EQ(status(probes, "/metrics"), 404) << "they are apart";
  std::vector<Fd> idle;
  for (int i = 0; i < 200; ++i) idle.push_back(held(i % 2 == 0 ? metrics : probes));
  for (int i = 0; i < 10; ++i)
    for (const std::uint16_t port : {metrics, probes}) EXPECT_EQ(status(port, "/healthz"), 200);
  EXPECT_EQ(status(probes, "/readyz"), 503) << "no controller answers";
  EXPECT_EQ(status(metrics, "/metrics"), 200);
  int refused = 0;
  for (int i = 0; i < 60; ++i) refused += status(metrics, "/metrics") == 429 ? 1 : 0;
  EXPECT_GT(refused, 10) << "making them costs more than asking for them";
  EXPECT_EQ(status(metrics, "/healthz"), 200);
}

}  // namespace
}  // namespace faultline::test

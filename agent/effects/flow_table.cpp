// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/flow_table.h"

#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

#include "agent/kernel/netns.h"

namespace faultline::agent {
namespace {

constexpr std::string_view kEstablished = "01", kListen = "0A";

template <class T>
bool hex(std::string_view text, T& value) {
  const auto done = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return done.ec == std::errc{} && done.ptr == text.data() + text.size();
}

// "0100007F:1F90", or four such words before the colon. The words hold the address in network
// order, as a number of the machine.
bool end_of(std::string_view text, std::array<std::uint64_t, 2>& address, std::uint16_t& port) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !hex(text.substr(colon + 1), port)) return false;
  std::array<std::uint32_t, 4> words{0, 0, htobe32(0xffff), 0};
  if (colon == 8) {
    if (!hex(text.substr(0, 8), words[3])) return false;
  } else if (colon == 32) {
    for (std::size_t i = 0; i < words.size(); ++i)
      if (!hex(text.substr(i * 8, 8), words[i])) return false;
  } else {
    return false;
  }
  std::memcpy(address.data(), words.data(), sizeof words);
  return true;
}

}  // namespace

// "  0: 0100007F:1F90 00000000:0000 0A ...": the local end, the other, the state.
std::vector<FlowSocket> flow_sockets(std::istream& proc_net_tcp) {
  std::vector<FlowSocket> sockets;
  std::string line;
  std::getline(proc_net_tcp, line);  // titles
  while (std::getline(proc_net_tcp, line)) {
    std::istringstream words(line);
    std::string number, local, remote, state;
    if (!(words >> number >> local >> remote >> state)) continue;
    if (state != kEstablished && state != kListen) continue;
    FlowSocket socket;
    std::array<std::uint64_t, 2> own{}, peer{};
    std::uint16_t peer_port = 0;
    if (!end_of(local, own, socket.key.pod_port) || !end_of(remote, peer, peer_port)) continue;
    socket.listens = state == kListen;
    if (!socket.listens) {
      socket.key.peer[0] = peer[0];
      socket.key.peer[1] = peer[1];
      socket.key.peer_port = peer_port;
    }
    sockets.push_back(socket);
  }
  return sockets;
}

std::vector<OlderConnection> older_connections(const std::vector<FlowSocket>& sockets) {
  std::set<std::uint16_t> listening;
  for (const FlowSocket& socket : sockets)
    if (socket.listens) listening.insert(socket.key.pod_port);
  std::vector<OlderConnection> connections;
  for (const FlowSocket& socket : sockets)
    if (!socket.listens)
      connections.push_back(
          {socket.key, listening.contains(socket.key.pod_port) ? FL_FLOW_SERVER : FL_FLOW_CLIENT});
  return connections;
}

Result<std::vector<OlderConnection>> older_connections_in(const std::string& netns_path) {
  auto inside = ScopedNetns::enter(netns_path);
  if (!inside) return fail(inside.error());
  std::vector<FlowSocket> sockets;
  for (const char* path : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"})
    if (std::ifstream in(path); in)
      for (const FlowSocket& socket : flow_sockets(in)) sockets.push_back(socket);
  return older_connections(sockets);
}

}  // namespace faultline::agent

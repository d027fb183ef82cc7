// SPDX-License-Identifier: Apache-2.0
// A client and a server that talk through the programs of packet_flow, by BPF_PROG_TEST_RUN.
#pragma once

#include <array>
#include <cstring>
#include <ostream>

#include "agent/effects/flow_node.h"
#include "agent/kernel/counters.h"
#include "flow_http2_abi.h"
#include "tests/kernel/packets.h"

namespace faultline::test {

struct Figures {
  std::uint64_t answered = 0, durations = 0, failed = 0, abandoned = 0, ok = 0, unavailable = 0;
  bool operator==(const Figures&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Figures& f) {
  return out << f.answered << " answered, " << f.durations << " durations, " << f.failed
             << " failed, " << f.abandoned << " abandoned, " << f.ok << " 2xx, " << f.unavailable
             << " 5xx";
}

// The server's pod is 10.0.0.2:8080; each connect() is from another port of 10.0.0.1.
class Conversation {
 public:
  Conversation() : flow_(opened<packet_flow_bpf>("packet_flow")) {
    auto seat = agent::FlowSeat::take(*flow_);
    if (!seat) throw std::runtime_error(seat.error().message);
    seat_ = std::move(*seat);
    if (auto loaded = flow_.load(); !loaded) throw std::runtime_error(loaded.error().message);
    flow_->bss->fl_flow_pod.window = 1;
    if (auto shown = seat_->show(*flow_); !shown) throw std::runtime_error(shown.error().message);
    flow_->bss->fl_flow_pod.ready = 1;
  }
  void connect() {
    ++port_;
    client_seq_ = 1000;
    shake_hands();
    before_ = totals();
    gaps_before_ = gaps();
    unanswered_before_ = flow_->bss->fl_flow_pod.services[0].unanswered;
    early_before_ = flow_->bss->fl_flow_pod.services[0].early;
  }
  // Another connection between the same ports.
  void connect_again() {
    client_seq_ += 100000;
    shake_hands();
  }
  // A connection whose beginning nobody saw, and that is not in the table of sockets.
  void join() {
    connect();
    ++port_;
    before_ = totals();
  }
  // One that user space has entered.
  void join_as(std::uint32_t side) {
    join();
    fl_flow_connection entry{};
    entry.side = static_cast<__u8>(side);
    entry.flags = FL_FLOW_OLD;
    entry.service = FL_FLOW_NO_SERVICE;
    const fl_flow_key key = this->key();
    bpf_map_update_elem(bpf_map__fd(flow_->maps.fl_flow_conns), &key, &entry, BPF_NOEXIST);
  }
  void client(const Bytes& data, unsigned flags = kAck | kPsh) {
    run(flow_->progs.fl_flow_out_from, segment(false, flags, data));
    client_seq_ += static_cast<std::uint32_t>(data.size());
  }
  void server(const Bytes& data, unsigned flags = kAck | kPsh, std::uint32_t not_acked = 0) {
    run(flow_->progs.fl_flow_out_to, segment(true, flags, data, not_acked));
    server_seq_ += static_cast<std::uint32_t>(data.size());
  }
  void client_again(const Bytes& data) {
    client_seq_ -= static_cast<std::uint32_t>(data.size());
    client(data);
  }
  // Segments that are written but not seen, or seen later.
  void skip_client(std::uint32_t bytes) { client_seq_ += bytes; }
  void skip_server(std::uint32_t bytes) { server_seq_ += bytes; }
  void back_server(std::uint32_t bytes) { server_seq_ -= bytes; }
  void back_client(std::uint32_t bytes) { client_seq_ -= bytes; }
  // The end of a window.
  void sweep() { run(flow_->progs.fl_flow_sweep, segment(false, kAck, {})); }
  void next_window() { ++flow_->bss->fl_flow_pod.window; }
  // How many connections or requests were not measured for this reason, since connect().
  [[nodiscard]] std::uint64_t missed(std::uint32_t gap) const {
    return gaps()[gap] - gaps_before_[gap];
  }
  [[nodiscard]] std::uint64_t unanswered() const {
    return flow_->bss->fl_flow_pod.services[0].unanswered - unanswered_before_;
  }
  [[nodiscard]] std::uint64_t early() const {
    return flow_->bss->fl_flow_pod.services[0].early - early_before_;
  }
  // Requests of HTTP/2 that are remembered, of all connections.
  [[nodiscard]] std::size_t streams() const {
    const int map = bpf_map__fd(flow_->maps.fl_flow_streams);
    std::size_t count = 0;
    fl_flow_key key{}, next{};
    for (void* from = nullptr; bpf_map_get_next_key(map, from, &next) == 0; from = &key, ++count)
      key = next;
    return count;
  }

  [[nodiscard]] fl_flow_key key() const {
    fl_flow_key key{};
    const std::array<std::uint8_t, 16> peer{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    std::memcpy(key.peer, peer.data(), peer.size());
    key.pod_port = 8080;
    key.peer_port = port_;
    return key;
  }
  [[nodiscard]] fl_flow_connection state() const {
    const fl_flow_key key = this->key();
    fl_flow_connection state{};
    if (bpf_map_lookup_elem(bpf_map__fd(flow_->maps.fl_flow_conns), &key, &state) != 0)
      throw std::runtime_error("no such connection");
    return state;
  }
  [[nodiscard]] Figures figures() const {
    const Figures now = totals();
    return {now.answered - before_.answered,
            now.durations - before_.durations,
            now.failed - before_.failed,
            now.abandoned - before_.abandoned,
            now.ok - before_.ok,
            now.unavailable - before_.unavailable};
  }

 private:
  void shake_hands() {
    server_seq_ = 5000;
    run(flow_->progs.fl_flow_out_from, segment(false, kSyn, {}));
    run(flow_->progs.fl_flow_out_to, segment(true, kSyn | kAck, {}));
    ++server_seq_;
  }
  [[nodiscard]] Figures totals() const {
    const fl_flow_service& s = flow_->bss->fl_flow_pod.services[0];
    return {s.latency.count, s.duration.count, s.failed,
            s.abandoned,     s.responses[2],   s.responses[5]};
  }
  [[nodiscard]] Bytes segment(bool of_server, unsigned flags, const Bytes& data,
                              std::uint32_t not_acked = 0) const {
    TcpPart part{.source = port_, .dest = 8080, .seq = client_seq_, .ack = server_seq_};
    if (of_server)
      part = {.source = 8080,
              .dest = port_,
              .seq = server_seq_,
              .ack = client_seq_ + ((flags & kSyn) != 0 ? 0 : -not_acked)};
    part.flags = flags;
    part.payload = data;
    IpPart ip;
    if (of_server) std::swap(ip.source, ip.dest);
    return ethernet(ETHERTYPE_IP, ipv4(ip, tcp(part)));
  }
  static void run(const bpf_program* program, const Bytes& frame) {
    if (run_program(bpf_program__fd(program), frame) != kNext)
      throw std::runtime_error("packet_flow changed a packet's way");
  }

  using Gaps = std::array<std::uint64_t, FL_FLOW_GAP_SLOTS>;
  [[nodiscard]] Gaps gaps() const {
    Gaps sum{};
    const auto cpus = agent::read_per_cpu<fl_flow_counters>(
        bpf_map__fd(flow_->maps.fl_flow_counters), std::uint32_t{0});
    if (!cpus) throw std::runtime_error(cpus.error().message);
    for (const fl_flow_counters& cpu : *cpus)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += cpu.gaps[i];
    return sum;
  }

  std::unique_ptr<agent::FlowSeat> seat_;
  agent::Skeleton<packet_flow_bpf> flow_;
  std::uint16_t port_ = 40000;
  std::uint32_t client_seq_ = 0, server_seq_ = 0;
  Figures before_;
  Gaps gaps_before_{};
  std::uint64_t unanswered_before_ = 0, early_before_ = 0;
};

}  // namespace faultline::test

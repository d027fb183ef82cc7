// SPDX-License-Identifier: Apache-2.0
// Packets for BPF_PROG_TEST_RUN: frames made of parts, and a TCP connection that writes them.
#pragma once

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <net/ethernet.h>
#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "agent/kernel/skeleton.h"

namespace faultline::test {

using Bytes = std::string;

inline Bytes be16(unsigned value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
inline Bytes be32(std::uint32_t value) { return be16(value >> 16) + be16(value & 0xffff); }

inline constexpr unsigned kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10;

struct TcpPart {
  std::uint16_t source = 40000, dest = 8080;
  std::uint32_t seq = 1000, ack = 1;
  unsigned flags = kAck | kPsh;
  Bytes payload{};
  Bytes options{};  // a multiple of 4
};

inline Bytes tcp(const TcpPart& part) {
  return be16(part.source) + be16(part.dest) + be32(part.seq) + be32(part.ack) +
         Bytes{static_cast<char>((5 + part.options.size() / 4) << 4),
               static_cast<char>(part.flags)} +
         be16(65535) + be16(0) + be16(0) + part.options + part.payload;
}

struct IpPart {
  Bytes source{"\x0a\x00\x00\x01", 4}, dest{"\x0a\x00\x00\x02", 4};
  int protocol = IPPROTO_TCP;
  Bytes options{};         // IPv4, a multiple of 4
  unsigned fragment = 0;   // IPv4: flags and offset
  unsigned id = 7;         // IPv4: of the datagram
  bool no_length = false;  // as BIG TCP writes it
  int version = 4;
};

inline Bytes ipv4(const IpPart& part, const Bytes& body) {
  const std::size_t header = 20 + part.options.size();
  return Bytes{static_cast<char>(0x40 | header / 4), 0} +
         be16(part.no_length ? 0 : static_cast<unsigned>(header + body.size())) + be16(part.id) +
         be16(part.fragment) + Bytes{64, static_cast<char>(part.protocol)} + be16(0) + part.source +
         part.dest + part.options + body;
}

// `extensions` stand before the transport header; `next` is the type of the first.
inline Bytes ipv6(const Bytes& body, int next = IPPROTO_TCP, const Bytes& extensions = {},
                  bool no_length = false) {
  const Bytes source = Bytes(15, '\0') + '\1', dest = Bytes(15, '\0') + '\2';
  return Bytes{0x60, 0, 0, 0} +
         be16(no_length ? 0 : static_cast<unsigned>(extensions.size() + body.size())) +
         Bytes{static_cast<char>(next), 64} + source + dest + extensions + body;
}

// One extension header of `units` times 8 bytes.
inline Bytes extension(int next, unsigned units = 1) {
  return Bytes{static_cast<char>(next), static_cast<char>(units - 1)} + Bytes(units * 8 - 2, '\0');
}
inline Bytes fragment_header(int next, unsigned offset, bool more, std::uint32_t id = 1) {
  return Bytes{static_cast<char>(next), 0} + be16(offset << 3 | (more ? 1U : 0U)) + be32(id);
}

// `tags`: what stands between the addresses and the packet's own type.
inline Bytes ethernet(unsigned type, const Bytes& packet, const Bytes& tags = {}) {
  return Bytes{2, 0, 0, 0, 0, 2} + Bytes{2, 0, 0, 0, 0, 1} + tags + be16(type) + packet;
}
inline Bytes vlan_tag(unsigned type = 0x8100, unsigned id = 5) { return be16(type) + be16(id); }

struct RunAs {
  std::uint32_t gso_size = 0, gso_segs = 0;
  std::uint32_t mark = 0;
};

// What the program of a tc hook returns for the frame.
inline int run_program(int program, Bytes frame, const RunAs& as = {}) {
  std::array<char, 4096> out{};
  __sk_buff context{};
  context.gso_size = as.gso_size;
  context.gso_segs = as.gso_segs;
  context.mark = as.mark;
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_out = out.data();
  options.data_size_out = out.size();
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  if (const int rc = bpf_prog_test_run_opts(program, &options); rc != 0)
    throw std::runtime_error("test run: " + std::to_string(rc));
  return static_cast<int>(options.retval);
}

template <class T>
agent::Skeleton<T> opened(const char* name) {
  auto skeleton = agent::Skeleton<T>::open(name);
  if (!skeleton) throw std::runtime_error(skeleton.error().message);
  return std::move(*skeleton);
}

// Verdicts.
inline constexpr int kNext = -1, kDrop = 2;

}  // namespace faultline::test

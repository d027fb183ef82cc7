// SPDX-License-Identifier: Apache-2.0
// The messages of Netlink: for netlink*.cpp and nobody else.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kernel/netlink.h"

namespace faultline::agent {

constexpr std::size_t kMaxAnswer =
    std::size_t{64} * 1024;  // the kernel builds dumps in at most 32 KiB

inline Error with_errno(int positive, const std::string& what) {
  Error error = from_errno(positive, what);
  if (positive == ENODEV) error.code = Errc::kNotFound;
  return error;
}

// Attributes of a message whose fixed part is `Header`; those that are cut short are not visited.
template <class Header, class F>
void each_attribute(const nlmsghdr& message, F visit) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&message);
  std::size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(Header));
  while (at + sizeof(rtattr) <= message.nlmsg_len) {
    rtattr attribute{};
    std::memcpy(&attribute, bytes + at, sizeof attribute);
    if (attribute.rta_len < sizeof(rtattr) || at + attribute.rta_len > message.nlmsg_len) return;
    visit(attribute.rta_type & NLA_TYPE_MASK,
          std::span(bytes + at + sizeof(rtattr), attribute.rta_len - sizeof(rtattr)));
    at += RTA_ALIGN(attribute.rta_len);
  }
}

template <class T>
T read_as(std::span<const std::uint8_t> data) {
  T value{};
  if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
  return value;
}

inline std::string read_string(std::span<const std::uint8_t> data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  return std::string(text.substr(0, text.find('\0')));
}

template <class Header>
Header header_of(const nlmsghdr& message) {
  Header header{};
  if (message.nlmsg_len >= NLMSG_LENGTH(sizeof header))
    std::memcpy(&header, reinterpret_cast<const std::uint8_t*>(&message) + NLMSG_HDRLEN,
                sizeof header);
  return header;
}

class Netlink::Request {
 public:
  template <class Header>
  Request(int type, int flags, const Header& header) {
    nlmsghdr message{};
    message.nlmsg_type = static_cast<__u16>(type);
    message.nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | flags);
    append(&message, sizeof message);
    append(&header, sizeof header);
  }
  void add(int type, const void* data, std::size_t size) {
    rtattr attribute{};
    attribute.rta_type = static_cast<unsigned short>(type);
    attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
    append(&attribute, sizeof attribute);
    append(data, size);
  }
  void add(int type, std::uint32_t value) { add(type, &value, sizeof value); }
  void add(int type, const std::string& text) { add(type, text.c_str(), text.size() + 1); }
  // What is added until close() is inside; `header` comes first in it.
  [[nodiscard]] std::size_t nest(int type) {
    const std::size_t at = bytes_.size();
    add(type | NLA_F_NESTED, nullptr, 0);
    return at;
  }
  template <class Header>
  [[nodiscard]] std::size_t nest(int type, const Header& header) {
    const std::size_t at = nest(type);
    append(&header, sizeof header);
    return at;
  }
  void close(std::size_t nest) {
    const auto size = static_cast<unsigned short>(bytes_.size() - nest);
    std::memcpy(bytes_.data() + nest + offsetof(rtattr, rta_len), &size, sizeof size);
  }
  std::span<const std::uint8_t> finish(std::uint32_t sequence) {
    nlmsghdr message{};
    std::memcpy(&message, bytes_.data(), sizeof message);
    message.nlmsg_len = static_cast<__u32>(bytes_.size());
    message.nlmsg_seq = sequence;
    std::memcpy(bytes_.data(), &message, sizeof message);
    return bytes_;
  }
  [[nodiscard]] bool dump() const {
    return (read_as<nlmsghdr>(bytes_).nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  }

 private:
  void append(const void* data, std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(size));
    if (size > 0) std::memcpy(bytes_.data() + at, data, size);
  }
  std::vector<std::uint8_t> bytes_;
};

template <class F>
Result<> Netlink::exchange(Request& request, F each) {
  const bool dump = request.dump();
  const auto bytes = request.finish(++sequence_);
  if (::send(socket_.get(), bytes.data(), bytes.size(), 0) < 0)
    return fail(from_errno(errno, "netlink send"));
  alignas(nlmsghdr) std::uint8_t answer[kMaxAnswer];
  for (;;) {
    const ssize_t n = ::recv(socket_.get(), answer, sizeof answer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(from_errno(errno, "netlink receive"));
    for (std::size_t at = 0; at + sizeof(nlmsghdr) <= static_cast<std::size_t>(n);) {
      const auto& message = *reinterpret_cast<const nlmsghdr*>(answer + at);
      if (message.nlmsg_len < sizeof(nlmsghdr) ||
          at + message.nlmsg_len > static_cast<std::size_t>(n))
        return fail(Errc::kInternal, "netlink answer is cut short");
      at += NLMSG_ALIGN(message.nlmsg_len);
      if (message.nlmsg_seq != sequence_) continue;  // of an exchange that ended early
      if (message.nlmsg_type == NLMSG_DONE) return {};
      if (message.nlmsg_type == NLMSG_ERROR) {
        const int error = -header_of<nlmsgerr>(message).error;
        if (error != 0) return fail(with_errno(error, "netlink"));
        return {};
      }
      each(message);
      if (!dump) return {};
    }
  }
}

}  // namespace faultline::agent

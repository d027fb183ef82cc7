// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/page_delay/fuse_channel.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace faultline::agent {
namespace {

constexpr std::uint64_t kFileId = 2;            // FUSE_ROOT_ID is 1
constexpr std::uint64_t kForever = 31'536'000;  // seconds that names and attributes stay true
constexpr std::size_t kBuffer = std::size_t{64} << 10;
constexpr std::uint32_t kMinor = 31;

fuse_attr attributes(std::uint64_t id, std::uint64_t file_bytes) {
  fuse_attr attr{};
  attr.ino = id;
  attr.nlink = 1;
  attr.mode = id == kFileId ? S_IFREG | 0400U : S_IFDIR | 0500U;
  attr.size = id == kFileId ? file_bytes : 0;
  attr.blksize = 4096;
  return attr;
}

// The request's own part, which follows the header.
template <class T>
T body(const std::vector<char>& buffer, std::size_t size) {
  T value{};
  if (size >= sizeof(fuse_in_header) + sizeof value)
    std::memcpy(&value, buffer.data() + sizeof(fuse_in_header), sizeof value);
  return value;
}

}  // namespace

FuseChannel::FuseChannel(Fd fd, std::uint64_t file_bytes)
    : fd_(std::move(fd)), file_bytes_(file_bytes), buffer_(kBuffer) {}

Result<FuseChannel> FuseChannel::open(std::uint64_t file_bytes) {
  Fd fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return fail(from_errno(errno, "cannot open /dev/fuse"));
  return FuseChannel(std::move(fd), file_bytes);
}

void FuseChannel::answer(std::uint64_t unique, const void* data, std::size_t size) const {
  fuse_out_header header{};
  header.len = static_cast<std::uint32_t>(sizeof header + size);
  header.unique = unique;
  const iovec parts[2] = {{&header, sizeof header}, {const_cast<void*>(data), size}};
  (void)!::writev(fd_.get(), parts, size == 0 ? 1 : 2);
}

void FuseChannel::refuse(std::uint64_t unique, int number) const {
  fuse_out_header header{};
  header.len = sizeof header;
  header.error = -number;
  header.unique = unique;
  (void)!::write(fd_.get(), &header, sizeof header);
}

void FuseChannel::answer_init(std::uint64_t unique) const {
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = kMinor;
  out.max_write = 4096;
  out.time_gran = 1;
  answer(unique, &out, sizeof out);
}

void FuseChannel::answer_lookup(std::uint64_t unique, const char* name) const {
  if (std::strcmp(name, kFile) != 0) return refuse(unique, ENOENT);
  fuse_entry_out out{};
  out.nodeid = kFileId;
  out.entry_valid = out.attr_valid = kForever;
  out.attr = attributes(kFileId, file_bytes_);
  answer(unique, &out, sizeof out);
}

Result<FuseChannel::Request> FuseChannel::next() {
  const ssize_t got = ::read(fd_.get(), buffer_.data(), buffer_.size() - 1);
  if (got < 0) {
    if (errno == ENODEV) return Request{.what = What::kEnded};
    if (errno == EAGAIN) return Request{.what = What::kNone};
    // ENOENT: the request was taken back while we asked for it.
    if (errno == EINTR || errno == ENOENT) return Request{};
    return fail(from_errno(errno, "cannot read /dev/fuse"));
  }
  const auto size = static_cast<std::size_t>(got);
  if (size < sizeof(fuse_in_header)) return Request{};
  buffer_[size] = 0;  // names end before it
  fuse_in_header in{};
  std::memcpy(&in, buffer_.data(), sizeof in);
  switch (in.opcode) {
    case FUSE_READ:
      return Request{.what = What::kRead,
                     .unique = in.unique,
                     .offset = body<fuse_read_in>(buffer_, size).offset,
                     .thread = static_cast<pid_t>(in.pid)};
    case FUSE_INTERRUPT:
      return Request{.what = What::kInterrupt,
                     .unique = body<fuse_interrupt_in>(buffer_, size).unique};
    case FUSE_INIT:
      answer_init(in.unique);
      break;
    case FUSE_LOOKUP:
      answer_lookup(in.unique, buffer_.data() + sizeof in);
      break;
    case FUSE_GETATTR: {
      fuse_attr_out out{};
      out.attr_valid = kForever;
      out.attr = attributes(in.nodeid, file_bytes_);
      answer(in.unique, &out, sizeof out);
      break;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      const fuse_open_out out{.fh = 0, .open_flags = FOPEN_KEEP_CACHE, .padding = 0};
      answer(in.unique, &out, sizeof out);
      break;
    }
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_ACCESS:
    case FUSE_DESTROY:
      answer(in.unique, nullptr, 0);
      break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:  // these want no answer
      break;
    default:
      refuse(in.unique, ENOSYS);
  }
  return Request{};
}

}  // namespace faultline::agent

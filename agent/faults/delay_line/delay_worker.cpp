// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/delay_worker.h"

#include <linux/if_ether.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "agent/kernel/timing_thread.h"

namespace faultline::agent {
namespace {

constexpr std::size_t kReadBatch = 16, kWriteBatch = 32;
constexpr std::size_t kVnet = TapDevice::kVnetHeader;
static_assert(sizeof(fl_delay_label) == std::size_t{2} * ETH_ALEN);
constexpr std::uint64_t kUs = 1000, kMs = 1000 * kUs;
constexpr std::uint64_t kIdle = 1000 * kMs;
// Waits are not shorter, so that dense traffic moves in batches: what it is late at most.
constexpr std::uint64_t kBatch = 40 * kUs;
// Packets carry the time of their arrival, so they need not be read before they are due, and each
// wake-up saved is CPU time for the pod. This bounds what gathers in the TAP's ring.
constexpr std::uint64_t kMostUnread = 2 * kMs, kLeastUnread = 200 * kUs;
// The hook is told so often that this thread runs.
constexpr std::uint64_t kStamp = 4 * kMs;
static_assert(kStamp * 10 == FL_DELAY_STALL_NS);
// So many packets in a row, and the last read so long after it came: more come than are read. Until
// the TAP is empty, or packets are read within the lesser time, the hook takes none, and the TAP's
// ring (16 384 packets) does not overflow. A thread that was late for once has not so many to read.
constexpr std::uint64_t kBehind = 8 * kMs, kCaughtUp = 4 * kMs, kInARow = 4096;

std::uint64_t unread_for(const HoldRule& rule) {
  const auto low = static_cast<std::uint64_t>(rule.low().count());
  return low / 2 < kLeastUnread ? 0 : std::min(low / 2, kMostUnread);
}

KtimeNs now_ns() { return SystemClock().ktime(); }

// One thread writes, so no read-modify-write is needed.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

DelayWorker::DelayWorker(const TapDevice& tap, std::unique_ptr<HoldRule> rule, Options options)
    : tap_(tap),
      options_(options),
      rule_(std::move(rule)),
      arena_(options.most_bytes, PacketBudget::of_process()),
      unread_(unread_for(*rule_)) {}

DelayWorker::~DelayWorker() { stop(); }

Result<> DelayWorker::start() {
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return fail(from_errno(errno, "eventfd"));
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& e) {
    return fail(from_errno(e.code().value(), "start the delay line's thread"));
  }
  return {};
}

void DelayWorker::flush() {
  flushing_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  if (wake_ >= 0) (void)!::write(wake_, &one, sizeof(one));
}

void DelayWorker::stop() {
  stop_.store(true, std::memory_order_release);
  flush();
  if (thread_.joinable()) thread_.join();
  if (wake_ >= 0) ::close(wake_);
  wake_ = -1;
}

void DelayWorker::run() {
  TimingThread timing("fl-delay");
  while (!stop_.load(std::memory_order_acquire)) {
    const KtimeNs now = now_ns();
    timing.turn(now);
    const bool ending = flushing_.load(std::memory_order_acquire) || now.ns >= lease();
    if (!ending)
      flush_until_ = {};
    else if (flush_until_.ns == 0)
      begin_flush(now);
    tell_alive(now);
    if (read_some() + release_due() == 0) wait();
  }
}

void DelayWorker::tell_alive(KtimeNs now) {
  const bool ready = !full_ && !behind_;
  std::atomic_ref(*options_.alive_ns).store(ready ? now.ns : 0, std::memory_order_relaxed);
}

void DelayWorker::begin_flush(KtimeNs now) {
  flush_until_ = queue_.hurry(now, kFlush);
  rule_->forget();
}

std::size_t DelayWorker::read_some() {
  std::size_t n = 0;
  for (; n < kReadBatch; ++n) {
    std::byte* bytes = arena_.room(TapDevice::kMaxPacket);
    // Full: what comes now waits in the TAP's own ring, and what finds no room there is counted by
    // the kernel.
    full_ = bytes == nullptr;
    if (full_) break;
    const ssize_t size = ::read(tap_.fd(), bytes, TapDevice::kMaxPacket);
    if (size <= 0) {
      if (size == 0 || errno == EAGAIN || errno == EINTR) {
        drained_ = now_ns();
        behind_ = false;
        in_a_row_ = 0;
        break;
      }
      add(read_errors_, 1);
      // The descriptor itself is broken: wait() must not spin on it.
      if (errno == EBADFD || errno == EIO) break;
      continue;
    }
    accept(bytes, static_cast<std::size_t>(size));
  }
  return n;
}

// [vnet header][label][type ...]: the packet stays as it is, and what it was is in its slot.
void DelayWorker::accept(std::byte* bytes, std::size_t size) {
  fl_delay_label label{};
  if (size >= kVnet + ETH_HLEN) std::memcpy(&label, bytes + kVnet, sizeof label);
  const std::uint64_t cookie = (std::uint64_t{label.cookie[1]} << 32) | label.cookie[0];
  fl_delay_slot* slot = options_.slots->of(label.number);
  if (size < kVnet + ETH_HLEN || cookie != options_.cookie || slot == nullptr) {
    add(foreign_, 1);
    return;
  }
  const KtimeNs arrived{slot->arrived_ns};
  behind_ = ++in_a_row_ >= kInARow && now_ns().ns - arrived.ns > (behind_ ? kCaughtUp : kBehind);
  const auto bytes_on_wire = static_cast<std::uint32_t>(size - kVnet + slot->more);
  std::optional<Place> place = Place{.due = std::max(flush_until_, now_ns())};
  if (flush_until_.ns == 0)
    place = rule_->place({.at = arrived,
                          .flow = slot->flow,
                          .lane = slot->lane,
                          .bytes = bytes_on_wire,
                          .spared = (slot->flags & FL_DELAY_SPARED) != 0});
  add(read_, 1);
  if (!place) {
    HeldSlots::put(*slot);
    add(dropped_, 1);
    hit(arrived);
    return;
  }
  held_.store(queue_.size() + 1, std::memory_order_release);
  if (place->waits) hit(arrived);
  queue_.push({.due = place->due,
               .arrived = arrived,
               .bytes = bytes,
               .chunk = arena_.commit(size),
               .size = static_cast<std::uint32_t>(size),
               .wire = bytes_on_wire,
               .lane = slot->lane,
               .waits = place->waits,
               .behind = place->behind});
}

std::size_t DelayWorker::release_due() {
  std::size_t n = 0;
  KtimeNs now = now_ns();
  while (n < kWriteBatch && !queue_.empty() && queue_.next_due() <= now) {
    const HeldPacket packet = queue_.pop();
    write_back(packet);
    arena_.release(packet.chunk);
    now = now_ns();
    if (packet.waits) depart(packet, now);
    ++n;
  }
  if (n > 0) held_.store(queue_.size(), std::memory_order_release);
  return n;
}

void DelayWorker::write_back(const HeldPacket& packet) {
  ssize_t size;
  do size = ::write(tap_.fd(), packet.bytes, packet.size);
  while (size < 0 && errno == EINTR);
  add(size == static_cast<ssize_t>(packet.size) ? written_ : write_errors_, 1);
}

// A packet that was held or dropped. first_hit_: the first, at its arrival.
void DelayWorker::hit(KtimeNs at) {
  if (first_hit_.load(std::memory_order_relaxed) == 0)
    first_hit_.store(at.ns, std::memory_order_relaxed);
  if (at.ns > last_hit_.load(std::memory_order_relaxed))
    last_hit_.store(at.ns, std::memory_order_relaxed);
}

// It had to wait and now it is out.
void DelayWorker::depart(const HeldPacket& packet, KtimeNs now) {
  const std::uint64_t ns = now.ns - packet.arrived.ns;
  add(waited_, 1);
  if (flush_until_.ns != 0) {  // it was in the line when the fault ended: no delay that was asked
    add(flushed_, 1);
  } else {
    add(buckets_[fl_hist_bucket(ns)], 1);
    add(sum_ns_, ns);
    if (ns > max_ns_.load(std::memory_order_relaxed)) max_ns_.store(ns, std::memory_order_relaxed);
  }
  last_hit_.store(now.ns, std::memory_order_relaxed);
  KtimeNs& before = last_out_[packet.lane & 1];
  if (packet.behind && before.ns != 0 && flush_until_.ns == 0) {
    add(behind_bytes_, packet.wire);
    add(behind_ns_, now.ns - before.ns);
  }
  before = now;
}

void DelayWorker::wait() {
  std::uint64_t now = now_ns().ns;
  // The hook wants to hear of us. A lease may begin at any time, and nobody wakes us for that.
  std::uint64_t until = now + (flushing_.load(std::memory_order_acquire) ? kIdle : kStamp);
  // A full arena must not make us spin on a readable TAP.
  bool watch_tap = !full_;
  if (queue_.empty()) {
    arena_.trim();
  } else {
    until = std::min(until, queue_.next_due().ns);
    // At the end of the lease what is held must go, however long it was to wait.
    if (flush_until_.ns == 0) until = std::min(until, lease());
    if (unread_ != 0 && flush_until_.ns == 0) {
      watch_tap = false;
      until = std::min(until, drained_.ns + unread_);
    }
    until = std::max(until, now + kBatch);
  }
  const std::uint64_t wait = until - now;
  pollfd fds[2] = {{wake_, POLLIN, 0}, {tap_.fd(), POLLIN, 0}};
  const timespec timeout = {static_cast<time_t>(wait / (1000 * kMs)),
                            static_cast<long>(wait % (1000 * kMs))};
  ::ppoll(fds, watch_tap ? 2 : 1, &timeout, nullptr);
  std::uint64_t count;
  if (fds[0].revents & POLLIN) (void)!::read(wake_, &count, sizeof(count));
}

DelayLineStats DelayWorker::stats() const {
  const auto get = [](const Counter& counter) { return counter.load(std::memory_order_relaxed); };
  return {.read = get(read_),
          .foreign = get(foreign_),
          .written = get(written_),
          .read_errors = get(read_errors_),
          .write_errors = get(write_errors_),
          .dropped = get(dropped_),
          .waited = get(waited_),
          .flushed = get(flushed_),
          .behind_bytes = get(behind_bytes_),
          .behind_ns = get(behind_ns_),
          .first_hit = {get(first_hit_)},
          .last_hit = {get(last_hit_)}};
}

api::Histogram DelayWorker::added_latency() const {
  api::Histogram histogram;
  for (std::uint32_t i = 0; i < buckets_.size(); ++i)
    if (const std::uint64_t n = buckets_[i].load(std::memory_order_relaxed))
      histogram.buckets[i] = n;
  histogram.sum = static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
  histogram.max = static_cast<double>(max_ns_.load(std::memory_order_relaxed)) / 1e9;
  return histogram;
}

}  // namespace faultline::agent

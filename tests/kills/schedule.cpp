// SPDX-License-Identifier: Apache-2.0
#include "tests/kills/schedule.h"

namespace faultline::kills {
namespace {

const char* word(Victim victim) {
  switch (victim) {
    case Victim::kAgent:
      return "agent";
    case Victim::kController:
      return "controller";
    case Victim::kWatchdog:
      return "watchdog";
    case Victim::kPageHelper:
      return "page helper";
    case Victim::kCommand:
      break;
  }
  return "command";
}

std::string words_of(milliseconds time) { return std::to_string(time.count()) + " ms"; }

}  // namespace

const std::vector<FaultKind>& fault_kinds() {
  static const std::vector<FaultKind> all{
      {"networkLatency", "networkLatency: {latency: 300ms}", Feels::kPackets, ""},
      {"networkLoss", "networkLoss: {loss: 100%}", Feels::kPackets, ""},
      {"networkBandwidth", "networkBandwidth: {rate: 64kbit}", Feels::kPackets, ""},
      {"socketError", "socketError: {operations: [connect], errno: ETIMEDOUT}", Feels::kConnects,
       ""},
      {"syscallError", "syscallError: {syscalls: [openat], errno: ENOSPC}", Feels::kCalls,
       "fmod_ret on system calls"},
      {"syscallLatency", "syscallLatency: {syscalls: [openat], latency: 300ms}", Feels::kSlowCalls,
       ""},
      {"syscallError", "syscallError: {syscalls: [connect], errno: ETIMEDOUT}", Feels::kConnects,
       ""}};
  return all;
}

std::string Round::words() const {
  std::string out = fault.name + " for " + words_of(fault_length) + ": ";
  switch (deed) {
    case Deed::kNothing:
      return out + "left alone";
    case Deed::kKill:
      out += std::string("kill of the ") + word(victim);
      break;
    case Deed::kStop:
      out += std::string("stop of the ") + word(victim) + " for " + words_of(lasts);
      break;
    case Deed::kDiskFull:
      out += "disk full for " + words_of(lasts);
      break;
    case Deed::kDiskBad:
      out += "EIO of the store for " + words_of(lasts);
      break;
    case Deed::kClock:
    case Deed::kClockAndKill:
      out += std::string("clock of the ") + word(victim) + (clock_hours < 0 ? " -1 h" : " +1 h") +
             (deed == Deed::kClockAndKill ? ", and its kill" : "");
      break;
  }
  out += ", " + words_of(when) + " after it was asked for";
  if (deed == Deed::kKill || deed == Deed::kClockAndKill) out += ", again after " + words_of(away);
  return out;
}

Schedule::Schedule(std::uint64_t seed, std::vector<FaultKind> possible)
    : random_(seed), possible_(std::move(possible)) {}

int Schedule::dice(int sides) {
  return static_cast<int>(random_() % static_cast<std::uint64_t>(sides));
}
milliseconds Schedule::between(int low_ms, int high_ms) {
  return milliseconds(low_ms + dice(high_ms - low_ms + 1));
}

Round Schedule::next() {
  Round round;
  round.fault = possible_[static_cast<std::size_t>(dice(static_cast<int>(possible_.size())))];
  round.baseline = dice(3) == 0 ? milliseconds(0) : between(200, 1000);
  round.fault_length = between(1500, 4000);
  round.recovery = dice(2) == 0 ? milliseconds(0) : between(200, 800);
  const int deed = dice(100);
  round.deed = deed < 6    ? Deed::kNothing
               : deed < 56 ? Deed::kKill
               : deed < 71 ? Deed::kStop
               : deed < 79 ? Deed::kDiskFull
               : deed < 87 ? Deed::kDiskBad
               : deed < 92 ? Deed::kClock
                           : Deed::kClockAndKill;
  const int victim = dice(100);
  round.victim = victim < 40   ? Victim::kAgent
                 : victim < 75 ? Victim::kController
                 : victim < 85 ? Victim::kCommand
                 : victim < 93 ? Victim::kWatchdog
                               : Victim::kPageHelper;
  if (round.deed != Deed::kKill && round.deed != Deed::kStop && round.victim != Victim::kAgent)
    round.victim = Victim::kController;
  if (round.deed == Deed::kStop && round.victim >= Victim::kWatchdog &&
      round.victim != Victim::kCommand)
    round.victim = Victim::kAgent;
  const auto whole = round.baseline + round.fault_length + round.recovery;
  round.when = between(0, static_cast<int>(whole.count()) + 400);
  round.lasts = round.deed == Deed::kStop ? between(1000, 10000) : between(300, 3000);
  round.away = dice(3) == 0 ? between(2500, 6000) : between(0, 1500);
  round.clock_hours = dice(2) == 0 ? -1 : 1;
  return round;
}

}  // namespace faultline::kills

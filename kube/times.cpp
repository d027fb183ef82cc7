// SPDX-License-Identifier: Apache-2.0
#include "kube/times.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace faultline::kube {
namespace {

std::string format(UtcTime time, bool micro) {
  namespace chr = std::chrono;
  const auto day = chr::floor<chr::days>(time);
  const chr::year_month_day date(day);
  const chr::hh_mm_ss clock(chr::floor<chr::microseconds>(time - day));
  std::array<char, 48> text{};
  const auto n = [](auto value) { return static_cast<int>(value); };
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d", n(date.year()),
                n(static_cast<unsigned>(date.month())), n(static_cast<unsigned>(date.day())),
                n(clock.hours().count()), n(clock.minutes().count()), n(clock.seconds().count()));
  std::string out = text.data();
  if (micro) {
    std::snprintf(text.data(), text.size(), ".%06d", n(clock.subseconds().count()));
    out += text.data();
  }
  return out + "Z";
}

// Takes `digits` digits and the character after them.
std::optional<int> take(std::string_view& text, std::size_t digits, std::string_view after) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + digits, value);
  if (bad != std::errc{} || end != text.data() + digits || text.front() == '-') return std::nullopt;
  text.remove_prefix(digits);
  if (after.empty()) return value;
  if (text.empty() || after.find(text.front()) == after.npos) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

}  // namespace

std::string format_time(UtcTime time) { return format(time, false); }
std::string format_micro_time(UtcTime time) { return format(time, true); }

std::optional<UtcTime> parse_time(std::string_view text) {
  namespace chr = std::chrono;
  const auto year = take(text, 4, "-"), month = take(text, 2, "-"), day = take(text, 2, "Tt ");
  const auto hour = take(text, 2, ":"), minute = take(text, 2, ":"), second = take(text, 2, "");
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const chr::year_month_day date(chr::year(*year), chr::month(static_cast<unsigned>(*month)),
                                 chr::day(static_cast<unsigned>(*day)));
  // The whole years that 64 bits of nanoseconds hold: Go's zero time, of the year 1, is none that
  // we could tell.
  if (*year < 1678 || *year > 2261) return std::nullopt;
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  UtcTime time = chr::sys_days(date) + chr::hours(*hour) + chr::minutes(*minute) +
                 chr::seconds(*second) + chr::nanoseconds(0);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
    for (std::int64_t place = 100'000'000;
         !text.empty() && text.front() >= '0' && text.front() <= '9'; place /= 10) {
      time += chr::nanoseconds((text.front() - '0') * place);
      text.remove_prefix(1);
    }
  }
  if (text == "Z" || text == "z") return time;
  if (text.size() != 6 || (text.front() != '+' && text.front() != '-')) return std::nullopt;
  const int sign = text.front() == '+' ? 1 : -1;
  text.remove_prefix(1);
  const auto hours = take(text, 2, ":"), minutes = take(text, 2, "");
  if (!hours || !minutes || !text.empty()) return std::nullopt;
  return time - sign * (chr::hours(*hours) + chr::minutes(*minutes));
}

}  // namespace faultline::kube

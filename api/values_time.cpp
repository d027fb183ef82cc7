// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "api/detail/text.h"
#include "api/values.h"

namespace faultline::api {
namespace {

using detail::in_quotes;
using std::chrono::nanoseconds;

struct TimeUnit {
  std::string_view name;
  std::int64_t ns;
};
// Longest names first so that "m" does not eat "ms". The two micro signs are U+00B5 and U+03BC.
constexpr TimeUnit kUnits[] = {
    {"ns", 1},         {"us", 1'000},        {"\xc2\xb5s", 1'000},  {"\xce\xbcs", 1'000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
constexpr std::int64_t kDay = 24 * 3'600'000'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `ns` as a decimal number of `unit`, without trailing zeros: exact.
std::string decimal(std::int64_t ns, std::int64_t unit) {
  std::string text = std::to_string(ns / unit);
  std::int64_t rest = ns % unit;
  if (rest == 0) return text;
  text += '.';
  for (std::int64_t place = unit / 10; rest != 0; place /= 10) {
    text += static_cast<char>('0' + rest / place);
    rest %= place;
  }
  return text;
}

}  // namespace

Result<Duration> Duration::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Errc::kInvalid, "expected a duration like \"200ms\" or \"1m30s\"" +
                                    std::string(why) + ", got " + in_quotes(text));
  };
  if (text == "0") return Duration{};
  if (text.starts_with('-')) return bad(", not negative");
  if (text.empty()) return bad("");
  std::int64_t total = 0;
  for (std::string_view rest = text; !rest.empty();) {
    std::int64_t whole = 0;
    std::size_t digits = 0;
    while (!rest.empty() && is_digit(rest.front())) {
      if (whole > kDay) return bad(" of at most 24h");
      whole = whole * 10 + (rest.front() - '0');
      rest.remove_prefix(1);
      ++digits;
    }
    std::string_view fraction;
    if (rest.starts_with('.')) {
      rest.remove_prefix(1);
      std::size_t n = 0;
      while (n < rest.size() && is_digit(rest[n])) ++n;
      fraction = rest.substr(0, n);
      rest.remove_prefix(n);
    }
    if (digits + fraction.size() == 0) return bad("");
    const TimeUnit* unit = nullptr;
    for (const TimeUnit& candidate : kUnits)
      if (unit == nullptr && rest.starts_with(candidate.name)) unit = &candidate;
    if (unit == nullptr) return bad(rest.empty() ? " with a unit" : "");
    rest.remove_prefix(unit->name.size());
    if (whole > kDay / unit->ns) return bad(" of at most 24h");
    total += whole * unit->ns;
    std::int64_t place = unit->ns;
    for (const char digit : fraction) total += (digit - '0') * (place /= 10);
    if (total > kDay) return bad(" of at most 24h");
  }
  return Duration{nanoseconds(total)};
}

std::string Duration::format() const {
  std::int64_t ns = value.count();
  if (ns == 0) return "0s";
  std::string text;
  for (const auto& [name, unit] : {TimeUnit{"h", 3'600'000'000'000}, TimeUnit{"m", 60'000'000'000}})
    if (ns >= unit) {
      text += std::to_string(ns / unit) + std::string(name);
      ns %= unit;
    }
  if (ns == 0) return text;
  if (ns >= 1'000'000'000 || !text.empty()) return text + decimal(ns, 1'000'000'000) + "s";
  if (ns >= 1'000'000) return decimal(ns, 1'000'000) + "ms";
  if (ns >= 1'000) return decimal(ns, 1'000) + "us";
  return std::to_string(ns) + "ns";
}

Result<Timestamp> Timestamp::parse(std::string_view text) {
  using namespace std::chrono;
  const auto bad = [&] {
    return fail(Errc::kInvalid,
                "expected a time like \"2026-11-23T10:15:02.123456Z\", got " + in_quotes(text));
  };
  // Fixed places: YYYY-MM-DDThh:mm:ss, then [.digits] and Z or an offset.
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() < kShape.size() + 1) return bad();
  for (std::size_t i = 0; i < kShape.size(); ++i)
    if (kShape[i] == 'd' ? !is_digit(text[i]) : text[i] != kShape[i]) return bad();
  const auto number = [](std::string_view part) {
    int n = 0;
    for (const char c : part) n = n * 10 + (c - '0');
    return n;
  };
  const year_month_day date{year(number(text.substr(0, 4))),
                            month(static_cast<unsigned>(number(text.substr(5, 2)))),
                            day(static_cast<unsigned>(number(text.substr(8, 2))))};
  const int hour = number(text.substr(11, 2));
  const int minute = number(text.substr(14, 2));
  const int second = number(text.substr(17, 2));
  // The years that 64 bits of nanoseconds hold.
  if (!date.ok() || date.year() < year(1970) || date.year() > year(2261) || hour > 23 ||
      minute > 59 || second > 59)
    return bad();
  std::string_view rest = text.substr(kShape.size());
  std::int64_t fraction = 0;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    std::int64_t place = 1'000'000'000;
    std::size_t digits = 0;
    for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1), ++digits)
      // What is smaller than a microsecond is not written, so that it is not read either.
      if (place > 1000) fraction += (rest.front() - '0') * (place /= 10);
    if (digits == 0) return bad();
  }
  minutes offset{0};
  if (rest != "Z") {
    if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':' ||
        !is_digit(rest[1]) || !is_digit(rest[2]) || !is_digit(rest[4]) || !is_digit(rest[5]))
      return bad();
    const int oh = number(rest.substr(1, 2)), om = number(rest.substr(4, 2));
    if (oh > 23 || om > 59) return bad();
    offset = minutes(oh * 60 + om) * (rest[0] == '-' ? -1 : 1);
  }
  const UtcTime time = UtcTime(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second) +
                       nanoseconds(fraction) - offset;
  // An offset may lead out of those years.
  if (time < UtcTime{} || time >= UtcTime(sys_days(year(2262) / 1 / 1))) return bad();
  return Timestamp{time};
}

std::string Timestamp::format() const {
  using namespace std::chrono;
  const auto micro = floor<microseconds>(value);
  const auto day_start = floor<days>(micro);
  const year_month_day date(day_start);
  const hh_mm_ss time(micro - day_start);
  std::array<char, 48> text{};
  const int n = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
      static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
      static_cast<int>(time.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(n)};
}

}  // namespace faultline::api

// SPDX-License-Identifier: Apache-2.0
#include "api/values.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "api/detail/text.h"

namespace faultline::api {
namespace {

using detail::in_quotes;
using detail::starts_with_digit;

struct Unit {
  std::string_view name;
  double factor;
};

// A non-negative decimal at the start of `text`, which is cut off it. from_chars alone would also
// take "inf", "nan" and exponents, which nobody means here.
std::optional<double> take_decimal(std::string_view& text) {
  if (!starts_with_digit(text)) return std::nullopt;
  std::size_t n = 0;
  while (n < text.size() && (std::isdigit(static_cast<unsigned char>(text[n])) || text[n] == '.'))
    ++n;
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + n, value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + n) return std::nullopt;
  text.remove_prefix(n);
  return value;
}

template <std::size_t N>
std::optional<double> factor_of(const Unit (&units)[N], std::string_view name) {
  for (const Unit& unit : units)
    if (unit.name == name) return unit.factor;
  return std::nullopt;
}

// tc's words: "...bit" are bits, "...bps" are bytes per second.
constexpr Unit kRates[] = {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"tbit", 1e12},
                           {"bps", 8}, {"kbps", 8e3}, {"mbps", 8e6}, {"gbps", 8e9}, {"tbps", 8e12}};
constexpr Unit kSizes[] = {{"", 1},        {"k", 1e3},     {"M", 1e6},     {"G", 1e9},
                           {"T", 1e12},    {"P", 1e15},    {"Ki", 0x1p10}, {"Mi", 0x1p20},
                           {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}};
// Above this a double no longer holds every whole number.
constexpr double kExact = 0x1p53;

// The largest unit of `units` that divides `value`.
template <std::size_t N>
std::string in_units(const Unit (&units)[N], std::size_t used, std::uint64_t value) {
  const Unit* best = &units[0];
  for (std::size_t i = 0; i < used; ++i) {
    const auto factor = static_cast<std::uint64_t>(units[i].factor);
    if (value != 0 && value % factor == 0 && units[i].factor >= best->factor) best = &units[i];
  }
  return std::to_string(value / static_cast<std::uint64_t>(best->factor)) + std::string(best->name);
}

}  // namespace

Result<Probability> Probability::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Errc::kInvalid, "expected a probability like \"5%\" or 0.05" + std::string(why) +
                                    ", got " + in_quotes(text));
  };
  std::string_view rest = text;
  const bool percent = rest.ends_with('%');
  if (percent) rest.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (rest.empty() || error != std::errc{} || end != rest.data() + rest.size() ||
      !std::isfinite(value))
    return bad("");
  if (percent) value /= 100;
  if (value < 0 || value > 1) return bad(" from 0% to 100% (a number without % is a fraction)");
  return Probability{value + 0.0};  // -0 becomes 0
}

std::string Probability::format() const {
  // The shortest percentage that reads back as exactly this fraction; else the fraction itself.
  char buffer[64];
  for (int digits = 1; digits <= 17; ++digits) {
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value * 100,
                                   std::chars_format::general, digits);
    if (std::string_view(buffer, end.ptr).find('e') != std::string_view::npos) continue;
    double back = 0;
    std::from_chars(buffer, end.ptr, back);
    if (back / 100 == value) return std::string(buffer, end.ptr) + "%";
  }
  return detail::number_text(value);
}

Result<ErrnoName> ErrnoName::parse(std::string_view text) {
  for (const auto& [name, value] : detail::errno_names())
    if (name == text) return ErrnoName{value};
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value >= 1 && value <= 4095) {
    const std::string name = ErrnoName{value}.format();
    if (starts_with_digit(name)) return ErrnoName{value};  // the kernel has some without a name
    return fail(Errc::kInvalid, "expected the name of an errno: write " + name + " instead of " +
                                    std::string(text));
  }
  return fail(Errc::kInvalid, "expected the name of an errno like \"EIO\", got " + in_quotes(text));
}

std::string ErrnoName::format() const {
  const char* name = strerrorname_np(value);
  return value > 0 && name != nullptr ? name : std::to_string(value);
}

Result<BitRate> BitRate::parse(std::string_view text) {
  std::string_view rest = text;
  const auto number = take_decimal(rest);
  const auto factor = factor_of(kRates, rest);
  if (!number || !factor)
    return fail(Errc::kInvalid,
                "expected a rate like \"10mbit\" (bits per second) or \"10mbps\" (bytes per "
                "second, as tc says it), got " +
                    in_quotes(text));
  const double bits = std::round(*number * *factor);
  if (bits > kExact) return fail(Errc::kInvalid, "rate is too large: " + in_quotes(text));
  return BitRate{static_cast<std::uint64_t>(bits)};
}

std::string BitRate::format() const { return in_units(kRates, 5, bits_per_second); }

Result<ByteSize> ByteSize::parse(std::string_view text) {
  std::string_view rest = text;
  const auto number = take_decimal(rest);
  const auto factor = factor_of(kSizes, rest);
  if (!number || !factor)
    return fail(
        Errc::kInvalid,
        "expected a size in bytes like \"64Mi\", \"100M\" or \"4096\", got " + in_quotes(text));
  const double bytes = *number * *factor;
  if (bytes > kExact) return fail(Errc::kInvalid, "size is too large: " + in_quotes(text));
  if (bytes != std::floor(bytes))
    return fail(Errc::kInvalid, "size is not a whole number of bytes: " + in_quotes(text));
  return ByteSize{static_cast<std::uint64_t>(bytes)};
}

std::string ByteSize::format() const { return in_units(kSizes, std::size(kSizes), bytes); }

}  // namespace faultline::api

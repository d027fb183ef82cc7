// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/test_series.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "report/stats.h"

namespace faultline::controller::observe {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Inf" : "-Inf";
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

bool is_whole(double value) { return value == std::floor(value) && std::abs(value) < 1e15; }

}  // namespace

std::string series_name(const Labels& labels) {
  std::string name, out;
  for (const auto& [label, value] : labels) {
    if (label == "__name__") {
      name = value;
      continue;
    }
    out += (out.empty() ? "" : ",") + label + "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n')
        out += "\\n";
      else
        out += c;
    }
    out += '"';
  }
  return out.empty() ? name : name + "{" + out + "}";
}

double interval_of(const Series& series) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < series.points.size(); ++i)
    steps.push_back(series.points[i].at - series.points[i - 1].at);
  return report::median(std::move(steps));
}

double rounded_interval(double seconds) {
  const double whole = std::round(seconds);
  if (whole >= 1 && std::abs(seconds - whole) < 0.05 * whole) return whole;
  return std::max(std::round(seconds * 1000) / 1000, 0.001);
}

std::string expanded(const std::vector<Slot>& slots) {
  std::string out;
  const auto put = [&](const std::string& word) { out += (out.empty() ? "" : " ") + word; };
  for (std::size_t i = 0; i < slots.size();) {
    std::size_t end = i + 1;
    if (slots[i].what != Slot::kSample) {
      while (end < slots.size() && slots[end].what == slots[i].what) ++end;
      const bool stale = slots[i].what == Slot::kStale;
      if (stale)
        for (std::size_t k = i; k < end; ++k) put("stale");
      else
        put(end - i == 1 ? "_" : "_x" + std::to_string(end - i));
      i = end;
      continue;
    }
    const double first = slots[i].value;
    double step = 0;
    if (end < slots.size() && slots[end].what == Slot::kSample) {
      step = slots[end].value - first;
      const bool fits = step == 0 || (is_whole(first) && is_whole(step));
      while (fits && end < slots.size() && slots[end].what == Slot::kSample &&
             slots[end].value - slots[end - 1].value == step &&
             (step == 0 || is_whole(slots[end].value)))
        ++end;
    }
    if (end - i < 3) {
      put(number(first));
      ++i;
      continue;
    }
    put(number(first) + (step < 0 ? "" : "+") + number(step) + "x" + std::to_string(end - i - 1));
    i = end;
  }
  return out;
}

std::vector<Slot> on_grid(const Series& series, double from, double interval, std::size_t count) {
  std::vector<Slot> out(count);
  const double own = std::max(interval_of(series), interval);
  const Point& origin = series.points.front();
  const double base = std::max(0.0, std::floor((origin.at - from) / interval));
  double last = -1;
  double last_at = 0;
  const auto stale_from = [&](double index) {
    if (index >= 0 && index < static_cast<double>(count))
      out[static_cast<std::size_t>(index)].what = Slot::kStale;
  };
  const double stride = std::max(1.0, std::round(own / interval));
  for (const Point& point : series.points) {
    const double index = base + std::round((point.at - origin.at) / interval);
    if (index < 0 || index >= static_cast<double>(count)) break;
    if (last >= 0 && point.at - last_at > 1.5 * own && last + stride < index)
      stale_from(last + stride);
    out[static_cast<std::size_t>(index)] = {Slot::kSample, point.value};
    last = index;
    last_at = point.at;
  }
  if (last >= 0 && last + 2 * stride <= static_cast<double>(count)) stale_from(last + stride);
  return out;
}

}  // namespace faultline::controller::observe

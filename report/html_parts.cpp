// SPDX-License-Identifier: Apache-2.0
#include "report/html_parts.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "report/format.h"
#include "report/story.h"

namespace faultline::report {
namespace {

std::string_view tone_of(api::InjectionVerdict verdict) {
  switch (verdict) {
    case api::InjectionVerdict::confirmed:
      return "good";
    case api::InjectionVerdict::partial:
      return "warn";
    case api::InjectionVerdict::no_traffic:
    case api::InjectionVerdict::blocked:
      break;
  }
  return "bad";
}

std::string typeset_count(std::uint64_t n) { return typeset(count_words(n)); }

// A horizontal scale with what was asked and what was measured on it.
class Scale {
 public:
  Scale(double low, double high) {
    const double pad = std::max((high - low) * 0.15, std::abs(high) * 0.002 + 1e-12);
    low_ = std::max(0.0, low - pad);
    high_ = high + pad;
  }
  [[nodiscard]] std::string at(double value) const {
    char text[32];
    const double place = 100 * (value - low_) / (high_ - low_);
    std::snprintf(text, sizeof text, "%.3f%%", std::clamp(place, 0.0, 100.0));
    return text;
  }
  [[nodiscard]] std::string span(std::string_view css, double from, double to) const {
    char text[32];
    const double width = 100 * (to - from) / (high_ - low_);
    std::snprintf(text, sizeof text, "%.3f%%", std::clamp(width, 0.0, 100.0));
    return "<span class=\"" + std::string(css) + "\" style=\"left:" + at(from) + ";width:" + text +
           "\"></span>";
  }
  [[nodiscard]] std::string mark(std::string_view css, double value) const {
    return "<span class=\"" + std::string(css) + "\" style=\"left:" + at(value) + "\"></span>";
  }
  [[nodiscard]] double low() const { return low_; }
  [[nodiscard]] double high() const { return high_; }

 private:
  double low_ = 0, high_ = 1;
};

std::string track(const std::string& label, const std::string& marks, const std::string& low,
                  const std::string& high) {
  return "<div class=\"track\" role=\"img\" aria-label=\"" + escape(label) + "\">" + marks +
         "</div><div class=\"ends\" aria-hidden=\"true\"><span>" + escape(low) + "</span><span>" +
         escape(high) + "</span></div>";
}

std::string latency_track(const api::InjectionReport& row, const api::Fault* fault) {
  const double asked = *row.askedLatency;
  double jitter = 0;
  if (fault != nullptr)
    if (const auto* f = std::get_if<api::NetworkLatency>(&fault->spec))
      jitter = f->jitter.seconds();
  const api::LatencyQuantiles& added = *row.addedLatency;
  const double p50 = added.p50.value_or(0), p95 = added.p95.value_or(p50),
               p99 = added.p99.value_or(p95);
  const Scale scale(std::min({asked - jitter, p50, asked * 0.98}),
                    std::max({asked + jitter, p99, asked * 1.02}));
  std::string marks;
  if (jitter > 0) marks += scale.span("band", asked - jitter, asked + jitter);
  marks += scale.span("whisker", p50, p99) + scale.mark("asked", asked) + scale.mark("dot", p50) +
           scale.mark("tick", p95) + scale.mark("tick", p99);
  const std::string words = "asked " + seconds_words(asked, 4) + "; added " +
                            seconds_words(p50, 4) + " at p50, " + seconds_words(p95, 4) +
                            " at p95, " + seconds_words(p99, 4) + " at p99";
  return track(words, marks, seconds_words(scale.low()), seconds_words(scale.high())) +
         "<p class=\"legend\"><i class=\"k asked\"></i>asked " + typeset(seconds_words(asked, 4)) +
         (jitter > 0 ? " <i class=\"k band\"></i>&plusmn; " + escape(exact_seconds_words(jitter))
                     : "") +
         " <i class=\"k dot\"></i>added p50 <b>" + typeset(seconds_words(p50, 4)) +
         "</b> <i class=\"k tick\"></i>p95 " + typeset(seconds_words(p95, 4)) + ", p99 " +
         typeset(seconds_words(p99, 4)) + "</p>";
}

std::string rate_track(const api::InjectionReport& row) {
  const double rate = *row.rate;
  const api::Interval ci = row.rateCi95.value_or(api::Interval{rate, rate});
  const double asked = row.askedRate.value_or(rate);
  const Scale scale(std::min({ci.low, asked, rate}), std::max({ci.high, asked, rate}));
  std::string marks = scale.span("whisker", ci.low, ci.high);
  if (row.askedRate) marks += scale.mark("asked", asked);
  marks += scale.mark("dot", rate);
  const std::string between = percent_words(ci.low) + " to " + percent_words(ci.high);
  return track("asked " + percent_words(asked) + "; injected " + percent_words(rate) +
                   ", 95 % interval " + between,
               marks, percent_words(scale.low(), 3), percent_words(scale.high(), 3)) +
         "<p class=\"legend\">" +
         (row.askedRate ? "<i class=\"k asked\"></i>asked " + escape(percent_words(asked)) + " "
                        : "") +
         "<i class=\"k dot\"></i>injected <b>" + escape(percent_words(rate)) +
         "</b> <i class=\"k whisker\"></i>95 % interval " + escape(between) + "</p>";
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html_head(std::string_view title, bool scripts) {
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
         "'unsafe-inline'; " +
         std::string(scripts ? "script-src 'unsafe-inline'; " : "") +
         "img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n<title>" + escape(title) +
         "</title>\n<style>";
}

std::string typeset(std::string_view text) {
  const auto is_digit = [&](std::size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  const auto ends_word = [&](std::size_t i) {
    return i >= text.size() || std::isalnum(static_cast<unsigned char>(text[i])) == 0;
  };
  std::string out;
  std::size_t done = 0;
  const auto take = [&](std::size_t at, std::size_t skip, std::string_view instead) {
    out += escape(text.substr(done, at - done));
    out += instead;
    done = at + skip;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i < done) continue;
    if (text.substr(i, 4) == " +- ")
      take(i, 4, " &plusmn; ");
    else if (text[i] == ' ' && i > 0 && is_digit(i - 1) && text.substr(i + 1, 2) == "us" &&
             ends_word(i + 3))
      take(i, 3, "&nbsp;&micro;s");
    else if (text[i] == ' ' && i > 0 && is_digit(i - 1) && is_digit(i + 1))
      take(i, 1, "&#8239;");
  }
  take(text.size(), 0, "");
  return out;
}

std::string html_table(std::string_view caption, const std::vector<Column>& columns,
                       const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" +
                    escape(caption) + "\"><table><caption>" + escape(caption) +
                    "</caption><thead><tr>";
  for (const Column& column : columns)
    out += std::string("<th scope=\"col\"") + (column.number ? " class=\"n\">" : ">") +
           escape(column.name) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c)
      out += std::string(columns[c].number ? "<td class=\"n\">" : "<td>") + row[c] + "</td>";
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string badge(std::string_view word, std::string_view tone) {
  return "<span class=\"badge " + std::string(tone) + "\">" + escape(word) + "</span>";
}

std::string injection_card(const api::InjectionReport& row, const api::Fault* fault) {
  std::string out = "<article class=\"card\"><h3>" + escape(row.fault) + " <span class=\"on\">on " +
                    escape(row.pod) + "</span> " +
                    badge(verdict_word(row.verdict), tone_of(row.verdict)) +
                    "</h3><p>Asked: " + typeset(row.asked) + ".</p>";
  const bool latency = row.addedLatency && row.addedLatency->p50 && row.askedLatency;
  if (latency) out += latency_track(row, fault);
  if (row.link) out += "<p>" + typeset(link_words(*row.link)) + ".</p>";
  if (row.rate && !row.link && (!latency || row.askedRate.value_or(1) < 1)) out += rate_track(row);
  if (!row.reason.empty()) out += "<p class=\"reason\">" + typeset(row.reason) + ".</p>";
  out += "<dl class=\"figures\"><div><dt>matched</dt><dd>" + typeset_count(row.matched) +
         "</dd></div><div><dt>" + std::string(done_word(row.fault)) + "</dt><dd>" +
         typeset_count(row.injected) + "</dd></div>";
  if (row.lost > 0) out += "<div><dt>lost</dt><dd>" + typeset_count(row.lost) + "</dd></div>";
  if (row.stalled > 0)
    out += "<div><dt>passed at once</dt><dd>" + typeset_count(row.stalled) + "</dd></div>";
  if (row.errors > 0)
    out += "<div><dt>helper errors</dt><dd>" + typeset_count(row.errors) + "</dd></div>";
  for (const auto& [name, n] : row.byErrno)
    out += "<div><dt>" + escape(name) + "</dt><dd>" + typeset_count(n) + "</dd></div>";
  for (const auto& [name, n] : row.byCall)
    out += "<div><dt>" + escape(name) + "</dt><dd>" + typeset_count(n.injected) + " of " +
           typeset_count(n.matched) + "</dd></div>";
  if (!row.mechanism.empty())
    out += "<div><dt>made by</dt><dd>" + escape(row.mechanism) + "</dd></div>";
  if (!row.node.empty()) out += "<div><dt>node</dt><dd>" + escape(row.node) + "</dd></div>";
  return out + "</dl></article>\n";
}

}  // namespace faultline::report

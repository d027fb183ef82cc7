// SPDX-License-Identifier: Apache-2.0
// The rules of a Prometheus as data. Pure and thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/monitoring_record.h"
#include "controller/observe/prometheus.h"

namespace faultline::controller::observe {

// Whoever may write a rule chooses its annotations; what is longer is of no use here, and is cut
// one byte behind this.
inline constexpr std::size_t kLongestAnnotation = 4'096;  // bytes
inline constexpr std::size_t kLongestExpression = 64 << 10;
inline constexpr std::size_t kMostRulesOfAlert = 200;
inline constexpr std::size_t kMostRuleNames = 10'000;

struct RecordingRule {
  std::string expr;
  double interval = 0;  // seconds
};

struct Rules {
  std::vector<api::AlertRule> alerts;  // without routes and scrapeInterval, see below
  std::multimap<std::string, RecordingRule> recordings;  // by the name that they record
  std::vector<std::string> names;  // of all alert rules, each once, as they came
  std::vector<std::string> told;   // fields that are not known, each once; rules that make no sense
  // What was left out of what was wanted, each once: rules with labels or texts that are too long,
  // those beyond kMostRulesOfAlert of one alert, and, first, that the answer is not whole.
  std::vector<std::string> left_out;
  std::string missing;  // as InPart::missing
};

// Which rules are read, by the alert's name and the rule's own labels; null: all.
using WantedRules = std::function<bool(const std::string& alert, const Labels& labels)>;

// `data` of /api/v1/rules. A rule that makes no sense is left out and told. A rule whose last
// evaluation failed has it as its problem. longestWindow counts the ranges of recording rules
// behind the expression too. kUnavailable: it is no answer of Prometheus, or more than can be kept.
[[nodiscard]] Result<Rules> parse_rules(const boost::json::value& data, const std::string& source,
                                        const Offset& offset, const WantedRules& wanted = {});
// Asks for them. `wanted` may be called on another thread.
[[nodiscard]] boost::asio::awaitable<Result<Rules>> ask_rules(Prometheus& client, Offset offset,
                                                              WantedRules wanted);

// What a rule became, in words: "for was 1m and is 30s". Empty: its settings are the same.
[[nodiscard]] std::string changed_words(const api::AlertRule& before, const api::AlertRule& now);

// The names of the metrics that an expression reads, recording rules replaced by what they read.
[[nodiscard]] std::vector<std::string> metrics_behind(std::string_view expr, const Rules& rules);

// The longest interval of the targets of these jobs; empty: there is none.
[[nodiscard]] std::optional<double> scrape_interval(const std::vector<std::string>& jobs,
                                                    const std::vector<Target>& targets);

}  // namespace faultline::controller::observe

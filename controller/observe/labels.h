// SPDX-License-Identifier: Apache-2.0
// What is taken of the labels that others send: whoever may write a rule, a pod or an alert chooses
// their number and length. Pure and thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace faultline::controller::observe {

using Labels = std::map<std::string, std::string>;

inline constexpr std::size_t kLongestLabel = 4'096;  // bytes of a name, and of a value
inline constexpr std::size_t kMostLabels = 64;       // of one alert, series or group

// Why labels are not taken: "a label of 28 MB", "65 labels". Empty: they are. What is no text is no
// label and does not count.
[[nodiscard]] std::string too_much(const boost::json::object& labels);
// All labels that are texts; ask too_much() before.
[[nodiscard]] Labels labels_of(const boost::json::object& labels);
// The bytes that they take in memory, nodes of the map included.
[[nodiscard]] std::size_t bytes_of_labels(const Labels& labels);

// The alerts of an answer that were not taken, because of their labels.
class NotTaken {
 public:
  void add(const boost::json::object& labels, std::string why);
  void add(const NotTaken& other);
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t count() const { return count_; }
  // Whether one of them may be of this name. One whose name is too long to be read may be any.
  [[nodiscard]] bool may_be(const std::string& alert) const;
  // "an alert with a label of 28 MB was not taken", "3 alerts were not taken, one with 65 labels"
  [[nodiscard]] std::string words() const;

 private:
  void add_name(const std::string& name);

  std::size_t count_ = 0;
  std::string first_;
  std::set<std::string> names_;  // the empty one stands for any; a bounded number
};

// "28 MB", "5 kB", "700 bytes"
[[nodiscard]] std::string bytes_words(std::size_t bytes);

}  // namespace faultline::controller::observe

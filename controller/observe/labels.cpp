// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/labels.h"

#include <algorithm>

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostNames = 64;
constexpr std::size_t kNode = 32 + 2 * sizeof(std::string);  // bytes of a map's node

}  // namespace

std::string bytes_words(std::size_t bytes) {
  if (bytes >= 1'000'000) return std::to_string((bytes + 500'000) / 1'000'000) + " MB";
  if (bytes >= 1'000) return std::to_string((bytes + 500) / 1'000) + " kB";
  return std::to_string(bytes) + " bytes";
}

std::string too_much(const boost::json::object& labels) {
  std::size_t texts = 0, longest = 0;
  for (const auto& label : labels) {
    const boost::json::string* value = label.value().if_string();
    if (value == nullptr) continue;
    ++texts;
    longest = std::max({longest, label.key().size(), value->size()});
  }
  if (longest > kLongestLabel) return "a label of " + bytes_words(longest);
  if (texts > kMostLabels) return std::to_string(texts) + " labels";
  return {};
}

Labels labels_of(const boost::json::object& labels) {
  Labels out;
  for (const auto& label : labels)
    if (const boost::json::string* value = label.value().if_string())
      out.emplace(std::string(label.key()), std::string(value->data(), value->size()));
  return out;
}

std::size_t bytes_of_labels(const Labels& labels) {
  std::size_t out = 0;
  for (const auto& [name, value] : labels) out += kNode + name.size() + value.size();
  return out;
}

void NotTaken::add(const boost::json::object& labels, std::string why) {
  if (count_++ == 0) first_ = std::move(why);
  const boost::json::value* name = labels.if_contains("alertname");
  const boost::json::string* text = name != nullptr ? name->if_string() : nullptr;
  const bool readable = text != nullptr && text->size() <= kLongestLabel;
  add_name(readable ? std::string(text->data(), text->size()) : std::string());
}

void NotTaken::add(const NotTaken& other) {
  if (count_ == 0) first_ = other.first_;
  count_ += other.count_;
  for (const std::string& name : other.names_) add_name(name);
}

// Where there is no room for a name, any may be among them.
void NotTaken::add_name(const std::string& name) {
  if (names_.size() < kMostNames || names_.contains(name))
    names_.insert(name);
  else
    names_.emplace();
}

bool NotTaken::may_be(const std::string& alert) const {
  return names_.contains(alert) || names_.contains("");
}

std::string NotTaken::words() const {
  if (count_ == 1) return "an alert with " + first_ + " was not taken";
  return std::to_string(count_) + " alerts were not taken, one with " + first_;
}

}  // namespace faultline::controller::observe

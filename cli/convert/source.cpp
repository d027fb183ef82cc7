// SPDX-License-Identifier: Apache-2.0
#include "cli/convert/source.h"

#include <boost/json/serialize.hpp>
#include <charconv>

#include "api/codec.h"
#include "document/path.h"

namespace faultline::cli {
namespace {

// One line, not too long, whatever a manifest holds.
std::string shown(const boost::json::value& value) {
  std::string text = boost::json::serialize(value);
  if (text.size() <= 60) return text;
  text.resize(57);
  return text += "...";
}

std::optional<double> as_number(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string bound(double value) {
  return boost::json::serialize(boost::json::value(static_cast<std::int64_t>(value)));
}

}  // namespace

Node Node::operator[](std::string_view key) const {
  const boost::json::value* child = nullptr;
  std::string path = document::child_path(path_, key);
  if (value_ != nullptr && value_->is_object()) child = value_->get_object().if_contains(key);
  source_->read(path);
  return {*source_, child, std::move(path)};
}

std::vector<Node> Node::items() const {
  std::vector<Node> out;
  if (value_ == nullptr || !value_->is_array()) return out;
  for (std::size_t i = 0; i < value_->get_array().size(); ++i) {
    std::string path = document::child_path(path_, i);
    source_->read(path);
    out.emplace_back(*source_, &value_->get_array()[i], std::move(path));
  }
  return out;
}

std::optional<std::string> Node::text() const {
  if (!given()) return std::nullopt;
  if (value_->is_string()) return std::string(value_->get_string());
  if (value_->is_number()) {
    return boost::json::serialize(*value_);
  }
  left_out("expected text, got " + shown(*value_));
  return std::nullopt;
}

std::vector<std::string> Node::texts() const {
  std::vector<std::string> out;
  if (given() && !value_->is_array()) left_out("expected a list, got " + shown(*value_));
  for (const Node& item : items())
    if (auto text = item.text()) out.push_back(std::move(*text));
  return out;
}

std::optional<double> Node::number(double min, double max) const {
  const auto word = text();
  if (!word) return std::nullopt;
  const auto number = value_->is_number() ? value_->to_number<double>() : as_number(*word);
  if (number && *number >= min && *number <= max) return number;
  left_out("expected a number from " + bound(min) + " to " + bound(max) + ", got " +
           shown(*value_));
  return std::nullopt;
}

std::optional<api::Duration> Node::duration() const {
  const auto word = text();
  if (!word || word->empty()) return std::nullopt;
  const auto parsed = api::Duration::parse(*word);
  if (parsed) return *parsed;
  left_out(parsed.error().message);
  return std::nullopt;
}

std::optional<api::Probability> Node::percent() const {
  if (const auto word = text(); word && word->empty()) return std::nullopt;
  const auto value = number(0, 100);
  if (!value) return std::nullopt;
  return api::Probability{*value / 100};
}

void Node::left_out(std::string_view why) const {
  if (value_ == nullptr) return;
  source_->add(path_, std::string(why), false);
  read_all();
}

void Node::missing(std::string_view key, std::string_view why) const {
  source_->add(path_, "missing key \"" + std::string(key) + "\": " + std::string(why), false);
}

void Node::note(std::string_view why) const { source_->add(path_, std::string(why), true); }

bool Node::told() const { return source_->covered(path_); }

void Node::read_all() const {
  source_->read(path_);
  source_->cover(path_);
}

void Source::add(const std::string& path, std::string why, bool note) {
  int at = line(path);
  // What is not there is shown where it would be.
  for (std::string up = path; at == 0 && !up.empty();) {
    const std::size_t cut = up.find_last_of(".[");
    up = cut == std::string::npos ? "" : up.substr(0, cut);
    at = line(up);
  }
  findings_.push_back({file_, at, path, std::move(why), note});
}

std::string Source::nearest(const Node& parent, std::string_view key) const {
  const std::string above = parent.path().empty() ? "" : parent.path() + ".";
  std::vector<std::string_view> known;
  for (auto at = read_.lower_bound(above); at != read_.end() && at->starts_with(above); ++at) {
    const std::string_view word = std::string_view(*at).substr(above.size());
    if (word.find_first_of(".[") != std::string_view::npos) continue;
    const auto* object = parent.value()->if_object();
    if (object != nullptr && !object->contains(word)) known.push_back(word);
  }
  return api::nearest_word(key, known);
}

bool Source::report_unread(const Node& node, std::string_view kind, std::string_view then) {
  if (covered_.contains(node.path()) || node.value() == nullptr) return false;
  bool found = false;
  if (node.value()->is_array()) {
    const auto& items = node.value()->get_array();
    for (std::size_t i = 0; i < items.size(); ++i)
      found |= report_unread({*this, &items[i], document::child_path(node.path(), i)}, kind, then);
  }
  if (!node.value()->is_object()) return found;
  for (const auto& [key, value] : node.value()->get_object()) {
    const Node child(*this, &value, document::child_path(node.path(), key));
    if (read_.contains(child.path())) {
      found |= report_unread(child, kind, then);
      continue;
    }
    found = true;
    std::string why = std::string(kind) + " has no such field here";
    if (const std::string word = nearest(node, key); !word.empty())
      why += "; did you mean \"" + word + "\"?";
    child.left_out(why + std::string(then));
  }
  return found;
}

}  // namespace faultline::cli

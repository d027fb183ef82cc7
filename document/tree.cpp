// SPDX-License-Identifier: Apache-2.0
#include "document/tree.h"

#include "document/path.h"

namespace faultline::document {
namespace {

constexpr std::size_t kMostProblems = 20;

}  // namespace

std::uint64_t LineMap::below(std::uint64_t number, std::string_view text) {
  for (const char c : text) {
    number ^= static_cast<unsigned char>(c);
    number *= 1099511628211U;
  }
  return number;
}

Lines LineMap::find(std::string_view path) const {
  const auto found = lines_.find(below(kRoot, path));
  return found == lines_.end() ? Lines{} : found->second;
}

bool Tree::wants_key() const {
  return !open_.empty() && open_.back().container.is_object() && !open_.back().has_key;
}

std::string Tree::path() const {
  std::string text;
  for (const Frame& frame : open_) {
    if (frame.container.is_array())
      append_index(text, frame.container.get_array().size());
    else if (frame.has_key)
      append_key(text, frame.key);
  }
  return text;
}

bool Tree::problem(int line, std::string message) {
  problems_.push_back({line, path(), std::move(message)});
  if (problems_.size() < kMostProblems) return true;
  return stop(line, "too many problems, the rest was not read");
}

bool Tree::stop(int line, std::string message) {
  stopped_ = true;
  problems_.push_back({line, path(), std::move(message)});
  return false;
}

bool Tree::key(std::string_view key, int line) {
  Frame& top = open_.back();
  top.key = key;
  top.key_line = line;
  top.has_key = true;
  top.twice = top.container.get_object().contains(key);
  if (!top.twice) return true;
  std::string message = "key is given twice";
  if (lines_ != nullptr) message += ", first on line " + std::to_string(lines_->find(path()).key);
  return problem(line, std::move(message));
}

bool Tree::admit(int line, bool is_null, std::uint64_t& number) {
  number = LineMap::kRoot;
  Lines lines{line, line};
  if (!open_.empty()) {
    const Frame& top = open_.back();
    const bool item = top.container.is_array();
    lines.key = item ? line : top.key_line;
    if (is_null && !item) lines.value = top.key_line;  // an empty value is found on a later line
    if (lines_ != nullptr) {
      std::string step;
      // Below the root a key has no dot before it.
      if (open_.size() > 1 || item) step = "?";
      if (item)
        append_index(step, top.container.get_array().size());
      else
        append_key(step, top.key);
      if (step.starts_with('?')) step.erase(0, 1);
      number = LineMap::below(top.number, step);
    }
  }
  if (lines_ != nullptr) lines_->put(number, lines);
  if (open_.size() > budget_.depth)
    return stop(line, "nested more than " + std::to_string(budget_.depth) + " deep");
  if (++values_ > budget_.values)
    return stop(line, "more than " + std::to_string(budget_.values) + " values");
  return true;
}

void Tree::place(boost::json::value value) {
  if (open_.empty()) {
    done_ = std::move(value);
    return;
  }
  Frame& top = open_.back();
  if (top.container.is_array()) {
    top.container.get_array().push_back(std::move(value));
    return;
  }
  if (!top.twice) top.container.get_object().emplace(top.key, std::move(value));
  top.has_key = false;
}

bool Tree::begin(boost::json::value container, int line) {
  std::uint64_t number = 0;
  if (!admit(line, false, number)) return false;
  Frame& frame = open_.emplace_back();
  frame.container = std::move(container);
  frame.number = number;
  return true;
}

bool Tree::scalar(boost::json::value value, int line) {
  std::uint64_t number = 0;
  if (!admit(line, value.is_null(), number)) return false;
  place(std::move(value));
  return true;
}

void Tree::end() {
  boost::json::value value = std::move(open_.back().container);
  open_.pop_back();
  place(std::move(value));
}

boost::json::value Tree::take(LineMap* next_lines) {
  lines_ = next_lines;
  return std::move(done_);
}

std::string size_words(std::size_t bytes) {
  if (bytes >= 1 << 20 && bytes % (1 << 20) == 0) return std::to_string(bytes >> 20) + " MiB";
  if (bytes >= 1 << 10 && bytes % (1 << 10) == 0) return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes) + " bytes";
}

}  // namespace faultline::document

// SPDX-License-Identifier: Apache-2.0
#include "api/detail/problems.h"

#include <algorithm>

#include "api/detail/text.h"
#include "base/printable.h"

namespace faultline::api::detail {
namespace {

// "a.b" of "a.b.c" and of "a.b[0]"; keys in brackets and quotes are never asked for.
std::string_view parent(std::string_view path) {
  const std::size_t cut = path.find_last_of(".[");
  return cut == std::string_view::npos ? std::string_view{} : path.substr(0, cut);
}

// Is `path` the same as `root` or inside of it?
bool inside(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (root.empty() || path.size() == root.size() ||
                                    path[root.size()] == '.' || path[root.size()] == '[');
}

}  // namespace

void append_key(std::string& path, std::string_view key) {
  const bool plain = !key.empty() && std::ranges::all_of(key, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
  if (!plain) {
    path += "[" + in_quotes(key) + "]";
    return;
  }
  if (!path.empty()) path += '.';
  if (key.size() <= 60)
    path += key;
  else
    path += std::string(key.substr(0, 60)) + "...";
}

void append_index(std::string& path, std::size_t index) {
  path += "[" + std::to_string(index) + "]";
}

void Problems::add(std::string shown, std::string message, Where where, std::string subject) {
  int line = 0;
  if (map_ != nullptr) {
    const auto found = map_->lines.find(shown);
    if (found != map_->lines.end())
      line = where == Where::kKey || found->second.value == 0 ? found->second.key
                                                              : found->second.value;
  }
  if (subject.empty()) subject = shown;
  problems_.push_back({line, std::move(shown), std::move(subject), std::move(message)});
}

bool Problems::spoiled(std::string_view path) const {
  return std::ranges::any_of(problems_, [&](const Problem& problem) {
    const std::string_view known = problem.subject;
    return inside(path, known) || inside(known, path) ||
           (!path.empty() && !known.empty() && parent(path) == parent(known));
  });
}

Error Problems::error() const {
  std::vector<const Problem*> sorted;
  for (const Problem& problem : problems_) sorted.push_back(&problem);
  std::ranges::stable_sort(sorted, {}, &Problem::line);
  std::string text;
  for (const Problem* problem : sorted) {
    if (!text.empty()) text += '\n';
    if (!file_.empty()) text += printable(file_) + ":";
    if (!file_.empty() && problem->line > 0) text += std::to_string(problem->line) + ":";
    if (!file_.empty()) text += ' ';
    if (!problem->shown.empty()) text += problem->shown + ": ";
    text += printable(problem->message);  // one problem, one line
  }
  return {Errc::kInvalid, std::move(text), 0};
}

}  // namespace faultline::api::detail

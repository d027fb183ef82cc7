// SPDX-License-Identifier: Apache-2.0
#include "api/detail/problems.h"

#include <algorithm>

#include "base/printable.h"

namespace faultline::api::detail {
namespace {

// More than are shown, so that the first of the document are among them; few enough that a hostile
// document cannot make each rule look at thousands.
constexpr std::size_t kKept = 100;

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

void Problems::add(std::string shown, std::string message, Where where, std::string subject) {
  int line = 0;
  if (map_ != nullptr) {
    const document::Lines found = map_->find(shown);
    line = where == Where::kKey || found.value == 0 ? found.key : found.value;
  }
  if (subject.empty()) subject = shown;
  keep({line, std::move(shown), std::move(subject), std::move(message)});
}

void Problems::add(document::Problem found) {
  std::string subject = found.path;
  keep({found.line, std::move(found.path), std::move(subject), std::move(found.message)});
}

void Problems::take(const Problems& other,
                    const std::function<std::string(const std::string&)>& place) {
  for (const Problem& problem : other.problems_) {
    const std::string at = place(problem.shown);
    const bool known = std::ranges::any_of(problems_, [&](const Problem& mine) {
      return mine.shown == at && mine.message == problem.message;
    });
    if (!known) add(at, problem.message, Where::kValue, place(problem.subject));
  }
  more_ += other.more_;
}

void Problems::keep(Problem problem) {
  if (problems_.size() < kKept)
    problems_.push_back(std::move(problem));
  else
    ++more_;
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
  const std::size_t shown = std::min(sorted.size(), kShown);
  const std::size_t hidden = sorted.size() - shown + more_;
  sorted.resize(shown);
  std::string text;
  for (const Problem* problem : sorted) {
    if (!text.empty()) text += '\n';
    if (!file_.empty()) text += printable(file_) + ":";
    if (!file_.empty() && problem->line > 0) text += std::to_string(problem->line) + ":";
    if (!file_.empty()) text += ' ';
    if (!problem->shown.empty()) text += problem->shown + ": ";
    text += printable(problem->message);  // one problem, one line
  }
  if (hidden > 0) text += "\nand " + std::to_string(hidden) + " more problems";
  return {Errc::kInvalid, std::move(text), 0};
}

}  // namespace faultline::api::detail

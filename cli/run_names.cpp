// SPDX-License-Identifier: Apache-2.0
#include "cli/run_names.h"

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <set>

#include "base/printable.h"
#include "cli/controller_api.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kMostNamed = 10;  // candidates in one error

std::string words(const RunName& wanted) {
  return wanted.ns.empty() ? wanted.name : wanted.ns + "/" + wanted.name;
}

std::string candidates(const std::vector<const api::RunSummary*>& runs) {
  std::string all;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (i == kMostNamed) return all + " and " + std::to_string(runs.size() - i) + " more";
    const api::RunSummary* run = runs[i];
    all += (all.empty() ? "" : ", ") +
           (run->namespace_.empty() ? run->name : run->namespace_ + "/" + run->name) + " (run " +
           run->run + ")";
  }
  return all;
}

tl::unexpected<Error> unclear(const RunName& wanted,
                              const std::vector<const api::RunSummary*>& runs) {
  return fail(Errc::kInvalid,
              faultline::printable("'" + wanted.name + "' could mean " + candidates(runs) +
                                   "; say which by -n NAMESPACE, by "
                                   "NAMESPACE/NAME or by the run's id"));
}

std::string state_word(api::RunState state) { return boost::describe::enum_to_string(state, "?"); }

}  // namespace

bool is_of(const api::RunSummary& run, const std::string& ns) {
  return ns.empty() || run.namespace_.empty() || run.namespace_ == ns;
}

Result<RunName> run_name(const std::string& text, const std::string& home, bool said) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) {
    if (text.empty()) return fail(Errc::kInvalid, "a NAME must not be empty");
    return RunName{.ns = home, .said = said, .name = text};
  }
  RunName wanted{.ns = text.substr(0, slash), .said = true, .name = text.substr(slash + 1)};
  if (wanted.ns.empty() || wanted.name.empty() || wanted.name.find('/') != text.npos)
    return fail(Errc::kInvalid, faultline::printable("'" + text +
                                                     "' is no name: expected NAME, "
                                                     "NAMESPACE/NAME or the id of a run"));
  if (said && wanted.ns != home)
    return fail(Errc::kInvalid, faultline::printable("'" + text + "' is of namespace " + wanted.ns +
                                                     ", not of " + home + " as -n says"));
  return wanted;
}

Result<std::string> run_to_read(const std::vector<api::RunSummary>& runs, const RunName& wanted) {
  std::vector<const api::RunSummary*> elsewhere;
  std::set<std::string> where;
  for (const api::RunSummary& run : runs)
    if (run.run == wanted.name && (!wanted.said || is_of(run, wanted.ns))) return run.run;
  for (const api::RunSummary& run : runs) {
    if (run.name != wanted.name) continue;
    if (is_of(run, wanted.ns)) return run.run;
    if (where.insert(run.namespace_).second) elsewhere.push_back(&run);
  }
  if (wanted.said || elsewhere.empty())
    return fail(Errc::kNotFound, faultline::printable("there is no run " + words(wanted)));
  if (elsewhere.size() > 1) return unclear(wanted, elsewhere);
  return elsewhere.front()->run;
}

Result<std::string> run_to_stop(const std::vector<api::RunSummary>& runs, const RunName& wanted) {
  const auto over = [](const api::RunSummary& run) {
    return fail(Errc::kNotFound, faultline::printable("nothing to stop: run " + run.run +
                                                      " is over: " + state_word(run.state)));
  };
  const auto by_id = std::ranges::find(runs, wanted.name, &api::RunSummary::run);
  if (by_id != runs.end() && (!wanted.said || is_of(*by_id, wanted.ns))) {
    if (ended(by_id->state)) return over(*by_id);
    return by_id->run;
  }
  std::vector<const api::RunSummary*> here, elsewhere;
  const api::RunSummary* newest = nullptr;
  for (const api::RunSummary& run : runs) {
    if (run.name != wanted.name) continue;
    if (is_of(run, wanted.ns) && newest == nullptr) newest = &run;
    if (!ended(run.state)) (is_of(run, wanted.ns) ? here : elsewhere).push_back(&run);
  }
  if (here.size() == 1) return here.front()->run;
  if (here.size() > 1) return unclear(wanted, here);
  if (!wanted.said && !elsewhere.empty())
    return fail(Errc::kInvalid, faultline::printable("nothing of " + words(wanted) +
                                                     " is under way, but " + candidates(elsewhere) +
                                                     "; stop that by -n NAMESPACE, by "
                                                     "NAMESPACE/NAME or by the run's id"));
  if (newest != nullptr) return over(*newest);
  return fail(Errc::kNotFound, faultline::printable("there is no run " + words(wanted)));
}

}  // namespace faultline::cli

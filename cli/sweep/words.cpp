// SPDX-License-Identifier: Apache-2.0
#include "cli/sweep/words.h"

#include "base/printable.h"
#include "cli/text.h"
#include "report/format.h"

namespace faultline::cli {
namespace {

std::string time_words(std::chrono::nanoseconds time) {
  return report::exact_seconds_words(std::chrono::duration<double>(time).count());
}

}  // namespace

std::size_t cells_of(const api::Sweep& sweep) {
  std::size_t cells = 0;
  for (const api::SweptFault& row : sweep.spec.faults) cells += row.severities.size();
  return cells;
}

std::string sweep_size_words(const api::Sweep& sweep) {
  return report::plural(sweep.spec.faults.size(), "fault", "faults") + ", " +
         report::plural(cells_of(sweep), "cell", "cells") + ", at least " +
         time_words(api::least_length(sweep, cells_of(sweep)));
}

std::string sweep_text(const api::Sweep& sweep, std::size_t cells, std::size_t width) {
  constexpr std::size_t kIndent = 12;
  const auto line = [&](const std::string& key, const std::string& text) {
    const std::string head = "  " + key + std::string(kIndent - 2 - key.size(), ' ');
    return head + wrapped(printable(text), width, kIndent, kIndent) + "\n";
  };
  const std::string& purpose = sweep.spec.experiment.purpose;
  std::string out = printable(sweep.metadata.name) + ": a sweep" +
                    (purpose.empty() ? "" : ", \"" + printable_prose(purpose) + "\"") + "\n";
  for (const api::SweptFault& row : sweep.spec.faults)
    out += line("tries", row.name + ": " + std::string(row.fault.name()) + ", " + row.vary + " " +
                             report::join(row.severities, ", "));
  const api::Phases& phases = sweep.spec.experiment.phases;
  const auto least = api::least_length(sweep, cells);
  const auto waits = cells > 0 ? (sweep.spec.rest.most.value - sweep.spec.rest.least.value) *
                                     static_cast<std::int64_t>(cells)
                               : std::chrono::nanoseconds(0);
  out += line("each", time_words(phases.baseline.value) + " before, " +
                          time_words(phases.fault.value) + " with the fault, " +
                          time_words(phases.recovery.value) +
                          " after; then until the alerts are silent and the effects are over, at "
                          "most " +
                          time_words(sweep.spec.rest.most.value));
  out += line("takes", report::plural(cells, "cell", "cells") + " at most, at least " +
                           time_words(least) + "; with all waiting about " +
                           time_words(least + waits));
  return out;
}

}  // namespace faultline::cli

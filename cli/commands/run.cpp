// SPDX-License-Identifier: Apache-2.0
// faultline run FILE: the whole way of one experiment.
#include "cli/cluster/choice.h"
#include "cli/commands/commands.h"
#include "cli/documents.h"
#include "cli/one_run.h"

namespace faultline::cli {
namespace {

Result<RunEnd> run_document(Invocation& call, Console& console, const ExperimentFile& document,
                            const RunManner& manner) {
  Interrupt interrupt;
  if (!call.has("pods")) {
    const auto cluster = wants_cluster(call, console);
    if (!cluster) return fail(cluster.error());
    if (*cluster) return run_in_cluster(call, console, document, interrupt, manner);
  }
  if (call.has("replace"))
    return fail(Errc::kInvalid, "--replace is for an Experiment in a cluster");
  auto place = find_place(call, console, interrupt);
  if (!place) return fail(place.error());
  return run_at(*place, call, console, document, interrupt, manner);
}

}  // namespace

Result<int> run_run(Invocation& call, Console& console) {
  const auto document = load_experiment(call, console, call.arguments[0]);
  if (!document) return fail(document.error());
  const RunManner manner{.folder = call.get("report").value_or("")};
  if (auto good = check_folder(manner.folder, "--report DIR"); !good) return fail(good.error());
  const auto end = run_document(call, console, *document, manner);
  return end ? Result<int>(end->code) : fail(end.error());
}

}  // namespace faultline::cli

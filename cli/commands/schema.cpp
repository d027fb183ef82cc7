// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "api/gameday_status.h"
#include "api/sweep.h"
#include "cli/commands/commands.h"
#include "cli/text.h"

namespace faultline::cli {

Result<int> run_schema(Invocation& call, Console& console) {
  if (call.has("sweep") && call.has("gameday"))
    return fail(Errc::kInvalid, "--sweep and --gameday exclude each other");
  if (call.has("sweep") && call.has("crd"))
    return fail(Errc::kInvalid,
                "a Sweep is no object of a cluster: --crd and --sweep exclude each other");
  if (call.has("sweep"))
    print_json(console.out, api::sweep_schema());
  else if (!call.has("crd"))
    print_json(console.out, call.has("gameday") ? api::gameday_schema() : api::experiment_schema());
  else if (call.json())
    print_json(console.out, call.has("gameday") ? api::gameday_crd() : api::experiment_crd());
  else
    console.out << (call.has("gameday") ? api::gameday_crd_yaml() : api::experiment_crd_yaml());
  return kExitMet;
}

}  // namespace faultline::cli
